"""Points drawn uniformly and independently. Bergstra and Bengio 2012."""

import numpy as np


def initial_design(seed, config):
    """Points float64[INITIAL_SAMPLES, DIMENSION] of the unit box."""
    return np.random.default_rng(seed).random((config["INITIAL_SAMPLES"], config["DIMENSION"]))
