"""Gradients pass through the second half of the steps only. Williams and Peng 1990."""

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
    """Loss after a random late step; the first half is taken as given."""
    key_first, key_second, key_step = jax.random.split(key, 3)
    first = config["STEPS"] // 2
    begun = nca.rollout(jax.lax.stop_gradient(params), batch.states, key_first, first)[-1] if first else batch.states
    history = nca.rollout(params, begun, key_second, config["STEPS"] - first)
    count = batch.states.shape[0]
    chosen = history[jax.random.randint(key_step, (count,), 0, config["STEPS"] - first), jnp.arange(count)]
    return jnp.mean(compute_sample_loss(chosen, batch.targets, batch.weights, config)), history[-1]
