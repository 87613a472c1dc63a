"""Losses."""

import numpy as np


def mse_loss(prediction, target):
    """Mean squared error, float64[N] both."""
    return np.mean((prediction - target) ** 2)
