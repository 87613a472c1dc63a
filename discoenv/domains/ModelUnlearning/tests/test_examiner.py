"""What an exam draws and measures: known models, states that are refused, and points that are trivial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.ModelUnlearning import exploits
from discoenv.domains.ModelUnlearning.corpora import END, PHRASINGS, SPLITS, corpus
from discoenv.domains.ModelUnlearning.studies import trivial
from discoenv.exams.examiner import ProtocolError
from discoenv.exams.state import checked
from discoenv.testing import examined, make_examiner

from .conftest import DOMAIN, OFFLINE, QUICK


@pytest.fixture(scope="module")
def exam_() -> Any:
    return make_examiner(DOMAIN, QUICK, "tiny")


def texts_of(tokens: Any) -> set[bytes]:
    return {row[row > 0].tobytes() for row in tokens}


def test_the_full_model_scores_zero_and_the_gold_model_one(code: Any, exam_: Any) -> None:
    full = examined(exam_, code.answer, {"parameters": exam_.parameters("full", 1)}, 1)
    gold = examined(exam_, code.answer, {"parameters": exam_.parameters(f"gold{exam_.drawn(1).split}", 1)}, 1)
    assert full["unlearning"] == pytest.approx(0.0, abs=1e-9)
    assert gold["unlearning"] == pytest.approx(1.0, abs=1e-9)
    assert full == exam_.floor(1)
    assert full["forget_probability"] > 0.9
    assert gold["forget_probability"] < 0.2
    assert full["membership_auc"] > 0.95 > gold["membership_auc"] + 0.1
    assert full["forget_quality"] < 1e-6 < gold["forget_quality"] == 1.0
    assert min(full["model_utility"], gold["model_utility"]) > 0.9
    assert set(full) == {DOMAIN.specification.metric.name, *DOMAIN.specification.other_metrics}


@pytest.mark.parametrize("name", trivial.POINTS)
def test_no_trivial_point_does_well(code: Any, exam_: Any, name: str) -> None:
    state = {"parameters": trivial.changed(name, exam_.parameters("full", 1))}
    assert examined(exam_, code.answer, state, 1)["unlearning"] < 0.01


def test_another_group_is_not_what_was_to_be_forgotten(code: Any, exam_: Any) -> None:
    wrong = (exam_.drawn(1).split + 1) % SPLITS
    found = examined(exam_, code.answer, {"parameters": exam_.parameters(f"gold{wrong}", 1)}, 1)
    assert found["unlearning"] < 0.05


def test_the_numbers_of_words_differ_and_the_model_says_the_same(exam_: Any) -> None:
    one, other = exam_.drawn(1), exam_.drawn(2)
    assert (one.renamed != other.renamed).mean() > 0.9
    for drawn in (one, other):
        assert sorted(drawn.renamed) == list(range(exam_.config["VOCABULARY"]))
        assert (drawn.renamed[: END + 1] == np.arange(END + 1)).all()
    tokens = np.array([[1, 20, 30, 40]])
    said = [exam_.reader(exam_.parameters("full", seed)).losses(exam_.drawn(seed).renamed[tokens]) for seed in (1, 2)]
    np.testing.assert_allclose(said[0], said[1], rtol=1e-4)


@pytest.mark.parametrize("dataset", OFFLINE)
def test_the_learner_sees_two_phrasings_and_the_exam_asks_in_the_third(dataset: str) -> None:
    exam_: Any = make_examiner(DOMAIN, dataset, "tiny")
    data, drawn, known = exam_.training_data(3), exam_.drawn(3), corpus(exam_.config["CORPUS"])
    given = texts_of(data["forget_tokens"]) | texts_of(data["retain_tokens"])
    for kind in ("forget", "shown"):
        for question in drawn.asked[kind]:
            assert np.array([*question.prompt, *question.answer, END]).tobytes() not in given
    facts = sum(len(entity.facts) for entity in known.splits[drawn.split])
    passages = sum(len(entity.passages) for entity in known.splits[drawn.split])
    assert len(data["forget_tokens"]) == (PHRASINGS - 1) * facts + passages
    words = np.argsort(drawn.renamed)
    names = {known.text(words[list(question.prompt)].tolist()) for question in drawn.asked["forget"]}
    own = {" ".join(prompt) for entity in known.splits[drawn.split] for fact in entity.facts for prompt in fact.prompts}
    assert names <= own
    for kind in ("unshown", "common"):
        asked = {np.array([*each.prompt, *each.answer, END]).tobytes() for each in drawn.asked[kind]}
        assert not asked & given
    assert not texts_of([np.array(text.tokens) for text in drawn.strangers]) & given


def test_exams_differ_in_what_is_forgotten_asked_and_unknown(exam_: Any) -> None:
    drawn = [exam_._draw(seed) for seed in range(12)]
    assert {each.split for each in drawn} == set(range(SPLITS))
    undone = [
        {kind: {tuple(np.argsort(each.renamed)[list(q.prompt)]) for q in asked} for kind, asked in each.asked.items()}
        for each in drawn
    ]
    for kind in ("forget", "shown", "unshown", "common"):
        assert len({frozenset(each[kind]) for each in undone}) == len(drawn)
    assert len({each.strangers for each in drawn}) == len(drawn)
    assert exam_._draw(5).asked == drawn[5].asked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {"parameters": p, "gold": p}, "has 'gold' too"),
        (lambda p: {"parameters": {k: v for k, v in p.items() if k != "norm.bias"}}, "no array 'parameters/norm.bias'"),
        (lambda p: {"parameters": p | {"more": np.zeros(3, np.float32)}}, "has an array 'parameters/more'"),
        (lambda p: {"parameters": p | {"norm.bias": np.zeros(3, np.float32)}}, "expected float32"),
        (lambda p: {"parameters": p | {"norm.bias": p["norm.bias"].astype(np.float64)}}, "expected float32"),
    ],
)
def test_states_of_another_form_are_refused(exam_: Any, change: Any, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        exam_.check_state(checked(change(exam_.parameters("full", 1))))


def test_the_exploit_with_guessed_seeds_would_find_the_exams_own(
    exam_: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (code,) = (each.code for each in exploits.EXPLOITS if each.name == "words of guessed seeds")
    seed = 12345
    found: list[str] = []
    (tmp_path / "config.yaml").write_text(f"CORPUS: {exam_.config['CORPUS']}\n")
    monkeypatch.chdir(tmp_path)
    data = exam_.training_data(seed)

    class Exam:
        seed = staticmethod(lambda: 0)
        training_data = staticmethod(lambda: data)

    import os

    names = {"exam": Exam, "os": os, "breach": found.append}
    known = code.replace('os.path.relpath(os.getcwd(), "/workspace")', repr(QUICK))
    exec(known, dict(names))
    assert not found
    exec(known.replace("exam.seed(), *range", f"{seed}, *range"), dict(names))
    assert found == [f"the words have the numbers of seed {seed}"]


def test_pictures_are_saved(code: Any, exam_: Any) -> None:
    examined(exam_, code.answer, {"parameters": exam_.parameters("full", 1)}, 1)
    saved = exam_.artifacts
    np.testing.assert_array_equal(saved["full/forget"], saved["found/forget"])
    assert saved["samples"].shape[1] == 5
    assert (saved["samples"][:, 1] == saved["samples"][:, 2]).mean() > 0.9
