"""Signs of an average of gradients. Chen et al. 2023."""

import optax


def scale_by_optimizer():
    """Lion, its steps a tenth of Adam's, as the paper advises."""
    return optax.chain(optax.scale_by_lion(b1=0.9, b2=0.99), optax.scale(0.1))
