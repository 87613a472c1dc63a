"""The shortlist: which arms are considered at all."""

import numpy as np


def shortlist(problems, arms, horizon, rng):
    """Which arms are considered, bool[P, K], at least one for each of P problems; ``rng`` is a NumPy generator."""
    # <solution>
    return np.ones((problems, arms), dtype=bool)
    # </solution>
