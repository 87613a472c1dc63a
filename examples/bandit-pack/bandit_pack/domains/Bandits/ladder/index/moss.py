"""MOSS: the bonus of an arm ends with its fair share of the horizon. Audibert and Bubeck 2009."""

import numpy as np


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """Mean and bonus of each arm, float64[P, K]."""
    share = horizon / (mean.shape[1] * pulls)
    return mean + np.sqrt(np.log(np.maximum(share, 1)) / pulls)
