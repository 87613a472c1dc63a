"""The size of advantages (Jiang et al. 2021, Prioritized level replay): L1 value loss."""

import jax
import jax.numpy as jnp


def score_levels(play, config):
    """Scores float32[N] of N levels; see Play of play.py for the arrays [T, A, N]."""
    goes_on = 1.0 - play.ended
    next_value = jnp.concatenate([play.value[1:], play.last_value[None]])
    delta = play.reward + config["GAMMA"] * goes_on * next_value - play.value

    def back(advantage, now):
        delta, goes_on = now
        advantage = delta + config["GAMMA"] * config["GAE_LAMBDA"] * goes_on * advantage
        return advantage, advantage

    _, advantages = jax.lax.scan(back, jnp.zeros_like(play.last_value), (delta, goes_on), reverse=True)
    return jnp.abs(advantages).mean(axis=(0, 1))
