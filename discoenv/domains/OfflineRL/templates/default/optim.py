"""The optimisers of actor and critics."""

import jax
import jax.numpy as jnp
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
    # <solution>
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def init(params):
        """Adam (Kingma and Ba 2015): first moment m, second moment v, number of steps t."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        return {"m": zeros, "v": zeros, "t": jnp.int32(0)}

    def update(gradients, state, params=None):
        del params
        t = state["t"] + 1
        m = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, state["m"], gradients)
        v = jax.tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g**2, state["v"], gradients)
        rate, bias_2 = config["LR"] / (1 - beta_1**t), 1 - beta_2**t
        updates = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v / bias_2) + epsilon), m, v)
        return updates, {"m": m, "v": v, "t": t}

    return optax.GradientTransformation(init, update)
    # </solution>
