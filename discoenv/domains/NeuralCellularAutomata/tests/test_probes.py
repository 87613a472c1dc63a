"""NeuralCellularAutomata's probes of locality: automata pass, and what only looks like one is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata import patterns, probes
from discoenv.domains.NeuralCellularAutomata.examiner import losses
from discoenv.domains.NeuralCellularAutomata.samples import roll
from discoenv.domains.NeuralCellularAutomata.tests.conftest import (
    OFFLINE,
    Automaton,
    by_rule,
    config_of,
    examiner,
    random_rule,
    some_states,
)
from discoenv.exams.examiner import OwnCode, ProtocolError, RuleBroken
from discoenv.exams.state import checked
from discoenv.testing import InProcessLearner

pytest.importorskip("jax")

GROWING = [name for name in OFFLINE if name.startswith("Growing")]


def probe(make: Any, rule: Any, config: dict[str, Any], steps: int, states: Any, seed: int = 0) -> int:
    generator = np.random.default_rng(seed)
    noise = generator.integers(256, size=(steps, *states.shape[:3]), dtype=np.uint8)
    twins = make(states, noise, generator, probes.Company(np.zeros(len(states), int), None))
    assert twins.compared.any(axis=(1, 2)).all()
    grown, others = states, twins.states
    for each, other in zip(noise, twins.noise, strict=True):
        grown, others = rule(grown, each), rule(others, other)
    return int(twins.differing(grown, others).sum())


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("make", [probes.local_twins, probes.moved_twins])
def test_every_automaton_made_of_the_base_modules_passes_the_probes(code: Any, dataset: str, make: Any) -> None:
    config = config_of(dataset, FIRE_RATE=0.5)
    rule, states = random_rule(code, config), examiner(dataset).sample(3)[1].states[:4]
    for piece in range(6):
        steps = 1 + piece % probes.longest(config["GRID"])
        assert probe(make, rule, config, steps, states, piece) == 0
        states = rule(states, np.random.default_rng(piece).integers(256, size=states.shape[:3], dtype=np.uint8))
    assert np.isfinite(states).all()


def test_influence_travels_two_cells_per_step_and_no_further_is_allowed() -> None:
    config = config_of("GrowingLizard", "small")
    states = some_states(config)
    for reach, expected in ((1, False), (2, False), (3, True)):

        def rule(states: Any, noise: Any, reach: int = reach) -> Any:
            return sum(np.roll(states, shift, axis) for axis in (1, 2) for shift in (-reach, reach))

        for steps in range(1, probes.longest(config["GRID"]) + 1):
            assert probe(probes.local_twins, rule, config, steps, states) == (len(states) if expected else 0)


def painter(dataset: str, follow_seed: bool) -> Callable[[Any, Any], Any]:
    """Not an automaton: puts the stored target there at once, at a fixed place or around the seed."""
    target = patterns.render(config_of(dataset)["PATTERN"], config_of(dataset)["GRID"])

    def rule(states: Any, noise: Any) -> Any:
        painted = np.repeat(target[None], len(states), axis=0)
        if follow_seed:
            place = states[..., 3].reshape(len(states), -1).argmax(axis=1)
            height, width = target.shape[:2]
            painted = roll(painted, place // width - height // 2, place % width - width // 2)
        grown = states.copy()
        unpainted = (states[..., :3] < 0.05).all(axis=(1, 2, 3)) if follow_seed else np.ones(len(states), bool)
        grown[unpainted, ..., :4] = painted[unpainted]
        return grown

    return rule


@pytest.mark.parametrize("dataset", GROWING)
@pytest.mark.parametrize(("follow_seed", "message"), [(False, "same everywhere"), (True, "not local")])
def test_a_painter_is_found_out(dataset: str, follow_seed: bool, message: str) -> None:
    found = []
    for seed in range(4):
        with pytest.raises(RuleBroken) as caught:
            examiner(dataset).examine(by_rule(painter(dataset, follow_seed)), seed)
        found.append(str(caught.value))
    assert any(message in text for text in found)


@pytest.mark.parametrize(
    "rule",
    [
        lambda states, noise: states + 0.1 * states.mean(axis=(1, 2), keepdims=True),
        lambda states, noise: states - states.mean(axis=0, keepdims=True),
        lambda states, noise: states + np.arange(states.shape[1], dtype=np.float32)[None, :, None, None],
    ],
    ids=["mean over the grid", "mean over the batch", "absolute coordinates"],
)
def test_a_rule_that_looks_beyond_the_neighbourhood_is_found_out(rule: Any) -> None:
    with pytest.raises(RuleBroken, match=r"the rule is not (local|the same everywhere)"):
        examiner("SelfClassifyingDigits").examine(by_rule(rule), 0)


def test_the_witness_alone_is_asked_about_twins() -> None:
    exam_ = examiner("GrowingButterfly")
    automaton, other = (Automaton(lambda states, noise: states) for _ in range(2))
    learner = InProcessLearner(automaton)
    learner.witness = InProcessLearner(other)
    exam_.examine(learner, 0)
    config = exam_.config
    assert set(automaton.asked) == {(config["EXAM_SAMPLES"], config["GRID"], config["GRID"])}
    assert set(other.asked) == {(2 * config["EXAM_SAMPLES"], config["GRID"], config["GRID"])}
    assert len(automaton.asked) == len(other.asked) == 3 * config["EXAM_STEPS"]


def test_what_a_process_remembers_of_the_grids_does_not_help() -> None:
    """It makes of every piece of a grid what it made of the grid: the witness has never seen the grid."""

    def remembering() -> Any:
        results: dict[float, Any] = {}

        def rule(states: Any, noise: Any) -> Any:
            grown = states.copy()
            for state in grown:
                known = [results[x] for x in state[..., -7:-5].ravel().tolist() if x in results]
                value = known[0] if known else float(state[..., -7].sum())  # of the whole grid
                results.update(dict.fromkeys(state[..., -7:-5][state[..., -7:-5] != 0].tolist(), value))
                state[..., 0] = value
            return grown

        return rule

    exam_ = examiner("MatrixOperations")
    learner = by_rule(remembering())
    learner.witness = by_rule(remembering())
    with pytest.raises(RuleBroken, match="not local"):
        exam_.examine(learner, 0)


def test_twins_of_matrices_are_matrices() -> None:
    exam_ = examiner("MatrixOperations")
    seen = []

    def rule(states: Any, noise: Any) -> Any:
        seen.append(states[..., -7:].copy())
        return states

    exam_.examine(by_rule(rule), 0)
    grids = next(each for each in seen if len(each) == 64)
    twins = next(each for each in seen if len(each) == 128)
    shapes = set()
    for inputs in np.concatenate([grids, twins]):
        framed, operations = inputs[..., 2] == 1, inputs[..., 3:].reshape(-1, 4)
        assert framed.sum() == 36
        assert framed.any(axis=0).sum() == framed.any(axis=1).sum() == 6
        assert (operations == operations[0]).all()
        assert (inputs[~framed][:, :2] == 0).all()
        assert (inputs[framed][:, :2] != 0).all()
        shapes.add(framed.tobytes())
    assert len(shapes) > 55  # places differ
    rows = np.concatenate([grids, twins])[..., :2].reshape(3 * 64, -1)
    numbers = [set(row[row != 0].tolist()) for row in rows]
    shared = [max(len(one & other) for k, other in enumerate(numbers) if k != i) for i, one in enumerate(numbers)]
    assert min(shared) >= 8  # everything is the twin of something


@pytest.mark.parametrize("dataset", ["DigitsInpainting", "SteadyDiffusion"])
def test_the_order_of_grids_is_another_at_every_step(dataset: str) -> None:
    exam_ = examiner(dataset)
    firsts = []

    def rule(states: Any, noise: Any) -> Any:
        firsts.append(states[0, ..., -2:].copy())
        return states

    exam_.examine(by_rule(rule), 0)
    assert len({first.tobytes() for first in firsts}) > 0.5 * len(firsts)


@pytest.mark.parametrize("dataset", ["GrowingButterfly", "MatrixOperations", "SelfClassifyingDigits"])
def test_our_own_rule_gives_what_a_learner_that_answers_by_it_gives(code: Any, dataset: str) -> None:
    import jax
    import jax.numpy as jnp
    from flax.core import FrozenDict

    exam_ = examiner(dataset)
    nca = code.nca.NCA(FrozenDict(exam_.config))
    params = nca.init(jax.random.key(0), jnp.asarray(exam_.sample(0)[1].states[:1]))
    params["update"]["Dense_1"]["kernel"] += 0.01
    state = checked(jax.tree.map(np.asarray, params))
    exam_.check_state(state)
    own = exam_.examine(OwnCode(code.answer, exam_.config, state), 0)
    asked = exam_.examine(InProcessLearner(code.answer.make(exam_.config, state.tree)), 0)
    assert own == pytest.approx(asked, rel=1e-3)
    assert own["log10_loss"] != exam_.floor(0)["log10_loss"]
    del params["update"]["Dense_1"]
    with pytest.raises(ProtocolError, match="the state cannot be used"):
        exam_.examine(OwnCode(code.answer, exam_.config, checked(jax.tree.map(np.asarray, params))), 0)
    with pytest.raises(ProtocolError, match="lacks 'perceive'"):
        exam_.check_state(checked({"update": {"a": np.zeros(3)}}))


def test_our_own_rule_that_explodes_is_refused(code: Any) -> None:
    exam_ = examiner("SteadyDiffusion")
    update = {"Dense_0": {"kernel": np.full((36, 24), 100.0), "bias": np.ones(24)}}
    state = checked({"update": update | {"Dense_1": {"kernel": np.full((24, 12), 1e4)}}, "perceive": {}})
    with pytest.raises(ProtocolError, match="the largest number of a step answered"):
        exam_.examine(OwnCode(code.answer, exam_.config, state), 0)


def once(states: Any, noise: Any) -> Any:
    """Solves a grid of matrices whose output is empty, as a whole; leaves others as they are."""
    grown = states.copy()
    for state in grown:
        if np.abs(state[..., 0]).max() < 0.01:
            frame = state[..., -5] > 0
            side = int(frame.sum() ** 0.5)
            rows, columns = (
                int(np.flatnonzero(line & ~np.roll(line, 1))[0]) for line in (frame.any(axis=1), frame.any(axis=0))
            )
            a, b = (np.roll(state[..., k], (-rows, -columns), (0, 1))[:side, :side] for k in (-7, -6))
            results = (a.T, -a, (a + b) / 2**0.5, a @ b * (3 / side) ** 0.5)
            whole = np.zeros(frame.shape, np.float32)
            whole[:side, :side] = results[int(state[0, 0, -4:].argmax())]
            state[..., 0] = np.roll(whole, (rows, columns), (0, 1))
    return grown


def test_a_rule_that_solves_the_task_at_once_is_found_out() -> None:
    exam_ = examiner("MatrixOperations")
    for seed in range(3):
        solved = once(exam_.sample(seed)[1].states, None)
        assert losses(solved[..., :1], exam_.sample(seed)[1], "mse").max() < 1e-6
        with pytest.raises(RuleBroken, match="not local"):
            exam_.examine(by_rule(once), seed)


def test_random_numbers_of_ones_own_are_found_out() -> None:
    own = np.random.default_rng(0)
    with pytest.raises(RuleBroken):
        examiner("DigitsInpainting").examine(
            by_rule(lambda states, noise: (states + own.normal(size=states.shape)).astype(np.float32)), 0
        )


def test_a_spread_of_coordinates_is_local() -> None:
    """Declared in domain.yaml: a rule that hands on coordinates from the seed and looks up the picture passes."""
    exam_ = examiner("GrowingButterfly")
    target = exam_.training_data(0)["targets"][0]

    def rule(states: Any, noise: Any) -> Any:
        known = states[..., 4] > 0.5
        rows, columns = np.round(states[..., 5]).astype(int), np.round(states[..., 6]).astype(int)
        fresh = known & (states[..., 7] > 0.5)  # the seed itself
        rows, columns = np.where(fresh, 6, rows), np.where(fresh, 6, columns)
        grown = states.copy()
        grown[..., 7:] = 0.0
        for down, right in [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]:
            there = np.roll(known, (down, right), (1, 2))
            new = there & ~(grown[..., 4] > 0.5) | (known & (down == 0) & (right == 0))
            grown[..., 4] = np.where(new, 1.0, grown[..., 4])
            grown[..., 5] = np.where(new, np.roll(rows, (down, right), (1, 2)) + down, grown[..., 5])
            grown[..., 6] = np.where(new, np.roll(columns, (down, right), (1, 2)) + right, grown[..., 6])
        place = np.round(grown[..., 5:7]).astype(int) % 12
        grown[..., :4] = np.where((grown[..., 4] > 0.5)[..., None], target[place[..., 0], place[..., 1]], 0.0)
        return grown

    assert exam_.examine(by_rule(rule), 0)["loss_persisted"] < 1e-6
