"""ContinualLearning's examiner: metrics written out, an exam that tells nothing, the floor, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer, metrics_of
from discoenv.domains.ContinualLearning.tests.conftest import DOMAIN, OFFLINE, examiner
from discoenv.exams.examiner import ProtocolError
from discoenv.exams.examiner_process import load_domain_file
from discoenv.testing import InProcessLearner

pytest.importorskip("sklearn")


class Oracle:
    """Answers from the labels, which it is given: right with a probability that depends on the experience and on t."""

    def __init__(self, exam_: ContinualLearningExaminer, seed: int, knows: Any) -> None:
        self.labels = {}
        self.places: list[list[int]] = []
        self.count = 0
        self.classes = exam_.config["CLASSES"]
        self.knows = knows
        for task, experience in enumerate(exam_.experiences(seed)):
            for split in (experience.probe, experience.test):
                self.labels.update(
                    {image.tobytes(): (task, label) for image, label in zip(split.x, split.y, strict=True)}
                )
        self.asked: list[set[bytes]] = []
        self.events: list[str] = []

    def learn(self, images: Any, labels: Any, validation_images: Any, validation_labels: Any) -> None:
        assert images.dtype == validation_images.dtype == np.uint8
        assert labels.dtype == validation_labels.dtype == np.int64
        assert not {image.tobytes() for image in images} & set(self.labels)
        self.count += 1
        self.asked.append(set())
        self.places.append([])
        self.events.append("learn")

    def predict(self, images: Any) -> Any:
        self.events.append("predict")
        answers = []
        for image in images:
            task, label = self.labels[image.tobytes()]
            self.asked[-1].add(image.tobytes())
            self.places[-1].append(task)
            answers.append(label if self.knows(task, self.count - 1) else (label + 1) % self.classes)
        return np.array(answers)


def test_metrics_agree_with_their_formulas_written_out() -> None:
    a = np.random.default_rng(0).random((5, 5))
    found = metrics_of(a, chance=0.1)
    last = 4
    average = sum(a[i, last] for i in range(5)) / 5
    forgetting = sum(max(a[i, t] for t in range(i, 5)) - a[i, last] for i in range(4)) / 4
    assert found["average_accuracy"] == pytest.approx(average)
    assert found["forgetting"] == pytest.approx(forgetting)
    assert found["forgetting_score"] == pytest.approx(average - forgetting / 2)
    assert found["backward_transfer"] == pytest.approx(sum(a[i, last] - a[i, i] for i in range(4)) / 4)
    assert found["forward_transfer"] == pytest.approx(sum(a[i, i - 1] for i in range(1, 5)) / 4 - 0.1)
    assert found["learning_accuracy"] == pytest.approx(sum(a[i, i] for i in range(5)) / 5)
    anytime = sum(sum(a[i, t] for i in range(t + 1)) / (t + 1) for t in range(5)) / 5
    assert found["anytime_accuracy"] == pytest.approx(anytime)


def test_learning_everything_and_forgetting_all_of_it_counts_one() -> None:
    found = metrics_of(np.eye(10))
    assert found["forgetting"] == 1.0
    assert found["backward_transfer"] == -1.0
    assert found["forgetting_score"] == pytest.approx(0.1 - 0.5)
    assert "forward_transfer" not in found


def test_what_was_not_asked_does_not_count() -> None:
    a = np.random.default_rng(1).random((4, 4))
    blank = np.where(np.tril(np.ones((4, 4)), -2) > 0, np.nan, a)
    assert metrics_of(blank, 0.1) == pytest.approx(metrics_of(a, 0.1))
    nothing_ahead = np.where(np.tril(np.ones((4, 4)), -1) > 0, np.nan, a)
    assert metrics_of(nothing_ahead) == pytest.approx(metrics_of(a))


@pytest.mark.parametrize("dataset", ["RotatedDigits", "SplitGlyphs"])
def test_the_exam_measures_the_accuracy_matrix(dataset: str) -> None:
    exam_ = examiner(dataset)
    tasks = exam_.config["TASKS"]

    def knows(task: int, t: int) -> bool:  # the second experience is forgotten when the fourth comes
        return task <= t and not (task == 1 and t >= 3)

    found = exam_.examine(InProcessLearner(Oracle(exam_, 3, knows)), 3)
    wanted = np.array([[float(knows(i, t)) for t in range(tasks)] for i in range(tasks)])
    asked = ~np.isnan(exam_.artifacts["accuracy"])
    np.testing.assert_array_equal(exam_.artifacts["accuracy"][asked], wanted[asked].astype(np.float32))
    assert found["average_accuracy"] == (tasks - 1) / tasks
    assert found["forgetting"] == 1 / (tasks - 1)
    assert set(found) <= {"average_accuracy", *DOMAIN.specification.other_metrics}
    ahead = 0 if dataset.startswith("Split") else 1
    assert asked.sum() == sum(min(t + 1 + ahead, tasks) for t in range(tasks))


def test_experiences_come_one_at_a_time_and_the_last_questions_are_new() -> None:
    exam_ = examiner("SplitGlyphs")
    oracle = Oracle(exam_, 0, lambda task, t: True)
    exam_.examine(InProcessLearner(oracle), 0)
    tasks = exam_.config["TASKS"]
    assert [event for event, after in zip(oracle.events, [*oracle.events[1:], ""], strict=True) if event != after] == [
        "learn",
        "predict",
    ] * tasks
    for t in range(tasks):
        assert set(oracle.places[t]) == set(range(t + 1))
        if 0 < t < tasks - 1:
            assert oracle.asked[t - 1] <= oracle.asked[t]
    assert not oracle.asked[-1] & set().union(*oracle.asked[:-1])


def test_a_question_does_not_tell_which_experience_an_image_is_from() -> None:
    exam_ = examiner("SplitGlyphs")
    oracle = Oracle(exam_, 0, lambda task, t: True)
    exam_.examine(InProcessLearner(oracle), 0)
    places = np.array(oracle.places[-1])
    runs = 1 + (np.diff(places) != 0).sum()
    assert runs > 0.7 * len(places)


@pytest.mark.parametrize("answer", [-1, 10_000, 0.5])
def test_an_answer_that_is_no_label_is_refused(answer: float) -> None:
    class Wrong(Oracle):
        def predict(self, images: Any) -> Any:
            return np.full(len(images), answer)

    exam_ = examiner()
    with pytest.raises(ProtocolError, match="predict"):
        exam_.examine(InProcessLearner(Wrong(exam_, 0, None)), 0)


@pytest.mark.parametrize("dataset", OFFLINE)
def test_the_floor_is_chance(dataset: str) -> None:
    exam_ = examiner(dataset, "small")
    floor = exam_.floor(0)
    assert floor["average_accuracy"] == pytest.approx(1 / exam_.config["CLASSES"], abs=0.02)
    assert floor["forgetting_score"] >= floor["average_accuracy"] - 0.02


def test_pictures_show_the_accuracies_and_the_stream(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    from discoenv.examiners.plotting import ExamArtifacts

    saved = []
    for number, dataset in enumerate(["PermutedDigits", "SplitTextures"]):
        exam_ = examiner(dataset)
        exam_.examine(InProcessLearner(Oracle(exam_, 0, lambda task, t: task <= t)), 0)
        assert sum(array.nbytes for array in exam_.artifacts.values()) < 1 << 18
        path = tmp_path / f"{dataset}.npz"
        np.savez(path, **exam_.artifacts)  # type: ignore[arg-type]
        saved += [
            ExamArtifacts(step=step, side="meta_train", dataset=dataset, number=0, path=path)
            for step in range(number + 1)
        ]
    paths = load_domain_file(DOMAIN.directory, "pictures").plot(saved, tmp_path)
    assert [path.name for path in paths] == [
        f"{kind}_{dataset}.png" for dataset in ("PermutedDigits", "SplitTextures") for kind in ("accuracy", "stream")
    ]
    for path in paths:
        with image.open(path) as opened:
            assert min(opened.size) > 50
