"""Generalised advantage estimation with λ = 0.9, which a large study advises. Andrychowicz et al. 2021."""

import jax
import jax.numpy as jnp

LAMBDA = 0.9


def get_targets(traj_batch, last_val, config):
    """Advantages and targets float32[NUM_STEPS, NUM_ENVS], with another λ than the configuration has."""
    gamma = config["GAMMA"]

    def step(carry, transition):
        next_advantage, next_value = carry
        next_value = jnp.where(transition.truncated, transition.final_value, next_value)
        next_value = jnp.where(transition.terminated, 0.0, next_value)
        goes_on = ~(transition.terminated | transition.truncated)
        delta = transition.reward + gamma * next_value - transition.value
        advantage = delta + gamma * LAMBDA * goes_on * next_advantage
        return (advantage, transition.value), advantage

    start = (jnp.zeros_like(last_val), last_val)
    _, advantages = jax.lax.scan(step, start, traj_batch, reverse=True, unroll=16)
    return advantages, advantages + traj_batch.value
