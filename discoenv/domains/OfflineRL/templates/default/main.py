"""Trains one agent on recorded trajectories with the discovered modules, and hands it over.

What uses it is answer.py.
"""

from pathlib import Path

import exam
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from data import load, pack
from flax.core import FrozenDict, unfreeze
from sampler import draw_indices
from train import make_train

#: Lines of the learning curve.
LINES = 10


def train(config, data, seed):
    """All of training: one program.

    Args:
        config: the run's configuration (immutable mapping).
        data: Batch of all transitions, NumPy arrays.
        seed: of everything random.

    Returns:
        (params, curve, steps): the actor's parameters; what ``update`` informed of, means over equal parts of the
        training, a dict of float32[LINES]; and how many gradient steps were made.
    """
    table, unpack = pack(data)
    training = make_train(config, data.actions.shape[1])
    shape = (config["GRADIENT_STEPS"], config["BATCH_SIZE"])

    @jax.jit
    def run(key, table):
        index_key, init_key, step_key = jax.random.split(key, 3)
        indices = draw_indices(index_key, unpack(table), config)
        if indices.shape != shape or indices.dtype != jnp.int32:
            raise ValueError(f"sampler.py: indices are {indices.dtype}{indices.shape}; expected int32{shape}")
        state = training.init(init_key, unpack(table[:1]))

        def step(carry, inputs):
            state, steps = carry
            rows, number = inputs
            state, info = training.update(state, unpack(table[rows]), jax.random.fold_in(step_key, number))
            return (state, steps + 1), info

        numbers = jnp.arange(shape[0])
        (state, steps), info = jax.lax.scan(step, (state, jnp.int32(0)), (indices, numbers))
        part = shape[0] // LINES
        curve = jax.tree.map(lambda x: x[: part * LINES].reshape(LINES, part).mean(axis=1), info)
        return training.policy(state), curve, steps

    params, curve, steps = run(jax.random.key(seed), table)
    return params, jax.tree.map(np.asarray, curve), int(steps)


def report(curve, config):
    """Print a line for each part of the training."""
    names = sorted(curve)
    print("until step" + "".join(f" {name:>16}" for name in names))
    for line in range(LINES):
        until = (line + 1) * config["GRADIENT_STEPS"] // LINES
        print(f"{until:10,}" + "".join(f" {curve[name][line]:16.4f}" for name in names))


def main():
    """Train and hand over."""
    config = FrozenDict(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    data, normalisation = load(exam.training_data())
    print(f"{len(data.rewards):,} transitions, {int((1 - data.masks).sum()):,} of which reach the goal")
    params, curve, steps = train(config, data, exam.seed())
    report(curve, config)
    exam.hand_over({"actor": unfreeze(params), "normalisation": normalisation, "gradient_steps": steps})


if __name__ == "__main__":
    main()
