"""Behaviour cloning, which floors and tables compare with: the mean action of the recordings, whatever the goal."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .recordings import Recording


def clone(recording: Recording, config: Mapping[str, Any], steps: int, seed: int) -> Callable[[Any], Any]:
    """A network of the base actor's size, trained on squared errors with Adam.

    Args:
        recording: what is imitated.
        config: of the dataset: HIDDEN, LAYERS, LR and BATCH_SIZE.
        steps: gradient steps.
        seed: of everything random.

    Returns:
        ``act(obs) -> float32[N, A]`` for float32[N, D].
    """
    obs = recording.observations[:, :-1].reshape(-1, recording.observations.shape[-1])
    actions = recording.actions.reshape(len(obs), -1)
    sizes = [obs.shape[1], *[config["HIDDEN"]] * config["LAYERS"], actions.shape[1]]
    draw = np.random.default_rng(seed)
    params = [
        (draw.standard_normal((a, b)).astype(np.float32) / np.float32(np.sqrt(a)), np.zeros(b, np.float32))
        for a, b in itertools.pairwise(sizes)
    ]
    rows = draw.integers(len(obs), size=(steps, config["BATCH_SIZE"]))
    mean, scale = obs.mean(axis=0), obs.std(axis=0) + 1e-3
    optimizer = optax.adam(config["LR"])

    def apply(params: Any, x: Any) -> Any:
        for weights, bias in params[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        weights, bias = params[-1]
        return jnp.tanh(x @ weights + bias)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return ((apply(params, x) - y) ** 2).mean()

    def train(params: Any, table: Any, targets: Any, rows: Any) -> Any:
        def step(carry: Any, rows: Any) -> Any:
            params, state = carry
            changes, state = optimizer.update(jax.grad(loss)(params, table[rows], targets[rows]), state)
            return (optax.apply_updates(params, changes), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), rows)[0][0]

    trained = jax.jit(train)(params, (obs - mean) / scale, actions, rows)
    applied = jax.jit(apply)
    return lambda obs: np.asarray(applied(trained, (np.asarray(obs, np.float32) - mean) / scale))
