"""Trains one automaton with the discovered modules, and hands its parameters over. What runs it is answer.py."""

import functools
from pathlib import Path

import exam
import jax
import jax.numpy as jnp
import yaml
from flax.core import FrozenDict, unfreeze
from nca import NCA
from optimiser import create_optimizer
from pool import Samples, draw
from train import make_train_step

#: Lines of progress.
REPORTS = 10


def train(config, data, key):
    """Train an automaton on Samples ``data``; returns its parameters and prints the loss ten times."""
    nca, optimizer = NCA(config), create_optimizer(config)

    @jax.jit  # what is done outside of functions like this one is compiled operation by operation
    def begin(key, data):
        key_init, key_pool, key_train = jax.random.split(key, 3)
        return nca.init(key_init, data.states[:1]), draw(data, key_pool, config["POOL"]), key_train

    @functools.partial(jax.jit, static_argnames="count")
    def train_steps(carry, key_train, data, count):  # data as an argument: one program serves all exams
        train_step = make_train_step(nca, optimizer, data, config)

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
        carry, key_train, loss = train_steps(carry, key_train, data, count)
        print(f"{done + count:8,} {float(loss):14.6f}", flush=True)
    return carry[0]


def main():
    """Train and hand over."""
    config = FrozenDict(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    data = Samples(**{name: jnp.asarray(values) for name, values in exam.training_data().items()})
    exam.hand_over(unfreeze(train(config, data, jax.random.key(exam.seed()))))


if __name__ == "__main__":
    main()
