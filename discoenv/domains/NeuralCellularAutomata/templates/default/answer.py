"""Runs a trained automaton: what the examiner asks for."""

import exam
import jax
import jax.numpy as jnp
import numpy as np
from flax.core import FrozenDict
from nca import NCA


def make_step(config):
    """One step of an automaton, as a pure function of its parameters.

    Args:
        config: the run's configuration.

    Returns:
        ``step(params, states, noise)``, which maps float32[N, H, W, CHANNELS] and uint8[N, H, W], uniform noise in
        units of 1/256, to float32[N, H, W, CHANNELS].
    """
    nca = NCA(FrozenDict(config))

    def step(params, states, noise):
        # GPUs round products more coarsely otherwise, so that a moved grid would not become quite the same.
        with jax.default_matmul_precision("float32"):
            return nca.step(params, states, (noise + 0.5) / 256.0)

    return step


def make_grow(config):
    """Some steps of an automaton, as one program.

    Args:
        config: the run's configuration.

    Returns:
        ``grow(params, states, noise, steps)``: states after the first ``steps`` steps with noise uint8[T, N, H, W], and
        the largest absolute value of all of them, float32[].
    """
    step = make_step(config)

    def grow(params, states, noise, steps):
        def body(number, carry):
            states, largest = carry
            states = step(params, states, noise[number])
            return states, jnp.maximum(largest, jnp.abs(states).max())

        return jax.lax.fori_loop(0, steps, body, (states, jnp.float32(0.0)))

    return grow


class Automaton:
    """An automaton as the examiner questions it, with the parameters that training handed over."""

    def __init__(self, config, state):
        self._step = jax.jit(make_step(config))
        self._params = state

    def step(self, states, noise):
        """States after one step, float32[N, H, W, CHANNELS]; see ``make_step``."""
        return np.asarray(self._step(self._params, states, noise))


make = Automaton

if __name__ == "__main__":
    exam.answer(make)
