"""OfflineRL's examiner: goals of exams, floors, and what it refuses."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OfflineRL.tests.conftest import DOMAIN, OFFLINE, settings
from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.exams.examiner_process import load_domain_file
from discoenv.exams.state import State
from discoenv.testing import InProcessLearner, handed_over

pytest.importorskip("jax")

from discoenv.domains.OfflineRL.behaviours import expert
from discoenv.domains.OfflineRL.cloning import clone
from discoenv.domains.OfflineRL.examiner import OfflineRLExaminer, metrics
from discoenv.domains.OfflineRL.simulated import Simulated
from discoenv.domains.OfflineRL.worlds import World


def world_of(examiner: OfflineRLExaminer) -> World:
    assert isinstance(examiner.source, Simulated)
    return examiner.source.world


def examiner_of(dataset: str, **changes: Any) -> OfflineRLExaminer:
    return OfflineRLExaminer(dataset, "tiny", {**DOMAIN.config(dataset, "tiny"), **changes})


def state_of(**changes: Any) -> dict[str, Any]:
    normalisation = {"mean": np.zeros(4, np.float32), "scale": np.ones(4, np.float32)}
    return {
        "actor": {"kernel": np.zeros((4, 2), np.float32)},
        "normalisation": normalisation,
        "gradient_steps": 5,
    } | changes


def acting(act: Any) -> InProcessLearner:
    return InProcessLearner(SimpleNamespace(act=act), state=state_of())


@pytest.mark.parametrize("dataset", OFFLINE)
def test_recordings_are_rewarded_for_the_goal_of_the_exam(dataset: str) -> None:
    examiner = examiner_of(dataset, TRAJECTORIES=300)
    data = examiner.training_data(1)
    count, steps = 300, examiner.config["STEPS"]
    assert data["observations"].shape == (count, steps + 1, world_of(examiner).observation_dim)
    assert data["actions"].shape == (count, steps, world_of(examiner).action_dim)
    again, other = examiner.training_data(1), examiner.training_data(2)
    np.testing.assert_array_equal(data["rewards"], again["rewards"])
    for recording in range(0, 300, 50):
        after = data["observations"][recording, 1:]
        np.testing.assert_allclose(
            data["rewards"][recording], world_of(examiner).reward(after, examiner.goal(1)), atol=1e-6
        )
    if world_of(examiner).dense:
        assert not data["terminals"].any()
        return
    np.testing.assert_array_equal(data["terminals"], data["rewards"] == 0)
    assert 10 < data["terminals"].sum() < 0.2 * data["terminals"].size
    assert (data["rewards"] != other["rewards"]).any()


def test_goals_and_starts_differ_between_exams() -> None:
    examiner = examiner_of("Push/single-play")
    goals = np.array([examiner.goal(seed) for seed in range(50)])
    assert len(np.unique(goals, axis=0)) == 50
    still = lambda obs: np.zeros((len(obs), 2))  # noqa: E731
    one, two = (examiner.episodes(still, seed).observations[:, 0] for seed in (0, 1))
    assert not np.isin(one, two).any()
    np.testing.assert_array_equal(one, examiner.episodes(still, 0).observations[:, 0])


def test_a_controller_that_knows_the_goal_scores_far_above_the_floor() -> None:
    examiner = examiner_of("Push/single-play")
    goal = examiner.goal(5)
    learner = acting(lambda obs: expert(world_of(examiner), goal, np.asarray(obs, np.float64)))
    found = examiner.examine(learner, 5)
    assert set(found) == {"score", *DOMAIN.specification.other_metrics}
    assert found == examiner.examine(learner, 5)
    assert found["success"] == 1.0 and found["score"] > 60.0 and found["gradient_steps"] == 5.0
    floor = examiner.floor(5)
    assert set(floor) == set(found) and floor["score"] < 0.6 * found["score"]
    assert examiner.artifacts["episodes"].shape[1:] == (examiner.config["EVALUATION_STEPS"] + 1, 4)


def test_the_floor_is_the_better_of_chance_and_of_short_cloning() -> None:
    examiner = examiner_of("Pendulum/mixed", GRADIENT_STEPS=300)
    draw = examiner.generator(4, "floor")
    cloned = clone(examiner.recording, examiner.config, 30, int(draw.integers(2**31)))
    found = [metrics(examiner.episodes(cloned, 4))["score"]]
    found.append(metrics(examiner.episodes(lambda obs: draw.uniform(-1, 1, (len(obs), 1)), 4))["score"])
    assert examiner.floor(4)["score"] == max(found)


def test_an_answer_must_depend_on_the_observation_alone() -> None:
    examiner = examiner_of("Maze/medium-navigate")
    draw, calls = np.random.default_rng(0), [0]

    def remembering(obs: Any) -> Any:
        calls[0] += 1
        return np.full((len(obs), 2), calls[0] / 100)

    by_place = lambda obs: np.linspace(-1, 1, 2 * len(obs)).reshape(-1, 2)  # noqa: E731
    for act in (lambda obs: draw.normal(size=(len(obs), 2)), remembering, by_place):
        with pytest.raises(RuleBroken, match="answered the same observation in another way"):
            examiner.examine(acting(act), 0)
    for answer in (np.zeros((64, 3)), np.full((64, 2), np.nan), np.zeros((63, 2))):
        with pytest.raises(ProtocolError, match="act"):
            examiner.examine(acting(lambda obs, answer=answer: answer), 0)


def test_the_order_of_episodes_changes_at_each_step() -> None:
    examiner = examiner_of("Push/single-play")
    seen: list[Any] = []

    def act(obs: Any) -> Any:
        seen.append(np.array(obs))
        return np.zeros((len(obs), 2))

    examiner.examine(acting(act), 0)
    assert len(seen) > examiner.config["EVALUATION_STEPS"]
    same = [(one == other).all() for one, other in itertools.pairwise(seen)]
    assert not any(same)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gradient_steps": 4001}, "4,001 gradient steps; the configuration allows 4,000"),
        ({"gradient_steps": 1.5}, "'gradient_steps' must be an integer"),
        ({"actor": {"kernel": np.zeros(60_000, np.float32)}}, "60000|60,000"),
        ({"normalisation": {"mean": np.zeros(4, np.float32)}}, "normalisation/scale"),
        ({"normalisation": {"mean": np.zeros(3, np.float32), "scale": np.zeros(4, np.float32)}}, "normalisation/mean"),
        ({"more": np.zeros(3)}, "more"),
    ],
)
def test_states_that_are_not_allowed_are_refused(changes: dict[str, Any], message: str) -> None:
    examiner = examiner_of("Maze/medium-navigate")
    allowed: State = handed_over(state_of())
    examiner.check_state(allowed)
    with pytest.raises((ProtocolError, RuleBroken), match=message):
        examiner.check_state(handed_over(state_of(**changes)))
    assert settings()["GRADIENT_STEPS"] < 4000


@pytest.mark.parametrize("dataset", ["Maze/teleport-noisy", "Push/single-play", "Lights/play", "Pendulum/mixed"])
def test_pictures_show_episodes_and_scores(dataset: str, tmp_path: Path) -> None:
    from discoenv.examiners.plotting import ExamArtifacts

    examiner = examiner_of(dataset)
    goal, world = examiner.goal(1), world_of(examiner)
    examiner.examine(acting(lambda obs: np.clip(2.0 * obs[:, : world.action_dim], -1.0, 1.0)), 1)
    np.testing.assert_array_equal(examiner.artifacts["goal"], goal)
    path = tmp_path / "exam.npz"
    np.savez(path, **examiner.artifacts)  # type: ignore[arg-type]
    assert path.stat().st_size < 400_000
    saved = ExamArtifacts(step=0, side="meta_train", dataset=dataset, number=0, path=path)
    paths = load_domain_file(DOMAIN.directory, "pictures").plot([saved], tmp_path)
    name = dataset.replace("/", "-")
    assert sorted(each.name for each in paths) == [f"episodes_{name}.png", f"scores_{name}.png"]
    assert all(each.stat().st_size > 5000 for each in paths)
