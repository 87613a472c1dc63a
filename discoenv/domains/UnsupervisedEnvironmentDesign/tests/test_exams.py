"""Trainings, the states that they hand over, and the examiner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.UnsupervisedEnvironmentDesign.tests.conftest import DOMAIN, OFFLINE, short_config, trained
from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.testing import examined, import_learner, make_examiner

jax = pytest.importorskip("jax")

TRACKS = "Jumping/Tracks"


VALUES = short_config(TRACKS, CHECKPOINTS=3)


@pytest.fixture(scope="module")
def trainings() -> list[Any]:
    """States and curves of three short trainings, of which the first two have the same seed."""
    with import_learner(DOMAIN, dataset=TRACKS) as code:
        return trained(code, VALUES, seeds=(0, 0, 1))


@pytest.fixture(scope="module")
def state(trainings: list[Any]) -> Any:
    return trainings[0][0]


@pytest.fixture(scope="module")
def examiner() -> Any:
    return make_examiner(DOMAIN, TRACKS)


def exam(examiner: Any, state: Any, seed: int = 0) -> dict[str, float]:
    with import_learner(DOMAIN, dataset=TRACKS) as code:
        return examined(examiner, code.answer, state, seed)


def test_steps_are_counted_and_the_curve_has_a_value_per_cycle(trainings: list[Any]) -> None:
    (state, curve), (again, _), (other, _) = trainings
    with import_learner(DOMAIN, dataset=TRACKS) as code:
        steps = code.run_config.get_config(VALUES)["ENV_STEPS"]
    examiner: Any = make_examiner(DOMAIN, TRACKS, **VALUES)
    assert state["env_steps"] == steps == examiner.allowed_steps()
    assert {name: len(each) for name, each in curve.items()} == dict.fromkeys(("candidates", "trained", "score"), 3)
    leaves, same, others = (jax.tree.leaves(each["params"]) for each in (state, again, other))
    assert all(len(leaf) == 3 and np.isfinite(leaf).all() and (leaf[0] != leaf[1]).any() for leaf in leaves)
    assert all(np.array_equal(one, two) for one, two in zip(leaves, same, strict=True))
    assert not any(np.array_equal(one, two) for one, two in zip(leaves, others, strict=True))


def test_the_same_exam_has_the_same_metrics_and_another_one_others(examiner: Any, state: Any) -> None:
    first = exam(examiner, state)
    assert first == exam(examiner, state) != exam(examiner, state, 1)
    assert set(first) == {DOMAIN.specification.metric.name, *DOMAIN.specification.other_metrics}
    assert {"floor", "ceiling", "solve_rates", "places", "steps"} <= set(examiner.artifacts)


@pytest.mark.parametrize(
    "dataset",
    [name if name in ("Grids/Boxes", TRACKS) else pytest.param(name, marks=pytest.mark.slow) for name in OFFLINE],
)
def test_random_actions_solve_little(dataset: str) -> None:
    floor = make_examiner(DOMAIN, dataset).floor(0)
    assert 0.0 <= floor["solve_rate"] < 0.25
    assert floor["env_steps"] == 0.0


def test_states_of_other_networks_are_refused(examiner: Any, state: Any) -> None:
    with pytest.raises(ProtocolError, match=r"Dense_0/bias' is float32.*expected float32"):
        exam(examiner, {**state, "params": jax.tree.map(lambda x: np.concatenate([x, x], axis=-1), state["params"])})
    with pytest.raises(ProtocolError, match="expected float32"):
        exam(examiner, {**state, "params": jax.tree.map(lambda x: x[-1:], state["params"])})
    with pytest.raises(ProtocolError, match="has 'plan' too"):
        exam(examiner, {**state, "plan": np.zeros(3)})


def test_more_steps_than_allowed_are_refused(examiner: Any, state: Any) -> None:
    with pytest.raises(RuleBroken, match="environment steps; the configuration allows"):
        exam(examiner, {**state, "env_steps": examiner.allowed_steps() + 1})
    with pytest.raises(ProtocolError, match="must be an integer"):
        exam(examiner, {**state, "env_steps": 0.5})


def test_another_number_of_levels_is_refused() -> None:
    text = (DOMAIN.directory / "templates" / "default" / "sample_levels.py").read_text(encoding="utf-8")
    wrong = text.replace('jax.random.split(key, config["CANDIDATES"])', "jax.random.split(key, 5)")
    with (
        import_learner(DOMAIN, dataset=TRACKS, modules={"sample_levels": wrong}) as code,
        pytest.raises(ValueError, match=r"propose_levels of sample_levels.py returned .*expected .*16 levels"),
    ):
        trained(code, short_config(TRACKS))


def solver(floor: Any, ceiling: Any) -> list[int]:
    """Actions that run a course, by the rules of held-out levels."""
    from discoenv.domains.UnsupervisedEnvironmentDesign import heldout

    ways: dict[Any, list[int]] = {(int(floor[0]), 0, True): []}
    for column in range(len(floor) - 1):
        further: dict[Any, list[int]] = {}
        for state, actions in ways.items():
            for action in range(3):
                after = heldout._after(floor, ceiling, column, state, action)
                if after is not None:
                    further.setdefault(after, [*actions, action])
        ways = further
    return next(iter(ways.values()))


def test_a_planner_solves_all_held_out_tracks(examiner: Any) -> None:
    """The rules by which levels are called solvable are those by which they are played."""
    from discoenv.domains.UnsupervisedEnvironmentDesign import heldout

    levels = examiner.held_out(0)
    env = examiner.env
    step = jax.jit(jax.vmap(env.step))
    kind = type(env.sample(jax.random.key(0)))
    boards = jax.vmap(env.build)(kind(levels["floor"], levels["ceiling"]))
    plans = [
        solver(*heldout.as_played(floor.astype(int), ceiling.astype(int)))
        for floor, ceiling in zip(levels["floor"], levels["ceiling"], strict=True)
    ]
    _, state = jax.vmap(env.start)(boards)
    done = np.zeros(len(plans), bool)
    for actions in np.array(plans).T:
        _, state, _, _, solved = step(boards, state, actions)
        done |= np.asarray(solved)
    assert done.all()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["default", "replay"])
def test_training_solves_more_than_random_actions(backend: str) -> None:
    values = DOMAIN.config("Mazes/Small", "tiny")
    with import_learner(DOMAIN, dataset="Mazes/Small", backend=backend) as code:
        ((state, curve),) = trained(code, values)
        examiner = make_examiner(DOMAIN, "Mazes/Small")
        metrics = examined(examiner, code.answer, state, 0)
    assert metrics["solve_rate"] > examiner.floor(0)["solve_rate"] + 0.1
    assert curve["candidates"][-3:].mean() > curve["candidates"][0]
