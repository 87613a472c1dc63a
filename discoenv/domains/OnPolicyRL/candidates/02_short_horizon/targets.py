"""Generalised advantage estimation with a shorter horizon, which learns faster in short runs."""

import jax
import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    """(advantages, targets), float32[NUM_STEPS, NUM_ENVS] both, with a discount factor of at most 0.95."""
    gamma, lambda_ = min(config["GAMMA"], 0.95), config["GAE_LAMBDA"]

    def step(carry, transition):
        next_advantage, next_value = carry
        next_value = jnp.where(transition.truncated, transition.final_value, next_value)
        next_value = jnp.where(transition.terminated, 0.0, next_value)
        goes_on = ~(transition.terminated | transition.truncated)
        delta = transition.reward + gamma * next_value - transition.value
        advantage = delta + gamma * lambda_ * goes_on * next_advantage
        return (advantage, transition.value), advantage

    start = (jnp.zeros_like(last_val), last_val)
    _, advantages = jax.lax.scan(step, start, traj_batch, reverse=True, unroll=16)
    return advantages, advantages + traj_batch.value
