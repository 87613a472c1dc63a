"""One step. Sutton 1988."""

import jax
import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    """The reward and the next value."""
    gamma, lambda_ = config["GAMMA"], 0.0

    def step(carry, transition):
        """From the last step to the first."""
        next_advantage, next_value = carry
        next_value = jnp.where(transition.truncated, transition.final_value, next_value)
        next_value = jnp.where(transition.terminated, 0.0, next_value)
        goes_on = ~(transition.terminated | transition.truncated)
        delta = transition.reward + gamma * next_value - transition.value
        advantage = delta + gamma * lambda_ * goes_on * next_advantage
        return (advantage, transition.value), advantage

    start = (jnp.zeros_like(last_val), last_val)
    _, advantages = jax.lax.scan(step, start, traj_batch._replace(obs=None), reverse=True, unroll=8)
    return advantages, advantages + traj_batch.value
