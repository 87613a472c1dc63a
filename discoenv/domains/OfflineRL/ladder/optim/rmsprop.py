"""RMSProp (Tieleman and Hinton 2012)."""

import optax


def create_optimizer(config):
    """The optimiser of the actor, and another one of the same kind for the critics.

    Args:
        config: the run's configuration (immutable mapping), among others LR, the learning rate, and GRADIENT_STEPS,
            how many steps the critics make.

    Returns:
        An ``optax.GradientTransformation``; what its ``update`` returns is added to the parameters, so it includes the
        learning rate and the sign. Its state is a pytree of arrays of fixed shapes and dtypes.
    """
    return optax.rmsprop(0.3 * config["LR"], decay=0.99, eps=1e-5)
