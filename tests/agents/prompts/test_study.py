"""The prompt optimiser finds a better prompt, tests it on held-out tasks, and goes on after it was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discoenv.agents.llm import best_of_n, react
from discoenv.agents.prompts.episodes import Assignment, EpisodePlayer, PlayedEpisode, sample_assignments
from discoenv.agents.prompts.optimise import Reflector
from discoenv.agents.prompts.study import StudySettings, run_study
from discoenv.agents.prompts.study_options import AgentModelOptions, StudyOptions, new_settings
from discoenv.errors import EpisodeSpoilt, TaskError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import stubs
from discoenv.tasks.task import Task
from tests.agents.conftest import MakeModel
from tests.agents.llm.openai_server import Answer, Fail, FakeOpenAI, Say
from tests.conftest import POLYNOMIAL_FEATURES, TOY, FailingSandbox

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = TOY / "Toy/templates/default"
BASE = {name: stubs.base((TEMPLATES / name).read_text(), name) for name in ("model.py", "features.py")}


def a_model_that_follows_advice(request: dict[str, Any]) -> Answer:
    """Writes the base modules, and better features if its prompt says so; as a reflecting model, says so."""
    messages = request["messages"]
    if messages[0]["role"] == "user":
        assert "reward" in messages[0]["content"].lower()
        return Say("This is what was missing.\n\n```\nYou write modules. Use POLYNOMIALS as features.\n```")
    if any(message["role"] == "tool" for message in messages):
        return Say("", [("submit", {})])
    editable = re.search(r"You may edit (.+?) and nothing else", messages[1]["content"])
    assert editable is not None
    modules = BASE | ({"features.py": POLYNOMIAL_FEATURES} if "POLYNOMIALS" in messages[0]["content"] else {})
    return Say("", [("write_file", {"path": name, "content": modules[name]}) for name in editable[1].split(", ")])


@pytest.fixture
def settings(toy: Any, task: Task, tmp_path: Path) -> StudySettings:
    """A search over one and over two tasks of the toy domain, and a task to test on."""
    (tmp_path / "held_out.yaml").write_text(task.to_yaml())
    study = StudyOptions(
        k=2,
        rounds=1,
        minibatch=2,
        max_steps=3,
        domain=["Toy"],
        scale="tiny",
        held_out=[str(tmp_path / "held_out.yaml")],
    )
    made = new_settings(study, AgentModelOptions(model="fake", max_calls=6, max_tokens=60_000))
    return replace(made, ks=[1, 2])


@pytest.fixture
def make_player(make_model: MakeModel, sandbox: Sandbox, tmp_path: Path) -> Iterator[Any]:
    made: list[EpisodePlayer] = []

    def make(url: str, **arguments: Any) -> EpisodePlayer:
        defaults: dict[str, Any] = {"player": {}, "max_steps": 3, "sandbox": sandbox, "parallel": 2}
        made.append(EpisodePlayer(tmp_path / "run", react.play, lambda: make_model(url), **(defaults | arguments)))
        return made[-1]

    yield make
    for player in made:
        player.close()


def test_a_better_prompt_is_found_and_helps_on_held_out_tasks(
    settings: StudySettings, make_player: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    played: list[PlayedEpisode] = []
    with FakeOpenAI(a_model_that_follows_advice) as server:
        player = make_player(server.url, on_episode=played.append)
        reflecting = make_model(server.url)
        study = run_study(tmp_path / "run", settings, player, lambda folder: Reflector(folder, reflecting))
        requests = len(server.requests)
        again = run_study(tmp_path / "run", settings, player, lambda folder: Reflector(folder, reflecting))
        assert len(server.requests) == requests  # all of it was on disk
    assert again == study
    assert [row["k"] for row in study["rows"]] == [0, 1, 2]
    before, *after = study["rows"]
    assert before["held_out_mean"] < 1.1
    for row in after:
        assert "POLYNOMIALS" in row["prompt"]
        assert row["accepted"] == 1
        assert row["training_score"] > row["training_score_before"]
        assert row["held_out_mean"] > before["held_out_mean"] + 0.05
        assert (tmp_path / f"run/k{row['k']:02d}/prompt.txt").read_text() == row["prompt"]
    assert len(played) <= settings.budget()["episodes"]
    assert sum(episode.calls for episode in played) <= settings.budget()["calls"]
    assert sum(episode.tokens for episode in played) <= settings.budget()["tokens"]
    assert json.loads((tmp_path / "run/study.json").read_text()) == study


def test_the_reflecting_model_reads_what_happened_and_nothing_of_the_hidden_datasets_but_scores(
    settings: StudySettings, make_player: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    with FakeOpenAI(a_model_that_follows_advice) as server:
        reflecting = make_model(server.url)
        run_study(
            tmp_path / "run", replace(settings, ks=[2], rounds=1), make_player(server.url),
            lambda folder: Reflector(folder, reflecting),
        )  # fmt: skip
        (asked,) = [body for body in server.requests if body["messages"][0]["role"] == "user"]
    text = asked["messages"][0]["content"]
    for expected in (
        react.INSTRUCTIONS[:60],
        "Toy regression",
        "write_file(path=",
        "submit()",
        "Reward ",
        "hidden datasets",
    ):
        assert expected in text
    hidden = {name for each in settings.training[:2] for name in each["task"]["meta_test"]}
    shown = {name for each in settings.training[:2] for name in each["task"]["meta_train"]}
    for name in hidden - shown:
        assert not re.search(rf"\b{name}\b", re.sub(r"Actions.*?## Feedback", "", text, flags=re.DOTALL))


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, task: Task, sandbox_name: str) -> None:
    outside = task.model_copy(update={"domain": "toy/Toy"})
    (tmp_path / "held_out.yaml").write_text(outside.to_yaml())
    environment = {
        **os.environ,
        "DISCOENV_PACKS": str(TOY),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OPENAI_API_KEY": "sk-test-0123456789abcdef",
    }
    command = [sys.executable, str(ROOT / "agents/prompt_optimiser.py"), "--sandbox", sandbox_name, "--parallel", "1"]
    new = ["--model", "fake", "-k", "2", "--rounds", "1", "--max-steps", "2", "--domain", "toy/Toy", "--scale", "tiny"]
    new += ["--held-out", str(tmp_path / "held_out.yaml")]

    def study(runs: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(next(runs.glob("*/study.json")).read_text())
        return content

    with FakeOpenAI(a_model_that_follows_advice) as server:
        command += ["--base-url", server.url]
        whole = [*command, *new, "--runs", str(tmp_path / "whole")]
        printed = subprocess.run(whole, env=environment, capture_output=True, text=True, check=True).stdout
        requests = len(server.requests)
        runs = tmp_path / "killed"
        process = subprocess.Popen([*command, *new, "--runs", str(runs)], env=environment, stdout=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 120
            while len(list(runs.glob("*/episodes/*.json"))) < 2:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        (directory,) = runs.iterdir()
        kept = {path: path.stat().st_mtime_ns for path in directory.glob("episodes/*.json")}
        before = len(server.requests)
        subprocess.run([*command, "-r", str(directory)], env=environment, capture_output=True, check=True)
        assert len(server.requests) - before < requests - 2  # the episodes that were over were not played again
    assert "at most" in printed.partition("recorded in")[0]  # the budget comes first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert study(runs) == study(tmp_path / "whole")


def test_best_of_n_is_optimised_too(
    settings: StudySettings, make_player: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        said = a_model_that_follows_advice({"messages": request["messages"][:2]})
        assert isinstance(said, Say)
        files = [arguments for _, arguments in said.calls]
        blocks = [f"### `{each['path']}`\n\n```python\n{each['content']}```\n" for each in files]
        return Say(said.text + "\n".join(blocks))

    with FakeOpenAI(answer) as server:
        reflecting = make_model(server.url)
        one = replace(settings, agent="best_of_n", prompt=best_of_n.INSTRUCTIONS, ks=[1], rounds=1)
        player = make_player(server.url)
        player._play = one.player()
        study = run_study(tmp_path / "run", one, player, lambda folder: Reflector(folder, reflecting))
    assert study["rows"][1]["held_out_mean"] > study["rows"][0]["held_out_mean"] + 0.05


def test_an_episode_that_the_machine_or_the_server_spoilt_is_not_kept(
    task: Task, sandbox: Sandbox, make_player: Any, tmp_path: Path
) -> None:
    assignments = [Assignment(task, 0)]
    with FakeOpenAI(a_model_that_follows_advice) as server:
        with pytest.raises(EpisodeSpoilt, match="no space"):
            make_player(server.url, sandbox=FailingSandbox(sandbox, failures=99)).play(assignments, "Prompt.")
        with (
            FakeOpenAI([], repeat=Fail(400, "no such model")) as broken,
            pytest.raises(EpisodeSpoilt, match="no such model"),
        ):
            make_player(broken.url).play(assignments, "Prompt.")
        assert not list((tmp_path / "run/episodes").iterdir())
        (episode,) = make_player(server.url).play(assignments, "Prompt.")
    assert episode.ended_by == "submit"
    (kept,) = (tmp_path / "run/episodes").iterdir()
    assert json.loads(kept.read_text())["reward"] == episode.reward


def test_a_question_asked_again_may_be_answered_otherwise_and_is_remembered(
    tmp_path: Path, make_model: MakeModel
) -> None:
    with FakeOpenAI([Say("one"), Say("two"), Say("three")]) as server:
        model = make_model(server.url)
        first = Reflector(tmp_path, model)
        assert [first("?"), first("?"), first("other?")] == ["one", "two", "three"]
        second = Reflector(tmp_path, model)
        assert [second("?"), second("other?"), second("?")] == ["one", "three", "two"]
        assert len(server.requests) == 3


def test_fewer_training_tasks_are_the_first_of_more(toy: Any) -> None:
    many = sample_assignments(6, seed=3, domains=["Toy"], scale="tiny")
    assert sample_assignments(2, seed=3, domains=["Toy"], scale="tiny") == many[:2]
    assert len({each.task.task_id for each in many}) == 6
    with pytest.raises(TaskError, match="different tasks"):
        sample_assignments(2, seed=3, domains=["Toy"], scale="full")


def test_held_out_tasks_are_drawn_from_discobench() -> None:
    drawn = new_settings(
        StudyOptions(k=1, domain=["GreenhouseGasPrediction"], scale="tiny", held_out_count=2),
        AgentModelOptions(model="fake"),
    )
    assert len(drawn.held_out) == 2
    assert all(each["task"]["domain"] == "GreenhouseGasPrediction" for each in drawn.held_out)
    assert drawn.training[0]["task"] not in [each["task"] for each in drawn.held_out]
