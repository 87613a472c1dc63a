"""The features: what the model sees of an input."""

import numpy as np


def features(x):
    """Features float64[N, D] of inputs float64[N]."""
    # <solution>
    return np.stack([np.ones_like(x), x], axis=1)
    # </solution>
