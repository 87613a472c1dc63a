"""The candidates with the highest predicted objectives: greedy, whatever their measures. Jin 2011."""

import numpy as np


def select(candidates, archive, count, rng, config):
    """Rows of ``candidates``, ties at random."""
    order = rng.permutation(len(candidates.objectives))
    return order[np.argsort(-candidates.objectives[order], kind="stable")][:count]
