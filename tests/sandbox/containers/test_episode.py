"""Whole episodes in containers: the same score as in bubblewrap, and every way of ending badly is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.sandbox import Sandbox
from discoenv.sandbox.containers.engine import Engine
from discoenv.sandbox.containers.images import ImageMissing, find
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.tasks.domain import Domain
from tests.conftest import each_exam
from tests.real_domains import base_source, tiny_module, tiny_task
from tests.sandbox.providers import CONTAINERS
from tests.test_secret import played

pytestmark = pytest.mark.docker
#: Reward, raw value and statuses of the exams.
Score = tuple[float, float, list[str]]


def play(sandbox: Sandbox, domain: str, source: str, **arguments: Any) -> tuple[float, dict[str, Any]]:
    """Reward and the only record of an episode whose only module is ``source``."""
    env = DiscoGenEnv(task=tiny_task(domain), sandbox=sandbox, runs_dir=None, **arguments)
    try:
        env.reset(seed=7)
        edits = [{"path": f"{tiny_module(domain)}.py", "content": source}]
        _, reward, terminated, _, info = env.step({"edits": edits, "command": "submit"})
        assert terminated
        (record,) = info["meta_test"].values()
        return float(reward), record
    finally:
        env.close()


def scores(engine: Engine, domain: str, family: str) -> tuple[Score, list[Score]]:
    """What an episode of the base modules scores in bubblewrap; and in containers, cold ones and one that waits."""
    try:
        find(engine.client, family)
    except ImageMissing as error:
        pytest.skip(str(error))
    check = BubblewrapSandbox.check()
    if not check.works:
        pytest.skip(f"bubblewrap does not work here: {check.detail}")
    source = base_source(domain, tiny_module(domain))
    found = []
    for sandbox in (BubblewrapSandbox(), CONTAINERS(pool_size=0), CONTAINERS(pool_size=1)):
        reward, record = play(sandbox, domain, source)
        sandbox.close()
        found.append((reward, record["metric"], each_exam(record, "status")))
    assert found[0][-1] == ["ok"]
    return found[0], found[1:]


def test_forecasting_scores_the_same_as_in_bubblewrap(engine: Engine) -> None:
    here, contained = scores(engine, "GreenhouseGasPrediction", "sklearn")
    assert contained == [here, here]


@pytest.mark.usefixtures("engine")
def test_a_seed_gives_the_same_task_and_scores_as_in_bubblewrap() -> None:
    contained = played(CONTAINERS.name)
    assert contained == played("bubblewrap")
    assert contained[1] != 0


@pytest.mark.slow
def test_reinforcement_learning_scores_the_same_as_in_bubblewrap(engine: Engine) -> None:
    here, contained = scores(engine, "OnPolicyRL", "rl")
    assert contained == [here, here]


WAYS_TO_END = {
    "a fork bomb": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
        "error",
    ),
    "100 GiB": (
        "import mmap\nm = mmap.mmap(-1, 100 << 30)\nfor i in range(0, 100 << 30, 4096):\n    m[i] = 1\n",
        "memory",
    ),
    "a full scratch": ("with open('/tmp/x', 'wb') as f:\n    while True:\n        f.write(bytes(1 << 20))\n", "error"),
    "a flood of output": ("import os\nfor _ in range(1024):\n    os.write(1, b'x' * (1 << 20))\n", "error"),
    "ignored signals": ("import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True:\n    pass\n", "timeout"),
}


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_it_is_scored_and_the_next_step_works(
    way: str, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from discoenv.tasks.registry import get_domain

    specification = get_domain("GreenhouseGasPrediction").specification
    least = specification.limits.model_copy(update={"memory_gib": 1.0, "scratch_gib": 0.1})
    monkeypatch.setattr(Domain, "importable", None)  # what modules may import is no matter here
    source, status = WAYS_TO_END[way]
    honest = base_source("GreenhouseGasPrediction", "model")
    sandbox = CONTAINERS()
    env = DiscoGenEnv(
        task=tiny_task("GreenhouseGasPrediction"),
        sandbox=sandbox,
        runs_dir=tmp_path,
        max_steps=5,
        limits={"budget_scale": 0.01},
    )
    try:
        env.reset(seed=7)
        for text, expected, budget_s in ((source, {status, "error", "timeout"}, 6.0), (honest, {"ok"}, 60.0)):
            limits = least.model_copy(update={"minimum_budget_s": budget_s, "start_s": 0.0})
            monkeypatch.setitem(specification.__dict__, "limits", limits)
            edits = [{"path": "model.py", "content": text}]
            _, _, terminated, _, info = env.step({"edits": edits, "command": "run"})
            assert not terminated
            assert "infra_error" not in info
            (record,) = info["meta_train"].values()
            assert set(each_exam(record, "status")) <= expected, record
    finally:
        env.close()
        sandbox.close()
