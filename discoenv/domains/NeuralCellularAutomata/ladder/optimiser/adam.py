"""Adam, unclipped, at a constant learning rate. Kingma and Ba 2015."""

import optax


def create_optimizer(config):
    """The learning rate stays."""
    return optax.adam(config["LR"])
