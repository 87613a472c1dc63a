"""The scripts in ``agents/``: each plays from the command line, prints what happens, and explains wrong options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from agents import best_of_n, evolve, prompt_optimiser, random_search, react, scripted
from discoenv.agents.prompts.optimise import most_episodes
from discoenv.episodes.record import EpisodeRecord
from discoenv.tasks.task import Task
from tests.agents.conftest import KEY, ended
from tests.agents.llm.openai_server import Fail, FakeOpenAI, Say
from tests.conftest import TOY

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [react, best_of_n, scripted, random_search, evolve, prompt_optimiser]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs a script with some arguments, in an empty folder and without settings of the user's."""
    for name in ("DISCOENV_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(script: Any, *arguments: str) -> Result:
        app = typer.Typer()
        app.command()(script.main)
        return CliRunner().invoke(app, arguments)

    return run


def test_the_folder_holds_short_scripts_and_nothing_else() -> None:
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "agents").glob("*.py")}
    assert set(sources) == {"__init__", *(script.__name__.removeprefix("agents.") for script in SCRIPTS)}
    assert {name for name, source in sources.items() if source.count("\n") > 60} == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_describes_its_options(script: Any, invoke: Callable[..., Result]) -> None:
    shown = invoke(script, "--help")
    assert shown.exit_code == 0
    assert "--sandbox" in shown.output
    assert "--runs" in shown.output


def test_react_plays_an_episode_and_prints_it(tmp_path: Path) -> None:
    module = (ROOT / "discoenv/domains/GreenhouseGasPrediction/candidates/02_harmonics/model.py").read_text()
    task = tmp_path / "task.yaml"
    task.write_text(
        "domain: GreenhouseGasPrediction\nmodules: [model]\nmeta_train: [BoxModel/N2O]\nmeta_test: [BoxModel/SF6]\n"
        "scale: tiny\ntest_seeds: 1\n"
    )
    options: list[str | Path] = [
        "--model",
        "fake",
        "--task",
        task,
        "--max-tokens",
        "100000",
        "--runs",
        tmp_path / "runs",
    ]
    write = ("write_file", {"path": "model.py", "content": module})
    script = [Say("I write.", [write]), Say("", [("run", {})]), Say("", [("submit", {})])]
    with FakeOpenAI(script) as server:
        done = subprocess.run(
            [sys.executable, ROOT / "agents/react.py", *options, "--base-url", server.url],
            env={"PATH": "/usr/bin:/bin:/usr/sbin", "HOME": str(tmp_path), "OPENAI_API_KEY": KEY},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "→ write_file" in done.stdout
    assert "ended by submit" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "result.json").read_text())["reward"] > 0
    assert all(KEY not in path.read_text() for path in run.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("script", "answer", "status"),
    [
        (react, Fail(401, "the key has expired"), 4),
        (react, Fail(403, "not in your country"), 4),
        (react, Fail(404, "no such model"), 4),
        (react, Fail(429, "slow down"), 4),
        (react, Fail(500, "oops"), 4),
        (react, Say("Hm."), 5),
        (best_of_n, Say("Hm."), 6),
    ],
)
def test_the_exit_status_says_that_nothing_was_submitted(
    script: Any, answer: Any, status: int, toy: Any, task: Task, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "task.yaml").write_text(task.to_yaml())
    with FakeOpenAI([], repeat=answer) as server:
        done = invoke(
            script, "--model", "fake", "--base-url", server.url, "--task", str(tmp_path / "task.yaml"), "--retries", "0"
        )
    assert done.exit_code == status, done.output
    assert "no reward" in done.output
    assert "nothing was submitted" in " ".join(done.output.split())
    (run,) = (tmp_path / "runs").iterdir()
    assert EpisodeRecord.load(run).was_left


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-cost", "1"], "--prompt-price"),
        (["--tool-calls", "maybe"], "must be native, text or auto"),
        (["--task", "OnPolicyRL_lost"], "OnPolicyRL_loss"),
        (["--base-url", ""], "set OPENAI_API_KEY"),
        (["--max-calls", "0"], "--max-calls"),
        (["--reference", "mine"], "'mine'"),
        (["--objective", "tim"], "did you mean 'time'"),
    ],
)
def test_wrong_options_of_react_are_one_message(
    arguments: list[str], message: str, invoke: Callable[..., Result]
) -> None:
    done = invoke(react, "--model", "fake", "--base-url", "http://127.0.0.1:9/v1", *arguments)
    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit)
    assert message in done.stderr


def test_scripted_prints_an_episode_as_it_goes_and_beats_the_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.main(domain="GreenhouseGasPrediction", scale="small", seed=1, runs=tmp_path)
    printed = capsys.readouterr().out
    for expected in ("meta-train", "meta-test", "episode over", "discoenv replay"):
        assert expected in printed
    (result,) = tmp_path.glob("*/result.json")
    assert json.loads(result.read_text())["reward"] > 1.0


def test_random_search_prints_an_episode_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], toy: Any, sandbox_name: str
) -> None:
    random_search.main(domain="Toy", scale="tiny", steps=3, sandbox=sandbox_name, seed=0, runs=tmp_path, changes=1.5)
    printed = capsys.readouterr().out
    for expected in ("the base modules", "a change of the best", "submit candidate", "meta-test", "episode over"):
        assert expected in printed


def test_a_killed_run_of_evolution_goes_on_from_the_command_line(tmp_path: Path, task: Task, sandbox_name: str) -> None:
    outside = task.model_copy(update={"domain": "toy/Toy"})
    (tmp_path / "task.yaml").write_text(outside.to_yaml())
    environment = {**os.environ, "DISCOENV_PACKS": str(TOY), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, str(ROOT / "agents/evolve.py"), "--sandbox", sandbox_name, "--num-envs", "2"]
    new = [
        "--task",
        str(tmp_path / "task.yaml"),
        "--generations",
        "4",
        "--children",
        "2",
        "--runs",
        str(tmp_path / "runs"),
    ]
    process = subprocess.Popen([*command, *new], env=environment, stdout=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("runs/*/individuals/*.json"))) < 4:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    (directory,) = (tmp_path / "runs").iterdir()
    before = {number: each for number, each in ended(directory).items() if each[-1]}
    assert not (directory / "result.json").exists()
    finished = subprocess.run(
        [*command, "-r", str(directory)], env=environment, capture_output=True, text=True, check=True
    )
    assert "submitted" in finished.stdout
    after = ended(directory)
    assert len(after) == 9
    assert {number: after[number] for number in before} == before
    assert json.loads((directory / "result.json").read_text())["individuals"] == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operator", "magic"], "known are ast and llm"),
        (["-r", "nowhere"], "evolve.json is missing"),
        (["-r", "nowhere", "--children", "3", "--runs", "x"], "--children, --runs has no effect beside --resume"),
        (["-r", "nowhere", "--budget-scale", "3"], "--budget-scale has no effect beside --resume"),
        (
            ["--domain", "Toy", "--scale", "tiny", "--temperature", "1"],
            "--temperature has no effect beside --operator ast",
        ),
        (
            ["--operator", "llm", "--model", "m", "--changes", "3", "--domain", "Toy", "--scale", "tiny"],
            "--changes has no effect beside --operator llm",
        ),
        (["--operator", "llm", "--domain", "Toy", "--scale", "tiny"], "needs --model"),
    ],
)
def test_wrong_options_of_evolution_are_explained(
    arguments: list[str], message: str, toy: Any, invoke: Callable[..., Result]
) -> None:
    result = invoke(evolve, *arguments)
    assert result.exit_code == (1 if "no effect" in message else 2)  # an error of ours, or one of Typer's
    assert message in " ".join(result.output.replace("│", " ").split())


def test_the_budget_is_stated_and_nothing_is_spent_on_a_dry_run(
    toy: Any, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "task.yaml").write_text(task.to_yaml())
    study = {"study": True, "rounds": 4, "domain": ["Toy"], "scale": "tiny", "held_out": [str(tmp_path / "task.yaml")]}
    llm = {"model": "fake", "max_calls": 10, "max_tokens": 1000, "context_tokens": 2000}
    prompt_optimiser.main(**study, **llm, context=None, dry_run=True, runs=tmp_path / "runs")
    searches = [most_episodes(k, rounds=4, minibatch=3) for k in (1, 5, 10, 30)]
    assert searches == [1 + 4 * 3, 5 + 4 * 11, 10 + 4 * 16, 30 + 4 * 36]
    episodes = sum(searches) + 5
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        f"{episodes:,} episodes, {10 * episodes + 16:,} model calls, {1000 * episodes + 16 * 2000:,} tokens" in printed
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model is needed"),
        (["--model", "m", "--agent", "x"], "known are react"),
        (["-r", "no"], "not a run"),
        (["-r", "no", "--rounds", "3"], "--rounds has no effect beside --resume"),
    ],
)
def test_wrong_options_of_the_prompt_optimiser_are_explained(
    arguments: list[str], message: str, invoke: Callable[..., Result]
) -> None:
    result = invoke(prompt_optimiser, *arguments)
    assert result.exit_code == (1 if "no effect" in message else 2)  # an error of ours, or one of Typer's
    assert message in " ".join(result.output.replace("│", " ").split())
