"""verifiers: its own runner plays tasks, rewards are those of Gymnasium, failures are errors of a rollout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.adapters import playing
from tests.adapters.playing import REAL, Call, base_of, gym_reward, real_task, script
from tests.agents.llm.openai_server import FakeOpenAI, Say

playing.framework("verifiers")

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = "GreenhouseGasPrediction"


@pytest.fixture
def evaluate(tmp_path: Path, sandbox: Sandbox) -> Callable[..., dict[str, Any]]:
    """Runs ``vf-eval`` on the first DiscoBench task of a domain with calls as a script; the trace of the rollout."""

    def run(calls: list[Call], sandbox_name: str = "", domain: str = DOMAIN) -> dict[str, Any]:
        path = tmp_path / "script.json"
        path.write_text(json.dumps([[call.name, call.arguments] for call in calls]))
        chosen = {
            "taskset.split": "discobench",
            "taskset.domain": domain,
            "taskset.scale": "tiny",
            "taskset.count": 1,
            "taskset.first": 1,  # the task of one module; the first is that of all
            "taskset.task.tools.sandbox": sandbox_name or sandbox.name,
            "taskset.task.tools.runs_dir": tmp_path / "runs",
            "agent.runtime.type": "subprocess",
            "agent.harness.id": "scripted-harness",
        }
        options = [part for name, value in chosen.items() for part in (f"--env.{name.replace('_', '-')}", str(value))]
        with FakeOpenAI([], repeat=Say("I use the tools.")) as server:
            command = [str(Path(sys.executable).parent / "vf-eval"), "discoenv-verifiers", "-n", "1", *options]
            command += ["--client.base-url", server.url, "--client.api-key-var", "FAKE_KEY", "--no-push", "--no-rich"]
            done = subprocess.run(
                [*command, "-o", str(tmp_path / "outputs")],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/adapters"), str(ROOT)]),
                    "FAKE_KEY": "none",
                    "SCRIPT": str(path),
                },
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
        found = sorted((tmp_path / "outputs").rglob("traces.jsonl"))
        assert found, done.stdout[-2000:] + done.stderr[-2000:]
        (line,) = found[-1].read_text().splitlines()
        episode = json.loads(line)
        (trace,) = episode["traces"]
        return {**trace, "ok": episode["ok"]}

    return run


@pytest.mark.parametrize("submits", [True, False])
@pytest.mark.parametrize("domain", REAL)
def test_a_rollout_is_worth_what_gymnasium_says(
    evaluate: Callable[..., dict[str, Any]], sandbox: Sandbox, domain: str, submits: bool
) -> None:
    task = real_task(domain)
    files = base_of(task)
    trace = evaluate(script(files, submit=submits), domain=domain)
    expected = gym_reward(task, files, 0, sandbox=sandbox)
    assert trace["ok"], trace["errors"]
    assert Task.model_validate(trace["task"]["data"]["task"]) == task
    assert trace["rewards"]["submitted"]["score"] == pytest.approx(expected)
    assert {name.partition("/")[2] for name in trace["metrics"] if "/" in name} == set(task.meta_test)
    assert trace["info"]["discoenv"]["ended_by"] == ("submit" if submits else "best_run")
    assert playing.exams_below() == []


def test_a_machine_that_fails_is_an_error_and_no_reward(evaluate: Callable[..., dict[str, Any]]) -> None:
    trace = evaluate([Call("run", {})], sandbox_name="nothing")
    assert not trace["ok"]
    assert "there is no sandbox named" in str(trace["errors"])
    assert trace["rewards"] == {}
