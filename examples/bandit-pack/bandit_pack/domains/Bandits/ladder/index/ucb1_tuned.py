"""UCB1-Tuned: the bonus follows the variance of the rewards. Auer, Cesa-Bianchi and Fischer 2002."""

import numpy as np


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """Mean and bonus of each arm, float64[P, K]."""
    log = confidence / pulls
    return mean + np.sqrt(log * np.minimum(0.25, variance + np.sqrt(2 * log)))
