"""Advantages of actions (Schulman et al., 2016, GAE), and the step of a value function towards their targets."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def gae(
    reward: jax.Array, done: jax.Array, value: jax.Array, discount: float, lambda_: float
) -> tuple[jax.Array, jax.Array]:
    """Generalised advantage estimates.

    ``A_t = delta_t + discount * lambda * (1 - d_t) * A_{t+1}`` with
    ``delta_t = r_t + discount * (1 - d_t) * V_{t+1} - V_t``.

    Args:
        reward, done: ``[..., T]``.
        value: ``[..., T + 1]``; the last one is bootstrapped from.
        discount, lambda_: in [0, 1].

    Returns:
        Advantages and targets ``A + V``, ``[..., T]`` each.
    """
    goes_on = discount * (1 - jnp.asarray(done, value.dtype))
    delta = reward + goes_on * value[..., 1:] - value[..., :-1]

    def step(ahead: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta, goes_on = now
        advantage = delta + lambda_ * goes_on * ahead
        return advantage, advantage

    time_first = (jnp.moveaxis(delta, -1, 0), jnp.moveaxis(goes_on, -1, 0))
    _, advantage = jax.lax.scan(step, jnp.zeros_like(delta[..., 0]), time_first, reverse=True)
    advantage = jnp.moveaxis(advantage, 0, -1)
    return advantage, advantage + value[..., :-1]


def normalised(advantage: jax.Array) -> jax.Array:
    """Zero mean and unit deviation over all elements."""
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)
