"""The state after the last step alone. Werbos 1990, Backpropagation through time."""

import jax.numpy as jnp
import optax


def compute_sample_loss(states, targets, weights, config):
    """Loss of each grid, float32[N], as in the base module."""
    output = states[..., : config["OUTPUT"]]
    if config["LOSS"] == "cross_entropy":
        each = optax.softmax_cross_entropy(output, targets)
    else:
        each = jnp.mean((output - targets) ** 2, axis=-1)
    return jnp.sum(each * weights, axis=(1, 2)) / jnp.maximum(jnp.sum(weights, axis=(1, 2)), 1.0)


def compute_loss(params, nca, batch, key, config):
    """Mean loss after STEPS steps."""
    history = nca.rollout(params, batch.states, key, config["STEPS"])
    return jnp.mean(compute_sample_loss(history[-1], batch.targets, batch.weights, config)), history[-1]
