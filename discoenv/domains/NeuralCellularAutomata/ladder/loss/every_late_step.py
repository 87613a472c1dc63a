"""All states of the second half. Palm, Paquet and Winther 2018, Recurrent relational networks."""

import jax
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
    """Mean loss over the second half of STEPS steps."""
    history = nca.rollout(params, batch.states, key, config["STEPS"])
    late = history[config["STEPS"] // 2 :]
    losses = jax.vmap(lambda states: compute_sample_loss(states, batch.targets, batch.weights, config))(late)
    return jnp.mean(losses), history[-1]
