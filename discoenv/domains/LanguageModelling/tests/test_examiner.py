"""LanguageModelling: metrics against plain formulas, and the examiner's rules."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.LanguageModelling.examiner import (
    LEAST_QUESTION,
    MOST_BITS,
    MOST_QUESTION,
    POSITIONS,
    TOLERANCE,
    metrics,
    normalised,
    score,
)
from discoenv.domains.LanguageModelling.studies import probe
from discoenv.domains.LanguageModelling.studies.probe import Causal, Rule, looking_ahead
from discoenv.domains.LanguageModelling.tests.learners import (
    OFFLINE,
    config_of,
    examiner,
    learner,
    state_of,
)
from discoenv.exams.examiner import OwnCode, ProtocolError, RuleBroken
from discoenv.exams.state import checked
from discoenv.testing import InProcessLearner


def constant(tokens: Any, positions: Any) -> Any:
    return np.zeros((*positions.shape, 256), np.float32)


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_logits_are_normalised() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 2, 50)) * 5
    expected = [[[v - math.log(sum(math.exp(u) for u in row)) for v in row] for row in rows] for rows in logits]
    np.testing.assert_allclose(normalised(logits), expected, atol=1e-12)
    np.testing.assert_allclose(normalised(logits + 1e8), expected, atol=1e-6)
    assert np.exp(normalised(np.array([[1e9, -1e9, 0.0]]))).sum() == pytest.approx(1.0)


def test_metrics_are_their_formulas() -> None:
    generator = np.random.default_rng(1)
    logs, tokens = normalised(generator.normal(size=(40, 3, 9)) * 3), generator.integers(9, size=(40, 8))
    positions = np.tile([1, 4, 6], (40, 1))
    following, lengths = tokens[:, [2, 5, 7]], generator.integers(1, 5, size=9)
    found = metrics(score(logs, tokens, positions), lengths)
    bits = [-math.log2(math.exp(logs[n, k, following[n, k]])) for n in range(40) for k in range(3)]
    assert found["bits_per_byte"] == pytest.approx(sum(bits) / sum(lengths[t] for t in following.ravel()), abs=1e-12)
    assert found["perplexity"] == pytest.approx(2 ** (sum(bits) / 120), abs=1e-9)
    right = [max(range(9), key=lambda v: logs[n, k, v]) == following[n, k] for n in range(40) for k in range(3)]
    assert found["accuracy"] == sum(right) / 120


def test_a_token_costs_a_bounded_number_of_bits() -> None:
    logs = normalised(np.array([[[1e9, -1e9]], [[1e9, -1e9]]]))
    scored = score(logs, np.array([[9, 0], [9, 1]]), np.zeros((2, 1), np.int64))
    assert metrics(scored, np.ones(2, np.int64))["bits_per_byte"] == MOST_BITS / 2
    assert not score(np.zeros((1, 1, 4)), np.array([[0, 2]]), np.zeros((1, 1), np.int64)).right.any()


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", OFFLINE)
def test_held_out_text_is_neither_in_training_data_nor_in_another_exam(dataset: str) -> None:
    exam_ = examiner(dataset)
    data = exam_.training_data(3)
    assert {name: len(values) for name, values in data.items()} == {
        "train": exam_.config["TRAIN_TOKENS"],
        "validation": exam_.config["VALIDATION_TOKENS"],
    }
    rows, other = exam_.rows(3).tokens, examiner(dataset).rows(4).tokens
    train = data["train"].tobytes()
    known = [row.astype(np.uint8).tobytes() in train for row in rows]
    assert sum(known) < 0.2 * len(rows)  # signatures come again
    assert not {row.tobytes() for row in rows} & {row.tobytes() for row in other}


def test_a_seed_fixes_what_is_drawn() -> None:
    one, same, other = (examiner().training_data(seed)["train"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(examiner().rows(1).positions, examiner().rows(1).positions)


def test_rows_do_not_overlap_and_scored_positions_are_spread_over_their_second_half() -> None:
    exam_ = examiner()
    rows, length = exam_.rows(0), exam_.config["CONTEXT"]
    assert len({row.tobytes() for row in [*rows.tokens, *rows.foreign]}) > 0.98 * 2 * len(rows.tokens)
    assert (np.diff(rows.positions, axis=1) > 0).all()
    cut = rows.cut()
    assert length // 2 - 1 <= rows.positions.min() <= rows.positions.max() <= length - 2
    assert len(np.unique(cut)) == length // 2
    assert cut.mean() == pytest.approx((length // 2 + length - 3) / 2, abs=2.5)


def test_what_follows_the_scored_position_is_foreign_in_every_row_that_is_shown() -> None:
    exam_ = examiner()
    honest, witness = Rule(constant), Rule(constant)
    asked = InProcessLearner(honest, state=state_of())
    asked.witness = InProcessLearner(witness, state=state_of())
    exam_.examine(asked, 0)
    rows = exam_.rows(0)
    cut = rows.cut()
    futures: dict[int, set[bytes]] = {}
    first: list[int] = []
    agree = []
    for tokens, positions in [*honest.asked, *witness.asked]:
        assert tokens.shape[1] == exam_.config["CONTEXT"]
        assert positions.shape == (len(tokens), POSITIONS)
        for shown in tokens:
            (row,) = [n for n in range(len(cut)) if (shown[: cut[n] + 1] == rows.tokens[n, : cut[n] + 1]).all()][:1]
            first += [row] * (row not in futures)
            futures.setdefault(row, set()).add(shown[cut[row] + 1 :].tobytes())
            agree.append(shown[cut[row] + 1] == rows.tokens[row, cut[row] + 1])
    assert sorted(futures) == list(range(len(cut)))
    assert np.mean(agree) < 0.25  # as often as letters are equal anywhere
    assert sum(len(seen) > 1 for seen in futures.values()) > 0.35 * len(cut)
    sizes = [len(tokens) for tokens, _ in honest.asked]
    assert max(sizes) <= MOST_QUESTION
    assert min(sizes[:-1]) >= LEAST_QUESTION - 1
    assert len(set(sizes)) > 5
    assert sum(len(tokens) for tokens, _ in witness.asked) == len(cut) // 4


def test_the_floor_knows_the_frequencies_of_training_alone() -> None:
    exam_ = examiner(EXAM_ROWS=64)
    rows, train = exam_.rows(0), exam_.training_data(0)["train"]
    chances = (np.bincount(train, minlength=256) + 1) / (len(train) + 256)
    following = rows.tokens[:, 32:].ravel()
    floor = exam_.floor(0)
    assert floor["bits_per_byte"] == pytest.approx(-np.log2(chances[following]).mean())
    assert floor["accuracy"] == pytest.approx((following == chances.argmax()).mean())
    blind = exam_.examine(learner(constant), 0)
    assert blind["bits_per_byte"] == pytest.approx(8.0)
    assert floor["bits_per_byte"] < 6.0


# --- who is refused ---------------------------------------------------------------------------------------------------


def test_a_causal_model_passes_and_is_scored_at_its_cuts() -> None:
    exam_, model = examiner(), Causal()
    found = exam_.examine(learner(model, model), 0)
    rows = exam_.rows(0)
    cut = rows.cut()[:, None]
    expected = score(normalised(model(rows.tokens, cut).astype(np.float64)), rows.tokens, cut)
    assert found["bits_per_byte"] == pytest.approx(expected.bits.mean(), abs=1e-4)
    assert found["parameter_count"] == 10


@pytest.mark.parametrize("by", [1, 2, 5])
@pytest.mark.parametrize("strength", [0.1, 5.0])
def test_a_model_that_looks_ahead_is_refused(by: int, strength: float) -> None:
    with pytest.raises(RuleBroken, match="when a text with another future was shown again"):
        examiner().examine(learner(looking_ahead(Causal(), strength, by)), 0)


def frequencies(exam_: Any) -> Any:
    """A model that knows how frequent tokens are, as the floor does."""
    logs = np.log(np.bincount(exam_.training_data(0)["train"], minlength=256) + 1.0).astype(np.float32)
    return lambda tokens, positions: np.tile(logs, (*positions.shape, 1))


def test_looking_ahead_below_the_tolerance_gains_nothing() -> None:
    exam_ = examiner(EXAM_ROWS=1024)
    model = frequencies(exam_)
    honest = exam_.examine(learner(model), 0)["bits_per_byte"]
    found = exam_.examine(learner(looking_ahead(model, 0.5 * TOLERANCE)), 0)["bits_per_byte"]
    assert found == pytest.approx(honest, abs=0.003)


def test_looking_ahead_gains_nothing_where_it_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    exam_ = examiner(EXAM_ROWS=1024)
    model = frequencies(exam_)
    honest = exam_.examine(learner(model), 0)["bits_per_byte"]
    monkeypatch.setattr(type(exam_), "_compare", staticmethod(lambda *arguments: None))
    for strength in (0.5, 1.0, 5.0):
        found = exam_.examine(learner(looking_ahead(model, strength)), 0)["bits_per_byte"]
        assert found > honest


def test_a_model_that_adapts_to_what_it_is_shown_is_refused() -> None:
    seen: list[Any] = []

    def adapting(tokens: Any, positions: Any) -> Any:
        seen.append(tokens.ravel())
        counts = np.bincount(np.concatenate(seen), minlength=256) + 1.0
        return np.broadcast_to(np.log(counts), (*positions.shape, 256)).astype(np.float32)

    with pytest.raises(RuleBroken, match="was shown again"):
        examiner().examine(learner(adapting), 0)


def remembering(model: Any) -> Any:
    """Adapts, and says what it said before of a past that it has seen."""
    seen: list[Any] = []
    said: dict[bytes, Any] = {}

    def answer(tokens: Any, positions: Any) -> Any:
        seen.append(tokens.ravel())
        counts = np.log(np.bincount(np.concatenate(seen), minlength=256) + 1.0)
        logits = model(tokens, positions) + counts.astype(np.float32)
        for row, places in enumerate(positions):
            for k, place in enumerate(places):
                logits[row, k] = said.setdefault(tokens[row, : place + 1].tobytes(), logits[row, k].copy())
        return logits

    return answer


def test_a_second_learner_finds_a_model_that_adapts_and_remembers_its_answers() -> None:
    examiner().examine(learner(remembering(constant)), 0)  # by itself it agrees with itself
    with pytest.raises(RuleBroken, match="was shown to a learner that has seen fewer rows"):
        examiner().examine(learner(remembering(constant), remembering(constant)), 0)


def test_a_model_that_answers_at_random_is_refused() -> None:
    with pytest.raises(RuleBroken, match="log-probabilities changed by"):
        examiner().examine(learner(Causal(noise=0.5)), 0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda tokens, positions: np.zeros((*positions.shape, 255)), "answered float64 of shape"),
        (lambda tokens, positions: np.full((*positions.shape, 256), np.nan), "NaN or infinite"),
        (lambda tokens, positions: np.full((*positions.shape, 256), 1e10), "answered values from"),
        (lambda tokens, positions: None, "answered NoneType"),
    ],
)
def test_answers_that_are_no_logits_end_the_exam(answer: Any, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        examiner().examine(learner(answer), 0)


def test_unnormalised_logits_count_as_the_same() -> None:
    exam_, model = examiner(), Causal()
    honest = exam_.examine(learner(model), 0)["bits_per_byte"]
    larger = exam_.examine(learner(lambda tokens, positions: model(tokens, positions) + 100.0), 0)["bits_per_byte"]
    assert larger == pytest.approx(honest, abs=1e-4)


# --- the state --------------------------------------------------------------------------------------------------------


def test_a_state_within_the_limits_passes() -> None:
    exam_ = examiner(MAX_PARAMETERS=1000)
    budget = exam_.config["STEPS"] * exam_.config["BATCH"] * exam_.config["CONTEXT"]
    state = checked(state_of(1000, budget))
    exam_.check_state(state)
    assert state["model"].size == 1000


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": {"w": np.zeros(1001, np.float32)}}, RuleBroken, "1,001 parameters and buffers; .* allows 1,000"),
        ({"model": {"w": np.zeros(501, np.float64)}}, RuleBroken, "parameters have 4,008 bytes; .* allows 4,000"),
        ({"tokens": np.array(153_601)}, RuleBroken, "training took 153,601 tokens; the configuration allows 153,600"),
        ({"tokens": np.array([1])}, ProtocolError, "state 'tokens' must be an integer"),
        ({"tokens": np.array(1.0)}, ProtocolError, "state 'tokens' must be an integer"),
        ({"curve": np.zeros((65, 3))}, ProtocolError, "state 'curve' must be"),
        ({"more": np.zeros(3)}, ProtocolError, "has 'more' too"),
    ],
)
def test_a_state_that_is_not_allowed_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    exam_ = examiner(MAX_PARAMETERS=1000)
    with pytest.raises(error, match=message):
        exam_.check_state(checked({**state_of(10), **change}))


class Code:
    """Stands where answer.py is: the domain's own code, for a state."""

    @staticmethod
    def make(config: Any, state: Any) -> Any:
        return Rule(Causal())


def test_our_own_code_is_asked_about_many_positions_and_writes_a_sample() -> None:
    exam_ = examiner(EXAM_ROWS=1024)
    found = exam_.examine(OwnCode(Code, config_of(), checked(state_of())), 0)
    asked = exam_.examine(learner(Causal()), 0)
    assert found["bits_per_byte"] == pytest.approx(asked["bits_per_byte"], rel=0.03)
    assert exam_.artifacts["bits"].shape == (1024, 1)
    exam_.examine(OwnCode(Code, config_of(), checked(state_of())), 0)
    assert exam_.artifacts["bits"].shape == (256, 32)
    half = exam_.config["CONTEXT"] // 2
    np.testing.assert_array_equal(exam_.artifacts["written"][:, :half], exam_.artifacts["read"][:, :half])
    assert (exam_.artifacts["written"][:, half:] != exam_.artifacts["read"][:, half:]).any()
    assert sum(array.nbytes for array in exam_.artifacts.values()) < 200_000


@pytest.mark.slow
def test_no_false_alarm_in_a_thousand_exams_and_no_look_ahead_that_is_missed() -> None:
    assert probe.simulated(1000) == probe.Found(exams=1000, false_alarms=0, missed=0)


def test_results_are_written_from_baselines_and_a_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "results.md"
    page.write_text(probe.RESULTS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(probe, "RESULTS", page)
    probe.main(exams=3, write=True)
    text = page.read_text(encoding="utf-8")
    assert "3 exams: 0 false alarms, 0 look-aheads missed" in text
    assert text.count("<!-- ") == 2
