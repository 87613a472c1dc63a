"""OffPolicyRL's examiner: which episodes count, the budget of training steps, and answers that it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.OffPolicyRL.tests.conftest import CARTPOLE, DOMAIN, SHORT
from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.exams.state import State
from discoenv.testing import handed_over
from discoenv.testing.policies import acting

pytest.importorskip("jax")
pytest.importorskip("gymnax")

from discoenv.domains.OffPolicyRL.evaluation import make_episodes
from discoenv.domains.OffPolicyRL.examiner import OffPolicyRLExaminer


def balance(obs: Any, first: Any) -> Any:
    """Plays CartPole by hand: pushes to the side that the pole falls to."""
    return (obs[:, 2] + obs[:, 3] > 0).astype(int)


def trained(env_steps: Any) -> State:
    """What training hands over after so many steps."""
    return handed_over({"params": {"kernel": np.zeros((1, 2))}, "env_steps": env_steps})


def test_a_good_policy_scores_far_above_the_floor(cartpole: OffPolicyRLExaminer) -> None:
    metrics = cartpole.examine(acting(balance), seed=0)
    assert set(metrics) == {"return_mean", *DOMAIN.specification.other_metrics} == set(cartpole.floor(0))
    assert metrics["return_mean"] > 100 + cartpole.floor(0)["return_mean"]
    assert metrics == cartpole.examine(acting(balance), seed=0)
    assert cartpole.floor(0) == cartpole.floor(0) != cartpole.floor(1)


def test_too_many_steps_of_training_fail_the_exam(cartpole: OffPolicyRLExaminer) -> None:
    allowed = CARTPOLE["TOTAL_TIMESTEPS"]
    assert cartpole.examine(acting(balance, env_steps=allowed), 0)["env_steps"] == allowed
    cartpole.check_state(trained(allowed))
    with pytest.raises(RuleBroken, match=rf"{allowed + 1:,} environment steps; the configuration allows {allowed:,}"):
        cartpole.check_state(trained(allowed + 1))
    several = OffPolicyRLExaminer("Classic/CartPole", "tiny", {**SHORT, "NUM_SEEDS": 2, "LR_FACTORS": [1, 2, 3]})
    several.check_state(trained(6 * 400))
    with pytest.raises(RuleBroken):
        several.check_state(trained(6 * 400 + 1))


@pytest.mark.parametrize("steps", [np.zeros(2, int), 1.5, {"a": 1}])
def test_a_number_of_steps_that_is_none_is_refused(cartpole: OffPolicyRLExaminer, steps: Any) -> None:
    with pytest.raises(ProtocolError, match="state 'env_steps' must be an integer"):
        cartpole.check_state(trained(steps))
    with pytest.raises(ProtocolError, match="the state lacks 'env_steps', 'params'"):
        cartpole.check_state(handed_over({"parameters": np.zeros(1)}))


def test_only_the_first_episode_of_each_environment_counts() -> None:
    examiner = OffPolicyRLExaminer("Classic/CartPole", "tiny", {**SHORT, "EVALUATION_STEPS": 500})
    firsts: list[Any] = []

    def act(obs: Any, done: Any) -> Any:
        assert obs.shape == (6, 4) and obs.dtype == np.float32
        firsts.append(done)
        return np.zeros(len(obs), int)

    learner = acting(act)
    metrics = examiner.examine(learner, seed=0)
    assert learner.questions - 1 == len(firsts) < 30  # the exam ends with the last of the first episodes
    marks = np.array(firsts)
    assert marks[0].all()
    lengths = [step for step, row in enumerate(marks) for _ in range(row.sum()) if step]  # no second one had ended
    lengths += [len(firsts)] * (6 - len(lengths))
    assert metrics["episode_length_mean"] == metrics["return_mean"] == np.mean(lengths) < len(firsts)


def test_an_episode_that_does_not_end_counts_its_return_so_far() -> None:
    short = OffPolicyRLExaminer("Classic/CartPole", "tiny", SHORT)
    metrics = short.examine(acting(balance), 0)
    assert metrics["return_mean"] == metrics["episode_length_mean"] == SHORT["EVALUATION_STEPS"]


@pytest.mark.parametrize(("random_steps", "least", "most"), [(0, 1, 2), (10, 6, 16)])
def test_random_starts_make_deterministic_games_differ(random_steps: int, least: int, most: int) -> None:
    episodes = make_episodes(
        DOMAIN.config("MinAtar/Breakout", "tiny") | {"EVALUATION_EPISODES": 16, "EVALUATION_RANDOM_STEPS": random_steps}
    )
    obs, first = episodes.start(seed=5)
    assert first.all() and obs.shape == (16, 400)
    assert least <= len(np.unique(obs, axis=0)) <= most
    again, _ = episodes.start(seed=5)
    np.testing.assert_array_equal(obs, again)
    returns, lengths = episodes.results()
    assert not returns.any() and not lengths.any()  # what the random actions earned does not count


@pytest.mark.parametrize("answer", [np.zeros(16), np.zeros(15, int), np.full(16, 2), np.full(16, -1)])
def test_answers_that_are_not_actions_end_the_exam(cartpole: OffPolicyRLExaminer, answer: Any) -> None:
    with pytest.raises(ProtocolError, match="act"):
        cartpole.examine(acting(lambda obs, first: answer), 0)
