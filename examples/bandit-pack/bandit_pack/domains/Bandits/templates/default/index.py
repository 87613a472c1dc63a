"""The index: how promising an arm is."""

import numpy as np


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """The value of each arm, float64[P, K]; the largest is to be pulled next.

    ``pulls`` (above 0), ``mean``, ``variance``: float64[P, K], of the rewards of each arm so far; values of arms that
    were never pulled do not count. ``confidence``: log(1/δ) at this step; ``step`` from 1 to ``horizon``; ``rng`` a
    NumPy generator.
    """
    # <solution>
    return mean + np.sqrt(confidence / (2 * pulls))  # UCB for rewards in [0, 1]
    # </solution>
