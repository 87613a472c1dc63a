"""UCB1 with the constants of its theorem. Auer, Cesa-Bianchi and Fischer 2002."""

import numpy as np


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """Mean and bonus of each arm, float64[P, K]."""
    return mean + np.sqrt(2 * confidence / pulls)
