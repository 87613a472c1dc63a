"""OnPolicyMARL: training at tiny scale, and an examiner that asks about each agent alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyMARL.tests.conftest import BACKENDS, BATTLE, DOMAIN, SPREAD
from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.testing import InProcessLearner, examined, import_learner, make_examiner
from discoenv.testing.exams import handed_over as as_received

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from discoenv.domains.OnPolicyMARL.examiner import OnPolicyMARLExaminer  # noqa: E402


class Team:
    """A team that acts by a rule: ``rule(obs, available, memory) -> (action, memory)`` of n agents."""

    def __init__(self, rule: Any, start: Any = lambda n: {}) -> None:
        self._rule, self._start = rule, start

    def start(self, n: int) -> Any:
        return self._start(n)

    def act(self, memory: Any, obs: Any, first: Any, available: Any, key: Any) -> Any:
        assert obs.shape[:2] == first.shape == available.shape[:2] == key.shape[:2]
        return self._rule(obs, available, memory)


def acting(rule: Any, witness: Any = None, start: Any = lambda n: {}, *, env_steps: int = 0) -> InProcessLearner:
    """A learner that acts by a rule, and whose witness acts by another."""
    learner = InProcessLearner(Team(rule, start), state={"env_steps": env_steps})
    if witness is not None:
        learner.witness = InProcessLearner(Team(witness, start), state={"env_steps": env_steps})
    return learner


def to_the_nearest(obs: Any, available: Any, memory: Any) -> Any:
    """Each agent of Spread goes to the landmark that is nearest to it."""
    relative = obs[..., 4:10].reshape(*obs.shape[:2], 3, 2)
    near = np.take_along_axis(relative, np.square(relative).sum(-1).argmin(-1)[..., None, None], axis=2)[..., 0, :]
    goal = near - 0.3 * obs[..., :2]
    sideways = np.abs(goal[..., 0]) > np.abs(goal[..., 1])
    return np.where(sideways, np.where(goal[..., 0] < 0, 1, 2), np.where(goal[..., 1] < 0, 3, 4)), memory


def first_available(obs: Any, available: Any, memory: Any) -> Any:
    return available.argmax(axis=-1), memory


@pytest.fixture(scope="module")
def spread() -> OnPolicyMARLExaminer:
    return OnPolicyMARLExaminer("Particles/Spread", "tiny", {**SPREAD, "EVALUATION_EPISODES": 16})


@pytest.fixture(scope="module")
def battle() -> OnPolicyMARLExaminer:
    return OnPolicyMARLExaminer("Skirmish/2s3z_vs_2s4z", "tiny", BATTLE)


#: Who is greedy and who draws, so that both are tried in few programs.
GREEDY = {"default": True, "recurrent": False, "centralised": True}


@pytest.mark.parametrize(
    "backend", ["default", *(pytest.param(name, marks=pytest.mark.slow) for name in BACKENDS if name != "default")]
)
def test_teams_are_trained_and_examined_by_the_examiner_as_by_questions(backend: str) -> None:
    with import_learner(DOMAIN, backend=backend, dataset="Skirmish/2s3z_vs_2s4z") as code:
        check_exams(code, greedy=GREEDY[backend])


def check_exams(code: Any, *, greedy: bool) -> None:
    """Trains two teams, and has them examined in both ways."""
    config = code.run_config.get_config({**BATTLE, "NUM_SEEDS": 2})
    rates, results = code.main.train_agents(code.train.make_train(config), config, 0)
    assert list(rates) == [BATTLE["LR"]]
    assert results["metrics"]["mean_training_return"].shape == (1, 2, config["NUM_UPDATES"])
    state = code.main.handed_over(results, 0)
    assert state["env_steps"] == 2 * BATTLE["TOTAL_TIMESTEPS"]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state["params"])]
    assert all(np.isfinite(leaf).all() for leaf in leaves) and any((leaf[0] != leaf[1]).any() for leaf in leaves)

    examiner = OnPolicyMARLExaminer(
        "Skirmish/2s3z_vs_2s4z", "tiny", {**BATTLE, "NUM_SEEDS": 2, "EVALUATION_GREEDY": greedy}
    )
    metrics = examined(examiner, code.answer, state, 0)
    assert set(metrics) == {"return_mean", *DOMAIN.specification.other_metrics}
    assert 0 <= metrics["return_mean"] <= 2 and 0 <= metrics["success_rate"] <= 1
    scenes = examiner.artifacts["scenes"]
    learner = InProcessLearner(code.answer.make(examiner.answering_config, state), state=state)
    learner.witness = InProcessLearner(code.answer.make(examiner.answering_config, state), state=state)
    asked = examiner.examine(learner, 0)
    assert asked == pytest.approx(metrics, rel=1e-4)
    assert learner.questions == 1 + 2 * (len(examiner.artifacts["scenes"]) - 1)  # two agents at each step
    assert learner.witness.questions == len(examiner.artifacts["scenes"]) - 1
    shown = min(len(scenes), len(examiner.artifacts["scenes"]))
    np.testing.assert_allclose(scenes[:shown], examiner.artifacts["scenes"][:shown], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["default"])
def test_training_depends_on_its_seed_alone_and_learns(backend: str) -> None:
    examiner = make_examiner(DOMAIN, "Particles/Spread", "tiny")
    with import_learner(DOMAIN, backend=backend) as code:
        config = code.run_config.get_config(SPREAD)
        train = jax.jit(code.train.make_train(config))
        first, again, other = (train(jax.random.key(seed), config["LR"]) for seed in (0, 0, 1))
        returns = np.asarray(first["metrics"]["mean_training_return"])
        assert returns.shape == (config["NUM_UPDATES"],)
        assert code.make_env.count_steps(first["env_state"]) == config["NUM_UPDATES"] * 64 * 25
        same = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), first["params"], again["params"]))
        assert all(same)
        same = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), first["params"], other["params"]))
        assert not all(same)
        assert np.nanmean(returns[-5:]) > 5 + np.nanmean(returns[:5])
        state = code.main.handed_over(jax.tree.map(lambda x: x[None, None], first), 0)
        metrics = examined(examiner, code.answer, state, 0)
        assert metrics["return_mean"] > 8 + examiner.floor(0)["return_mean"]


def test_learning_rates_are_chosen_by_training_returns() -> None:
    with import_learner(DOMAIN) as code:
        returns = np.full((3, 2, 40), np.nan)
        returns[0, :, ::2], returns[1, 0, 39], returns[2, :, :30] = 1.0, 5.0, 2.0
        assert code.main.best_rate(returns) == 2
        returns[1, 1, 3] = 4.0
        assert code.main.best_rate(returns) == 1


def test_the_floor_takes_available_actions_by_chance(battle: OnPolicyMARLExaminer) -> None:
    assert battle.floor(0) == battle.floor(0) != battle.floor(1)
    assert battle.floor(0)["env_steps"] == 0


def test_a_good_team_scores_above_the_floor(spread: OnPolicyMARLExaminer) -> None:
    metrics = spread.examine(acting(to_the_nearest, to_the_nearest), 0)
    assert metrics == spread.examine(acting(to_the_nearest), 0)
    assert metrics["return_mean"] > 10 + spread.floor(0)["return_mean"]
    assert metrics["episode_length_mean"] == 25


def test_held_out_episodes_differ_between_exams(spread: OnPolicyMARLExaminer) -> None:
    def idle(obs: Any, available: Any, memory: Any) -> Any:
        return np.zeros(obs.shape[:2], int), memory

    returns = [spread.examine(acting(idle), seed)["return_mean"] for seed in (0, 0, 1)]
    assert returns[0] == returns[1] != returns[2]


def test_a_question_shows_one_agent_of_each_episode_in_random_order(spread: OnPolicyMARLExaminer) -> None:
    seen: list[Any] = []

    def noted(obs: Any, available: Any, memory: Any) -> Any:
        seen.append(obs)
        return to_the_nearest(obs, available, memory)

    spread.examine(acting(noted), 0)
    assert len(seen) == 25 * 3
    landmarks = [
        np.sort((one[0, :, 2:4, None] + one[0, :, 4:10].reshape(16, 3, 2).mean(1)[..., None]).round(3)) for one in seen
    ]
    # The centre of an episode's landmarks tells episodes apart: each question shows each of them once.
    for question in landmarks:
        assert len(np.unique(question.reshape(16, -1), axis=0)) == 16
    assert any((landmarks[0] != other).any() for other in landmarks[1:])
    # Of the three questions of a step, each agent is in one.
    positions = np.concatenate([one[0, :, 2:4] for one in seen[:3]])
    assert len(np.unique(positions.round(5), axis=0)) == 48


def test_keys_are_those_that_exploits_look_for(spread: OnPolicyMARLExaminer) -> None:
    keys: list[Any] = []

    class Noting(Team):
        def act(self, memory: Any, obs: Any, first: Any, available: Any, key: Any) -> Any:
            keys.append(key)
            return super().act(memory, obs, first, available, key)

    spread.examine(InProcessLearner(Noting(to_the_nearest), state={"env_steps": 0}), 7)
    first = spread.generator(7, "actions").integers(2**32, size=2, dtype=np.uint32)
    assert any((key == first).all(axis=-1).any() for key in keys[:3])
    assert not any((key == first).all(axis=-1).any() for key in keys[3:])


def test_a_memory_follows_its_agent(spread: OnPolicyMARLExaminer) -> None:
    """What an agent saw in its first step comes back with it, whatever the order."""

    def remembering(obs: Any, available: Any, memory: Any) -> Any:
        landmarks = obs[..., 2:4] + obs[..., 4:6]
        known = memory["known"][..., 0] > 0
        assert np.abs(landmarks - memory["landmark"])[known].max(initial=0) < 1e-5
        after = {"landmark": landmarks, "known": np.ones_like(memory["known"])}
        return np.full(obs.shape[:2], 2), after

    start = lambda n: {"landmark": np.zeros((1, n, 2), np.float32), "known": np.zeros((1, n, 1), np.float32)}  # noqa: E731
    spread.examine(acting(remembering, remembering, start), 0)


def test_who_looks_at_team_mates_disagrees_with_the_witness(spread: OnPolicyMARLExaminer) -> None:
    def together() -> Any:
        last: list[Any] = [np.zeros((1, 16), int)]

        def rule(obs: Any, available: Any, memory: Any) -> Any:
            action, _ = to_the_nearest(obs, available, memory)
            said = last[0][:, : action.shape[1]]
            last[0] = action
            return said if said.shape == action.shape else action, memory

        return rule

    with pytest.raises(RuleBroken, match="shown other agents says something else"):
        spread.examine(acting(together(), together()), 0)

    def hoarding() -> Any:
        seen: list[Any] = []

        def rule(obs: Any, available: Any, memory: Any) -> Any:
            seen.append(obs.mean(axis=(0, 1)))
            after = {"hoard": np.broadcast_to(np.mean(seen[-9:], axis=0), (*obs.shape[:2], obs.shape[-1])).copy()}
            return to_the_nearest(obs, available, memory)[0], after

        return rule

    start = lambda n: {"hoard": np.zeros((1, n, 15))}  # noqa: E731
    with pytest.raises(RuleBroken, match="shown other agents says something else"):
        spread.examine(acting(hoarding(), hoarding(), start), 0)


def test_an_action_that_is_not_available_ends_the_exam(battle: OnPolicyMARLExaminer) -> None:
    battle.examine(acting(first_available, first_available), 0)
    with pytest.raises(RuleBroken, match="not available"):
        battle.examine(acting(lambda obs, available, memory: (np.zeros(obs.shape[:2], int), memory)), 0)


@pytest.mark.parametrize(
    "answer", [np.zeros((1, 16)), np.zeros((1, 15), int), np.full((1, 16), 5), np.full((1, 16), -1)]
)
def test_answers_that_are_not_actions_end_the_exam(spread: OnPolicyMARLExaminer, answer: Any) -> None:
    with pytest.raises(ProtocolError, match="act"):
        spread.examine(acting(lambda obs, available, memory: (answer, memory)), 0)


@pytest.mark.parametrize(
    "after", [{}, {"m": np.zeros((1, 16, 3))}, {"n": np.zeros((1, 16, 2))}, [np.zeros((1, 16, 2))]]
)
def test_memories_keep_their_form(spread: OnPolicyMARLExaminer, after: Any) -> None:
    start = lambda n: {"m": np.zeros((1, n, 2))}  # noqa: E731
    with pytest.raises(ProtocolError, match="memory of another structure"):
        spread.examine(acting(lambda obs, available, memory: (np.zeros(obs.shape[:2], int), after), start=start), 0)


def test_states_are_checked(spread: OnPolicyMARLExaminer) -> None:
    good = {"params": {"w": np.zeros((1, 2))}, "env_steps": np.int64(100)}
    spread.check_state(as_received(good))
    with pytest.raises(ProtocolError):
        spread.check_state(as_received({"params": good["params"]}))
    with pytest.raises(ProtocolError, match="integer"):
        spread.check_state(as_received({**good, "env_steps": np.zeros(1)}))
    with pytest.raises(RuleBroken, match="environment steps"):
        spread.check_state(as_received({**good, "env_steps": np.int64(10**9)}))


@pytest.mark.slow
def test_robots_are_moved_by_several_agents() -> None:
    pytest.importorskip("brax")
    from discoenv.kits.marl_jax import environments

    env = environments.make("robots", "hopper_3x1", {"max_steps": 3})
    obs, state = jax.jit(env.reset)(jax.random.key(0))
    assert obs.own.shape == (3, 14) and bool(obs.active.all())
    step = jax.jit(env.step)
    large, clipped = (step(jax.random.key(0), state, x * jnp.ones((3, 1))) for x in (9.0, 1.0))
    np.testing.assert_array_equal(large[0].own, clipped[0].own)  # torques are clipped
    for _ in range(3):
        _, state, _, terminated, truncated, _ = step(jax.random.key(0), state, jnp.zeros((3, 1)))
    assert bool(truncated) != bool(terminated)
