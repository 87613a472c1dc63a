"""The confidence: how sure the index is to be, as time goes on."""

import numpy as np


def confidence(step, horizon, arms):
    """log(1/δ) ≥ 0, one number: an arm's mean may lie above its bound with probability δ.

    ``step`` from 1 to ``horizon``; ``arms`` is their number.
    """
    # <solution>
    return np.log(step)
    # </solution>
