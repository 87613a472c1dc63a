"""GEPA rewrites modules: a candidate is run once, the best one is submitted, a failing machine is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from discoenv.adapters.gepa import ModuleEvaluator, optimise_modules
from discoenv.adapters.session import Session, SessionHost
from discoenv.errors import InfraError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from tests.adapters import playing
from tests.adapters.playing import REAL, base_of, gym_reward, real_task
from tests.conftest import POLYNOMIAL_FEATURES, FailingSandbox

playing.framework("gepa")

Open = Callable[..., Session]


@pytest.fixture
def opened(task: Task, sandbox: Sandbox, tmp_path: Path) -> Iterator[Open]:
    """Opens sessions of the toy task that begins with the base modules."""
    made: list[SessionHost] = []

    def make(box: Sandbox = sandbox, max_steps: int = 5) -> Session:
        made.append(SessionHost(sandbox=box, runs_dir=tmp_path / "runs", max_steps=max_steps))
        return made[-1].open(task.model_copy(update={"start": "base"}))

    yield make
    for host in made:
        host.close()


def test_a_candidate_is_worth_its_run(opened: Open, good: dict[str, str]) -> None:
    session = opened()
    evaluate = ModuleEvaluator(session)
    assert evaluate.runs_left == 4
    base, said = evaluate(session.play.files)
    assert "Meta-train scores" in said["feedback"]
    better, _ = evaluate(good)
    assert better > base > 0
    assert evaluate(good)[0] == better  # known: it costs no action
    assert evaluate.runs_left == 2
    assert evaluate({"features.py": "import socket_of_mine\n"})[0] == 0.0
    assert (
        "cannot" in evaluate({"nothing.py": "1"})[1]["feedback"] or "no" in evaluate({"nothing.py": "1"})[1]["feedback"]
    )
    assert not evaluate.stop()


@pytest.mark.parametrize("domain", REAL)
def test_base_modules_are_worth_what_they_are_worth_in_gymnasium(domain: str, sandbox: Sandbox, tmp_path: Path) -> None:
    task = real_task(domain)
    files = base_of(task)
    with SessionHost(sandbox=sandbox, runs_dir=tmp_path / "runs", max_steps=5) as host:
        session = host.open(task, seed=1)
        score, _ = ModuleEvaluator(session)(files)
        reward = session.reward().reward
    assert score > 0
    assert reward == gym_reward(task, files, 1, sandbox=sandbox)


def test_gepa_finds_better_modules_and_submits_them(opened: Open, sandbox: Sandbox, task: Task) -> None:
    asked: list[str] = []

    def reflect(prompt: str) -> str:
        """Rewrites the features once, and else says the same again."""
        asked.append(prompt if isinstance(prompt, str) else json.dumps(prompt))
        shown = re.search(r"```\n(.*?)```", asked[-1], re.DOTALL)
        text = POLYNOMIAL_FEATURES if "def features" in asked[-1] else (shown[1] if shown else "")
        return f"```\n{text}```"

    session = opened()
    outcome = optimise_modules(session, reflect, components=["features.py"])
    assert asked
    assert "Meta-train scores" in asked[0]
    assert outcome.ended_by == "best_run"
    good = base_modules(task) | {"features.py": POLYNOMIAL_FEATURES}
    assert session.play.best is not None
    assert session.play.best.files["features.py"].strip() == good["features.py"].strip()
    assert outcome.reward > 1


def test_a_failing_machine_is_an_error(opened: Open, sandbox: Sandbox) -> None:
    with pytest.raises(InfraError, match="no space for another sandbox"):
        optimise_modules(opened(FailingSandbox(sandbox, 2)), lambda prompt: "```\n```")
