"""What the tests of NeuralCellularAutomata share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata.examiner import NeuralCellularAutomataExaminer
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner, import_learner

DOMAIN = Domain(BUILTIN / "NeuralCellularAutomata")
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def config_of(dataset: str, scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "GrowingButterfly", scale: str = "tiny", **changes: Any) -> NeuralCellularAutomataExaminer:
    return NeuralCellularAutomataExaminer(dataset, scale, config_of(dataset, scale, **changes))


class Automaton:
    """Steps by ``rule(states, noise) -> states``, and keeps the shapes of the noise."""

    def __init__(self, rule: Callable[[Any, Any], Any]) -> None:
        self.rule = rule
        self.asked: list[tuple[int, ...]] = []

    def step(self, states: Any, noise: Any) -> Any:
        assert states.dtype == np.float32
        assert noise.dtype == np.uint8
        self.asked.append(noise.shape)
        return self.rule(states, noise)


def by_rule(rule: Callable[[Any, Any], Any]) -> InProcessLearner:
    return InProcessLearner(Automaton(rule))


def some_states(config: dict[str, Any], count: int = 4, seed: int = 0) -> Any:
    shape = (count, config["GRID"], config["GRID"], config["CHANNELS"])
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def random_rule(code: Any, config: dict[str, Any], size: float = 0.3) -> Any:
    """The base modules as a rule, with random parameters that change something."""
    import jax
    import jax.numpy as jnp
    from flax.core import FrozenDict

    nca = code.nca.NCA(FrozenDict(config))
    states = jnp.zeros((1, config["GRID"], config["GRID"], config["CHANNELS"]))
    params = nca.init(jax.random.key(0), states)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    params = tree.unflatten([size * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)])
    step = jax.jit(lambda states, noise: nca.step(params, states, (noise + 0.5) / 256.0))
    return lambda states, noise: np.clip(np.asarray(step(states, noise)), -5, 5)
