"""Thompson sampling with Beta(1, 1) priors for rewards in [0, 1]. Thompson 1933; Chapelle and Li 2011."""

import numpy as np


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """A draw from the posterior of each arm's mean, float64[P, K]."""
    successes = np.clip(mean, 0, 1) * pulls
    return rng.beta(1 + successes, 1 + pulls - successes)
