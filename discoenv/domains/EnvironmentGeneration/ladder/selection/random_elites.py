"""Elites that are drawn uniformly from the archive of predictions: DSAGE without downsampling. Bhatt et al. 2022."""


def select(candidates, archive, count, rng, config):
    """Rows of ``candidates``."""
    return rng.permutation(len(candidates.objectives))[:count]
