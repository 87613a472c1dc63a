"""What training minimises."""

import jax
import jax.numpy as jnp
import optax


def compute_sample_loss(states, targets, weights, config):
    """Loss of each grid, float32[N]; see the baseline."""
    output = states[..., : config["OUTPUT"]]
    if config["LOSS"] == "cross_entropy":
        each = optax.softmax_cross_entropy(output, targets)
    else:
        each = jnp.mean((output - targets) ** 2, axis=-1)
    return jnp.sum(each * weights, axis=(1, 2)) / jnp.maximum(jnp.sum(weights, axis=(1, 2)), 1.0)


def compute_loss(params, nca, batch, key, config):
    """Mean loss over all states of the second half, and a penalty on what leaves [-2, 2] in the mean-squared tasks."""
    history = nca.rollout(params, batch.states, key, config["STEPS"])
    late = history[config["STEPS"] // 2 :]
    losses = jax.vmap(lambda states: compute_sample_loss(states, batch.targets, batch.weights, config))(late)
    excess = jnp.mean(jnp.maximum(jnp.abs(late) - 2.0, 0.0) ** 2) if config["LOSS"] == "mse" else 0.0
    return jnp.mean(losses) + 0.01 * excess, history[-1]
