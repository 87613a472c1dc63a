"""Latin hypercube sampling: one point in each of as many slices along every axis. McKay, Beckman and Conover 1979."""

from scipy.stats import qmc


def initial_design(seed, config):
    """Points float64[INITIAL_SAMPLES, DIMENSION] of the unit box."""
    return qmc.LatinHypercube(config["DIMENSION"], rng=seed).random(config["INITIAL_SAMPLES"])
