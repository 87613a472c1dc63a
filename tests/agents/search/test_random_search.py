"""Random search gets better on the datasets that it sees, and submits the best of what it ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from discoenv.agents import loop
from discoenv.agents.search.random_search import RandomSearch
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.real_domains import tiny_task


def recorded_scores(runs: Path) -> list[float]:
    """Meta-train scores in the record of the only episode below ``runs``."""
    (directory,) = runs.iterdir()
    return [run.score for run in EpisodeRecord.load(directory).runs]


def searched(task: Task, tmp_path: Path, sandbox: Sandbox, *, steps: int, seed: int) -> list[float]:
    # Scores are what is tested, so a busy machine must not run into the compute budget.
    env = DiscoGenEnv(
        task=task, max_steps=steps, runs_dir=tmp_path / "runs", sandbox=sandbox, limits={"budget_scale": 50.0}
    )
    try:
        _, agent = loop.play(env, lambda info: RandomSearch(info["task"], seed=seed), seed=seed)
    finally:
        env.close()
    trials = agent.trials
    scores = recorded_scores(tmp_path / "runs")
    assert scores == [trial.score for trial in trials]
    (directory,) = (tmp_path / "runs").iterdir()
    best = max(trials, key=lambda trial: trial.score)
    assert EpisodeRecord.load(directory).modules() == best.modules
    return scores


def test_the_score_rises_on_the_toy_domain(task: Task, tmp_path: Path, sandbox: Sandbox) -> None:
    scores = searched(task, tmp_path, sandbox, steps=12, seed=0)
    assert len(scores) == 11
    assert max(scores) > scores[0] + 0.02


def test_the_score_rises_on_greenhouse_gases(tmp_path: Path, sandbox: Sandbox) -> None:
    modules = ("model", "data_processing")
    task = tiny_task("GreenhouseGasPrediction", modules=modules, meta_train=("BoxModel/CO2",))
    scores = searched(task, tmp_path, sandbox, steps=8, seed=1)
    assert max(scores) > scores[0] + 0.02


@pytest.mark.slow
def test_the_score_rises_in_reinforcement_learning(tmp_path: Path, sandbox: Sandbox) -> None:
    task = tiny_task("OnPolicyRL", modules=("schedule",))
    scores = searched(task, tmp_path, sandbox, steps=5, seed=1)
    assert max(scores) > scores[0]


def test_a_failed_candidate_is_not_climbed_from(task: Task) -> None:
    agent = RandomSearch(task, seed=0)
    base: dict[str, Any] = {"steps_left": 9, "files": {}}
    assert agent.act(base, {})["command"] == "run"
    agent.act(base, {"score": 1.0, "meta_train_reward": 1.0})
    agent.act(base, {"refused": "too long"})
    agent.act(base, {"score": 0.5, "meta_train_reward": 0.5})
    assert [trial.score for trial in agent.trials] == [1.0, float("-inf"), 0.5]
    assert agent.best is agent.trials[0]
    assert agent.act({"steps_left": 1}, {"score": 0.1, "meta_train_reward": 0.1})["command"] == "submit"


def test_costs_are_compared_where_costs_count(task: Task) -> None:
    agent = RandomSearch(task, seed=0)
    agent.act({"steps_left": 9}, {})
    for score, reward in ((1.0, 0.0), (2.0, 0.0), (1.1, 3.0), (1.2, 2.0)):
        agent.act({"steps_left": 9}, {"score": score, "meta_train_reward": reward})
    assert agent.best.reward == 3.0


def test_no_candidate_is_tried_twice_and_the_last_action_submits(task: Task) -> None:
    agent = RandomSearch(task, seed=0, changes=1)
    seen = []
    info: dict[str, Any] = {}
    for left in range(30, 1, -1):
        action = agent.act({"steps_left": left}, info)
        assert action["command"] == "run"
        seen.append(tuple(edit["content"] for edit in action["edits"]))
        info = {"score": 1.0, "meta_train_reward": 1.0}
    assert len(set(seen)) == len(seen)
    assert agent.act({"steps_left": 1}, info)["command"] == "submit"
    with pytest.raises(ValueError, match="changes nothing"):
        RandomSearch(task, changes=0.5)
