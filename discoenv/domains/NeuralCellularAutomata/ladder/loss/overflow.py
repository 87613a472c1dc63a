"""A penalty on memory outside of [-1, 1]. Niklasson et al. 2021, Self-organising textures."""

import jax
import jax.numpy as jnp
import optax

#: Factor of the penalty.
STRENGTH = 1.0


def compute_sample_loss(states, targets, weights, config):
    """Loss of each grid, float32[N], as in the base module."""
    output = states[..., : config["OUTPUT"]]
    if config["LOSS"] == "cross_entropy":
        each = optax.softmax_cross_entropy(output, targets)
    else:
        each = jnp.mean((output - targets) ** 2, axis=-1)
    return jnp.sum(each * weights, axis=(1, 2)) / jnp.maximum(jnp.sum(weights, axis=(1, 2)), 1.0)


def compute_loss(params, nca, batch, key, config):
    """Loss after a random late step, and how far the memory of the cells exceeds one in the mean."""
    key_noise, key_step = jax.random.split(key)
    history = nca.rollout(params, batch.states, key_noise, config["STEPS"])
    count = batch.states.shape[0]
    step = jax.random.randint(key_step, (count,), config["STEPS"] // 2, config["STEPS"])
    chosen = history[step, jnp.arange(count)]
    memory = chosen[..., config["OUTPUT"] : config["CHANNELS"] - config["PRESERVE"]]
    excess = jnp.sum(jnp.maximum(jnp.abs(memory) - 1.0, 0.0)) / max(1, memory.size)
    losses = compute_sample_loss(chosen, batch.targets, batch.weights, config)
    return jnp.mean(losses) + STRENGTH * excess, history[-1]
