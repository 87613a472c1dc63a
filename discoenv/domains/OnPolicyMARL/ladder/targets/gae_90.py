"""GAE with λ = 0.9. Andrychowicz et al. 2021."""

import jax
import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    """Generalised advantage estimation."""
    gamma, lambda_ = config["GAMMA"], 0.9

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
