"""Harbor reads the folders, finds nothing to complain of, and plays them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.adapters.harbor.export import HarborOptions, export
from discoenv.adapters.session import SessionHost
from discoenv.exams.secrets import SIZE, Secret
from tests.adapters import playing

playing.framework("harbor")
pytestmark = pytest.mark.timeout(900)  # trials of Harbor start many programs

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("HARBOR_TELEMETRY", "0")  # without a network, it would be waited for
SECRET = Secret(bytes(range(SIZE)))

Play = Callable[..., dict[str, Any]]


def exported_task(domain: str, folder: Path) -> Path:
    """The DiscoBench task of a domain's first module at scale tiny, as a folder of Harbor."""
    name = f"{domain}_{playing.real_task(domain).modules[0]}"
    with SessionHost(scale="tiny", sandbox="process", runs_dir=None) as host:
        (made,) = export([host.find(name)], folder, HarborOptions(secret=SECRET, max_runs=2))
    return made


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task at scale tiny."""
    return exported_task("GreenhouseGasPrediction", tmp_path_factory.mktemp("tasks"))


@pytest.fixture
def compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files are read without Docker's plugin, where there is none: ours need no normalising."""
    import harbor.lint.compose as linting

    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        monkeypatch.setattr(linting, "_load_compose", lambda path, **_: yaml.safe_load(path.read_text()))


@pytest.fixture
def play(exported: Path, tmp_path: Path) -> Iterator[Play]:
    """Plays a trial; its result."""

    def run(agent: str, *, folder: Path = exported, **variables: str) -> dict[str, Any]:
        command = [str(Path(sys.executable).with_name("harbor")), "run", "-p", str(folder), "-y", "-q"]
        command += ["-a", agent] if ":" not in agent else ["--agent-import-path", agent]
        command += ["--environment-import-path", "tests.adapters.harbor_environment:BubblewrapEnvironment"]
        command += ["-o", str(tmp_path / "jobs")]
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
        )
        found = list((tmp_path / "jobs").glob("*/*/result.json"))
        assert len(found) == 1, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(found[0].read_text())
        result["folder"] = found[0].parent
        return result

    yield run


def test_all_tasks_of_discobench_pass_harbors_lint(tmp_path: Path, compose: None) -> None:
    from harbor.lint.models import DEFAULT_RULES
    from harbor.lint.task import lint_task
    from harbor.models.task.task import Task

    with SessionHost(scale="small", sandbox="process", runs_dir=None) as host:
        entries = list(host.tasks("discobench"))
    folders = export(entries, tmp_path, HarborOptions(pinned=True))
    assert len(folders) == len(entries) > 20
    for folder in folders:
        assert [finding.message for finding in lint_task(folder, selected_rules=DEFAULT_RULES)] == []
        assert Task(folder).config.verifier.environment_mode == "separate"


@pytest.mark.parametrize("domain", playing.REAL)
def test_the_oracle_is_the_baseline(play: Play, domain: str, tmp_path: Path) -> None:
    result = play("oracle", folder=exported_task(domain, tmp_path / "tasks"))
    assert result["exception_info"] is None
    rewards = result["verifier_result"]["rewards"]
    task = playing.real_task(domain)
    assert rewards["reward"] == playing.gym_reward(task, playing.base_of(task), 0, secret=SECRET)
    if domain == "GreenhouseGasPrediction":  # the others' scores are of one seed, and noisy
        assert rewards["score"] == pytest.approx(1.0, abs=0.35)
    assert (rewards["valid"], rewards["isolated"]) == (1.0, 1.0)
    assert {key for key in rewards if "/" in key} == {f"normalised/{name}" for name in task.meta_test}


@pytest.mark.slow
def test_who_does_nothing_gets_the_floor(play: Play) -> None:
    rewards = play("nop")["verifier_result"]["rewards"]
    assert (rewards["score"], rewards["valid"], rewards["reward"]) == (0.0, 0.0, -1.0)


@pytest.mark.slow
def test_an_agent_has_a_client_for_exams_and_sees_nothing_of_the_verifier(play: Play, exported: Path) -> None:
    agent = "tests.adapters.harbor_environment:ClientAgent"
    result = play(agent, TEST_SOLUTION=str(exported / "solution"))
    assert result["verifier_result"]["rewards"]["score"] == pytest.approx(1.0, abs=0.35)
    said = next(result["folder"].rglob("client.txt")).read_text()
    assert "Meta-train scores" in said
    assert "1 of 2 runs are left." in said
    assert "| 1 " in said or "run 1" in said.lower()
    assert "unrecognized arguments: --nonsense" in said
    assert said.rstrip().endswith("$ ls /tests\n[0]")


@pytest.mark.slow
def test_a_failing_machine_is_an_exception_of_the_trial(play: Play, exported: Path, tmp_path: Path) -> None:
    """A verifier that cannot hold exams writes no reward."""
    broken = tmp_path / exported.name
    shutil.copytree(exported, broken)
    (broken / "tests" / "secret").write_text("no secret\n")
    result = play("oracle", folder=broken)
    assert result["verifier_result"] is None
    assert "Reward" in result["exception_info"]["exception_type"]
