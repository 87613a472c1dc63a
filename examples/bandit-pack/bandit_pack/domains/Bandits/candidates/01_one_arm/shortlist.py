"""One arm of each problem, by chance: a learner that never compares."""

import numpy as np


def shortlist(problems, arms, horizon, rng):
    """bool[P, K] with one arm per problem."""
    return np.arange(arms) == rng.integers(arms, size=(problems, 1))
