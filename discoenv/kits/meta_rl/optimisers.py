"""Gradient steps that can be differentiated themselves: clipped SGD for tables, Adam for networks and for the rule.

The derivative of a clipped step, or of Adam, is undefined where a gradient is exactly 0, as it is for states that were
not visited. Both are written such that it is 0 there and not NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp


class Trained(NamedTuple):
    """Parameters, and the state of the optimiser that trains them."""

    params: Any
    state: Any


class Optimiser(Protocol):
    """What all optimisers have in common. An optimiser is a constant of a compiled program."""

    def init(self, params: Any) -> Trained:
        """A pytree of parameters, before the first step."""

    def step(self, trained: Trained, gradient: Any) -> Trained:
        """After one step of descent; ``gradient`` is a pytree like the parameters."""


@dataclass(frozen=True)
class Sgd:
    """Descent by ``rate`` times the gradient, whose norm over all parameters is clipped to ``max_norm``."""

    rate: float
    max_norm: float = 0.5

    def init(self, params: Any) -> Trained:
        """Without a state."""
        return Trained(params, ())

    def step(self, trained: Trained, gradient: Any) -> Trained:
        """As described by :class:`Optimiser`."""
        squared = sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient))
        clipped = squared > self.max_norm**2
        scale = jnp.where(clipped, self.max_norm / jnp.sqrt(jnp.where(clipped, squared, 1)), 1)
        params = jax.tree.map(lambda p, g: p - self.rate * scale * g, trained.params, gradient)
        return Trained(params, trained.state)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015); the rate of step t, counted from 0, is ``max(rate * decay**t, min_rate)``."""

    rate: float
    decay: float = 1.0
    min_rate: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def init(self, params: Any) -> Trained:
        """First moment m, second moment v, number of steps t: all 0."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        return Trained(params, {"m": zeros, "v": zeros, "t": jnp.int32(0)})

    def step(self, trained: Trained, gradient: Any) -> Trained:
        """As described by :class:`Optimiser`."""
        state, t = trained.state, trained.state["t"] + 1
        m = jax.tree.map(lambda m, g: self.beta_1 * m + (1 - self.beta_1) * g, state["m"], gradient)
        v = jax.tree.map(lambda v, g: self.beta_2 * v + (1 - self.beta_2) * g**2, state["v"], gradient)
        rate = jnp.maximum(self.rate * self.decay ** (t - 1), self.min_rate)

        def moved(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            seen = v > 0
            deviation = jnp.sqrt(jnp.where(seen, v, 1) / (1 - self.beta_2**t)) + self.epsilon
            return p - jnp.where(seen, rate * m / (1 - self.beta_1**t) / deviation, 0).astype(p.dtype)

        return Trained(jax.tree.map(moved, trained.params, m, v), {"m": m, "v": v, "t": t})
