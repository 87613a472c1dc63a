"""NeuralCellularAutomata's probes of locality: automata pass, and what only looks like one is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata import patterns, probes
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
from discoenv.exams.examiner import RuleBroken
from discoenv.testing import InProcessLearner

pytest.importorskip("jax")

GROWING = [name for name in OFFLINE if name.startswith("Growing")]


def probe(make: Any, rule: Any, config: dict[str, Any], steps: int, states: Any, seed: int = 0) -> int:
    generator = np.random.default_rng(seed)
    noise = generator.integers(256, size=(steps, *states.shape[:3]), dtype=np.uint8)
    twins = make(states, noise, generator)
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


def test_questions_and_twins_look_alike() -> None:
    exam_ = examiner("GrowingButterfly")
    automaton = Automaton(lambda states, noise: states)
    exam_.examine(InProcessLearner(automaton), 0)
    assert len({shape[1:] for shape in automaton.asked}) == 1
    assert {shape[0] for shape in automaton.asked} == {1, 2}
    assert sum(shape[0] for shape in automaton.asked) == 3 * 3 * exam_.config["EXAM_STEPS"]


def test_random_numbers_of_ones_own_are_found_out() -> None:
    own = np.random.default_rng(0)
    with pytest.raises(RuleBroken):
        examiner("DigitsInpainting").examine(
            by_rule(lambda states, noise: (states + own.normal(size=states.shape)).astype(np.float32)), 0
        )


def test_a_spread_of_coordinates_is_local() -> None:
    """Declared in domain.yaml: a rule that hands on coordinates from the seed and looks up the picture passes."""
    target = patterns.render("butterfly", 12)

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

    assert examiner("GrowingButterfly").examine(by_rule(rule), 0)["loss_persisted"] < 1e-6
