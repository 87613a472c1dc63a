"""Trains one automaton with the discovered modules, then lets the examiner run it."""

import functools
from pathlib import Path

import exam
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from flax.core import FrozenDict
from nca import NCA
from optimiser import create_optimizer
from pool import Samples, draw
from train import make_train_step

#: Lines of progress.
REPORTS = 10


class Automaton:
    """The trained automaton as the examiner sees it."""

    def __init__(self, nca, params):
        self._params = params

        @jax.jit
        def step(params, states, noise):
            # GPUs round products more coarsely otherwise, so that a moved grid would not become quite the same.
            with jax.default_matmul_precision("float32"):
                return nca.step(params, states, (noise + 0.5) / 256.0)

        self._step = step

    def grow(self, states, noise):
        """States after T steps.

        Args:
            states: float32[N, H, W, CHANNELS].
            noise: uint8[T, N, H, W], uniform: the noise of every step, in units of 1/256.

        Returns:
            float32[N, H, W, CHANNELS].
        """
        states = jnp.asarray(states)
        for each in noise:
            states = self._step(self._params, states, jnp.asarray(each))
        return np.asarray(states)


def train(config, data, key):
    """Train an automaton on Samples ``data``; returns it with its parameters and prints the loss ten times."""
    nca, optimizer = NCA(config), create_optimizer(config)
    train_step = make_train_step(nca, optimizer, data, config)

    @jax.jit  # what is done outside of functions like this one is compiled operation by operation
    def begin(key, data):
        key_init, key_pool, key_train = jax.random.split(key, 3)
        return nca.init(key_init, data.states[:1]), draw(data, key_pool, config["POOL"]), key_train

    @functools.partial(jax.jit, static_argnames="count")
    def train_steps(carry, key_train, count):
        def body(carry, key):
            *carry, loss = train_step(*carry, key)
            return tuple(carry), loss

        key_train, key = jax.random.split(key_train)
        carry, losses = jax.lax.scan(body, carry, jax.random.split(key, count))
        return carry, key_train, losses.mean()

    params, pool, key_train = begin(key, data)
    carry = (params, optimizer.init(params), pool)
    print(f"{'steps':>8} {'training loss':>14}")
    most = max(1, config["TRAIN_STEPS"] // REPORTS)
    for done in range(0, config["TRAIN_STEPS"], most):
        count = min(most, config["TRAIN_STEPS"] - done)
        carry, key_train, loss = train_steps(carry, key_train, count)
        print(f"{done + count:8,} {float(loss):14.6f}", flush=True)
    return nca, carry[0]


def main():
    """Train and serve."""
    config = FrozenDict(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    data = Samples(**{name: jnp.asarray(values) for name, values in exam.training_data().items()})
    exam.serve(Automaton(*train(config, data, jax.random.key(exam.seed()))))


if __name__ == "__main__":
    main()
