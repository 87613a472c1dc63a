"""A neural cellular automaton: a grid of cells that all follow one learned rule, made of perceive.py and update.py.

The grid is a torus: its edges are joined. Every state is float32[N, H, W, CHANNELS]: N grids, computed side by side.
"""

import jax
import jax.numpy as jnp
from perceive import create_perceive
from update import create_update


class NCA:
    """The rule, as pure functions of its parameters.

    Args:
        config: the run's configuration; the last PRESERVE channels are inputs, which no step changes.
    """

    def __init__(self, config):
        self._perceive = create_perceive(config)
        self._update = create_update(config)
        self._preserve = config["PRESERVE"]

    def init(self, key, states):
        """Parameters {"perceive": ..., "update": ...} for states float32[N, H, W, CHANNELS]."""
        key_perceive, key_update = jax.random.split(key)
        perceive = self._perceive.init(key_perceive, states)
        perception = self._perceive.apply(perceive, states)
        update = self._update.init(key_update, states, perception, jnp.zeros((*states.shape[:3], 1)))
        return {"perceive": perceive.get("params", {}), "update": update.get("params", {})}

    def step(self, params, states, noise):
        """One step of all cells.

        Args:
            params: as from ``init``.
            states: float32[N, H, W, CHANNELS].
            noise: float32[N, H, W], uniform in [0, 1); the only source of randomness.

        Returns:
            float32[N, H, W, CHANNELS].
        """
        perception = self._perceive.apply({"params": params["perceive"]}, states)
        new = self._update.apply({"params": params["update"]}, states, perception, noise[..., None])
        if self._preserve:
            new = jnp.concatenate([new[..., : -self._preserve], states[..., -self._preserve :]], axis=-1)
        return new

    def rollout(self, params, states, key, steps):
        """``steps`` steps with noise drawn from ``key``: float32[steps, N, H, W, CHANNELS], the state after each."""

        def body(states, key):
            states = self.step(params, states, jax.random.uniform(key, states.shape[:3]))
            return states, states

        return jax.lax.scan(body, states, jax.random.split(key, steps))[1]
