"""As many arms as the square root of the horizon, by chance. Bayati, Hamidi, Johari and Khosravi 2020."""

import numpy as np


def shortlist(problems, arms, horizon, rng):
    """A random subset of the arms of each problem: bool[P, K]."""
    kept = min(arms, int(np.ceil(np.sqrt(horizon))))
    return np.argsort(rng.uniform(size=(problems, arms)), axis=1) < kept
