"""Adam whose rate falls as a cosine.

Loshchilov and Hutter 2017, SGDR, after clipping of gradients (Pascanu et al. 2013).
"""

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
    schedule = optax.cosine_decay_schedule(config["LR"], config["GRADIENT_STEPS"])
    return optax.chain(optax.clip_by_global_norm(10.0), optax.adam(schedule))
