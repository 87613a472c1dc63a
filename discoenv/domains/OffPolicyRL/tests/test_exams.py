"""OffPolicyRL's exams in a sandbox: a worse module lowers the score, and overstepping fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from discoenv.domains.OffPolicyRL.tests.conftest import CARTPOLE, DOMAIN
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import materialise

pytest.importorskip("jax")
pytest.importorskip("gymnax")


def exam_of(sandbox: Sandbox, workspace: Path, **changed: str) -> Any:
    """The result of one tiny CartPole exam of the base modules, some of them replaced."""
    task = Task(
        domain=DOMAIN.name,
        modules=tuple(DOMAIN.modules),
        meta_train=("Classic/CartPole",),
        meta_test=("Classic/Acrobot",),
        start="base",
        scale="tiny",
    )
    written = materialise(task, workspace)
    for module, text in changed.items():
        (workspace / "discovered" / f"{module}.py").write_text(text, encoding="utf-8")
    with Host(sandbox) as host:
        return host.run(
            written, ExamSpec(Setting(DOMAIN, "default", "Classic/CartPole", "tiny"), 0, 200, editable=tuple(changed))
        )


@pytest.mark.slow
def test_a_worse_module_lowers_the_score_and_overstepping_fails(sandbox: Sandbox, tmp_path: Path) -> None:
    base = {name: DOMAIN.module_text(name, backend="default", start="base") for name in DOMAIN.modules}
    honest = exam_of(sandbox, tmp_path / "honest")
    assert honest.metrics is not None, honest.message
    assert 0 < honest.metrics["env_steps"] <= CARTPOLE["TOTAL_TIMESTEPS"]

    backwards = base["q_update"].replace("learn_batch.reward +", "-learn_batch.reward +")
    assert backwards != base["q_update"]
    worse = exam_of(sandbox, tmp_path / "worse", q_update=backwards)
    assert worse.metrics is not None, worse.message
    assert worse.metrics["return_mean"] < 0.5 * honest.metrics["return_mean"]

    greedy = base["train"].replace('config["TOTAL_TIMESTEPS"] //', '2 * config["TOTAL_TIMESTEPS"] //')
    assert greedy != base["train"]
    overstepping = exam_of(sandbox, tmp_path / "overstepping", train=greedy)
    assert (overstepping.status, overstepping.metrics) == ("protocol_error", None)
    assert "take fewer in train.py" in overstepping.message
