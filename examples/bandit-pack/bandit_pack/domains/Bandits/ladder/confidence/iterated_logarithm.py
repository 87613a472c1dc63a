"""The law of the iterated logarithm: log log t instead of log t. Jamieson, Malloy, Nowak and Bubeck 2014."""

import numpy as np


def confidence(step, horizon, arms):
    """log(1/δ), one number."""
    return np.log(1 + np.log(1 + step))
