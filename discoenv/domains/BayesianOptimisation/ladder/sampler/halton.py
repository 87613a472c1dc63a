"""A scrambled Halton sequence: digits of the index, mirrored, in another prime base for each axis. Halton 1960."""

from scipy.stats import qmc


def initial_design(seed, config):
    """Points float64[INITIAL_SAMPLES, DIMENSION] of the unit box."""
    return qmc.Halton(config["DIMENSION"], scramble=True, rng=seed).random(config["INITIAL_SAMPLES"])
