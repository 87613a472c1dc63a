"""The optimiser: how gradients become update directions. The learning rate is applied elsewhere."""

import jax
import jax.numpy as jnp
import optax


def scale_by_optimizer() -> optax.GradientTransformation:
    """The optimiser's gradient transformation, without learning rate and without sign.

    train.py gives it the gradients, clipped if it clips them, and multiplies what comes out by minus the learning rate:
    for plain gradient descent it would be ``optax.identity()``.

    Returns:
        An ``optax.GradientTransformation``: ``init(params) -> state`` and
        ``update(updates, state, params) -> (updates, state)``, pure and traceable. ``updates`` is a pytree like
        ``params``; ``state`` a pytree of arrays whose shapes and dtypes do not change.
    """
    # <solution>
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-5

    def init(params):
        """Adam (Kingma and Ba, 2015): first moment m, second moment v, number of steps t."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        return {"m": zeros, "v": zeros, "t": jnp.int32(0)}

    def update(gradients, state, params=None):
        del params
        t = state["t"] + 1
        m = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, state["m"], gradients)
        v = jax.tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g**2, state["v"], gradients)
        bias_1, bias_2 = 1 - beta_1**t, 1 - beta_2**t
        updates = jax.tree.map(lambda m, v: (m / bias_1) / (jnp.sqrt(v / bias_2) + epsilon), m, v)
        return updates, {"m": m, "v": v, "t": t}

    return optax.GradientTransformation(init, update)
    # </solution>
