"""Adam with the epsilon of its paper. Kingma and Ba 2015."""

import optax


def scale_by_optimizer():
    """Adam; the base adds 1e-5."""
    return optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)
