"""Adam, from optax."""

import optax


def scale_by_optimizer():
    """Adam with the constants that are usual for PPO."""
    return optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-5)
