"""Features of a number that divide by zero."""

import numpy as np


def features(x):
    """Features float64[N, 1] of inputs float64[N]."""
    print("about to divide")
    return np.full((len(x), 1), 1 / 0)
