"""What the tests of UnsupervisedEnvironmentDesign share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN

DOMAIN = Domain(BUILTIN / "UnsupervisedEnvironmentDesign")
OFFLINE = [name for name, entry in DOMAIN.specification.datasets.items() if not entry.gpu]
#: Few and short cycles, of which the last two are examined.
SHORT = {"NUM_ENVS": 8, "UPDATES": 2, "CANDIDATES": 16, "KEEP": 8, "REPLAY_KEEP": 16, "CHECKPOINTS": 2}


def short_config(dataset: str, cycles: int = 3, **changes: Any) -> dict[str, Any]:
    """A configuration of that many cycles."""
    config = {**DOMAIN.config(dataset, "tiny"), **SHORT, **changes}
    steps = config["NUM_ENVS"] * config["NUM_STEPS"] * config["UPDATES"]
    return {**config, "TOTAL_TIMESTEPS": cycles * steps}


def trained(code: Any, values: Mapping[str, Any], seeds: Sequence[int] = (0,)) -> list[tuple[Any, Any]]:
    """States that the learner's code hands over, and their curves, one of each per seed; compiled once."""
    import jax  # an extra
    import numpy as np

    train = jax.jit(code.main.make_train(code.run_config.get_config(values)))
    found = []
    for seed in seeds:
        params, taken, curve = jax.tree.map(np.asarray, train(jax.random.key(seed)))
        found.append(({"params": params, "env_steps": taken}, curve))
    return found


@pytest.fixture(scope="session")
def generator() -> Any:
    """A NumPy generator of a fixed seed."""
    import numpy as np

    return np.random.default_rng(0)
