"""A cell senses itself alone, as a 1 × 1 convolution does. Lin, Chen and Yan 2014, Network in network."""

import flax.linen as nn


class Perceive(nn.Module):
    """The cell's own state."""

    config: dict

    @nn.compact
    def __call__(self, states):
        """Perception float32[N, H, W, CHANNELS]."""
        return states


def create_perceive(config):
    """A flax.linen module that maps states to perceptions."""
    return Perceive(config)
