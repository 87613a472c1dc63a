"""log t + 3 log log t, which KL-UCB's theorem wants. Garivier and Cappé 2011."""

import numpy as np


def confidence(step, horizon, arms):
    """log(1/δ), one number."""
    return np.log(step) + 3 * np.log(np.maximum(np.log(step), 1))
