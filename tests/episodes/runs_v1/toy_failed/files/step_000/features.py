"""The features: what the model sees of an input."""

import numpy as np


def features(x):
    """Features float64[N, D] of inputs float64[N]."""
    raise NotImplementedError("features.py: features is not implemented")
