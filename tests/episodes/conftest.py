"""Tasks of the real domains, small enough for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Task

#: One editable module per domain that every training run passes through.
MODULE = {
    "BayesianOptimisation": "acq_fn",
    "ComputerVisionClassification": "loss",
    "ContinualLearning": "optim",
    "GreenhouseGasPrediction": "model",
    "NeuralCellularAutomata": "update",
    "OffPolicyRL": "q_update",
    "OnPolicyRL": "targets",
}
DATASETS = {
    "BayesianOptimisation": (("Branin2d",), ("HolderTable2d",)),
    "ComputerVisionClassification": (("Digits",), ("DigitsLT",)),
    "ContinualLearning": (("PermutedDigits",), ("RotatedDigits",)),
    "GreenhouseGasPrediction": (("BoxModel/N2O",), ("BoxModel/SF6",)),
    "NeuralCellularAutomata": (("MatrixOperations",), ("DigitsInpainting",)),
    "OffPolicyRL": (("Classic/CartPole",), ("Classic/Acrobot",)),
    "OnPolicyRL": (("MinAtar/Breakout",), ("MinAtar/Freeway",)),
}


def tiny_task(domain: str, **changes: Any) -> Task:
    """One module, one dataset on each side, one seed, tiny scale."""
    meta_train, meta_test = DATASETS[domain]
    settings: dict[str, Any] = {
        "domain": domain,
        "modules": (MODULE[domain],),
        "meta_train": meta_train,
        "meta_test": meta_test,
        "scale": "tiny",
        "test_seeds": 1,
    }
    return Task(**(settings | changes))


def base_source(domain: str, module: str) -> str:
    """The base implementation of a module."""
    from discoenv.tasks import stubs

    return stubs.base(get_domain(domain).module_source(module, backend="default"), f"{module}.py")


@pytest.fixture
def make_env(tmp_path: Path) -> Iterator[Callable[..., DiscoGenEnv]]:
    """Environments that are closed after the test."""
    made: list[DiscoGenEnv] = []

    def make(**arguments: Any) -> DiscoGenEnv:
        # the cores are shared with other tests, and perhaps with other programs
        settings: dict[str, Any] = {"runs_dir": tmp_path / "runs", "limits": {"budget_scale": 20.0}}
        made.append(DiscoGenEnv(**(settings | arguments)))
        return made[-1]

    yield make
    for env in made:
        env.close()
