"""What tests of adapters share: the framework or a reason to skip, episodes by a script, and what they are worth."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import gymnasium
import psutil
import pytest

from discoenv.adapters.frameworks import FRAMEWORKS
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.discobench import discobench_task
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

#: Features of the toy domain that take longer than any test.
SLOW = "import time\n\n\ndef features(x):\n    time.sleep(60)\n    return x[:, None]\n"


class Call(NamedTuple):
    """A call of a tool."""

    name: str
    arguments: Mapping[str, Any]


#: Domains that every framework plays: scikit-learn, JAX, and PyTorch.
REAL = (
    "GreenhouseGasPrediction",
    pytest.param("OnPolicyRL", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    pytest.param("ContinualLearning", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
)


class Played(NamedTuple):
    """What is played: a task, and modules for it. Those of the toy task are better than the baseline."""

    task: Task
    files: dict[str, str]

    @property
    def base(self) -> dict[str, str]:
        """The base modules of the task."""
        return base_of(self.task)


def framework(name: str, module: str = "") -> ModuleType:
    """The framework, or a module of it; where it is not installed, the tests are skipped and the summary says why."""
    found = FRAMEWORKS[name]
    reason = f"{found.title} is not installed here: `make adapters` tests with it"
    imported: ModuleType = pytest.importorskip(module or found.module, reason=reason, exc_type=ImportError)
    return imported


def script(files: Mapping[str, str], *, submit: bool = True) -> list[Call]:
    """Calls that write files, run them, and submit."""
    calls = [Call("write_file", {"path": name, "content": text}) for name, text in files.items()]
    return [*calls, Call("run", {}), *([Call("submit", {})] if submit else [])]


def gym_reward(
    task: Task | str, files: Mapping[str, str], seed: int, *, sandbox: Sandbox | str = "auto", **settings: Any
) -> float:
    """The reward of the same calls through ``gym.make``."""
    env = gymnasium.make("DiscoGen-v0", task=task, sandbox=sandbox, runs_dir=None, **settings)
    env.reset(seed=seed)
    env.step({"command": "run", "edits": [{"path": name, "content": text} for name, text in files.items()]})
    *_, reward, _, _, _ = env.step("submit")
    env.close()
    return float(reward)


def real_task(domain: str) -> Task:
    """A DiscoBench task at scale tiny, the first of the domain; the test is skipped where its packages are missing."""
    found = get_domain(domain)
    name = f"{domain}_{next(iter(found.modules))}"
    task = discobench_task(name, scale="tiny")
    missing = _missing(found, [*task.meta_train, *task.meta_test])
    if missing:
        pytest.skip(f"{domain} needs packages that this environment lacks: {', '.join(missing)}")
    return task


def _missing(domain: Domain, datasets: Sequence[str]) -> list[str]:
    return sorted({name for dataset in datasets for name in domain.missing_for_training(dataset)})


def base_of(task: Task) -> dict[str, str]:
    """The base modules of a task."""
    return base_modules(task)


def exams_below() -> list[str]:
    """Command lines of learners below this process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = " ".join(child.cmdline())
            if "main.py" in line or Path(line.split(" ")[0]).name == "bwrap":
                found.append(line)
    return found


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not become so"
        time.sleep(0.02)
