"""Gradients over a running standard deviation of theirs. Graves 2013, Mnih et al. 2015."""

import optax


def scale_by_optimizer():
    """Centred RMSProp with the constants of the deep Q-network."""
    return optax.scale_by_stddev(decay=0.95, eps=1e-4)
