"""The one of many Latin hypercube samples whose closest points are farthest apart. Morris and Mitchell 1995."""

import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import qmc

TRIES = 200


def initial_design(seed, config):
    """Points float64[INITIAL_SAMPLES, DIMENSION] of the unit box."""
    generator = qmc.LatinHypercube(config["DIMENSION"], rng=np.random.default_rng(seed))
    designs = [generator.random(config["INITIAL_SAMPLES"]) for _ in range(TRIES)]
    return max(designs, key=lambda design: pdist(design).min(initial=np.inf))
