"""ContinualLearning's examiner: metrics written out, an exam that tells nothing, the floor, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer, metrics_of
from discoenv.domains.ContinualLearning.tests.conftest import DOMAIN, OFFLINE, examiner
from discoenv.exams.examiner import OwnCode, ProtocolError
from discoenv.exams.examiner_process import load_domain_file
from discoenv.exams.state import checked

pytest.importorskip("sklearn")
pytest.importorskip("torch")


class Oracle(OwnCode):
    """Answers from the labels, which it is given: right where ``knows(experience, t)`` says so.

    Attributes:
        asked: images of all questions so far, a set for each experience.
    """

    def __init__(self, exam_: ContinualLearningExaminer, code: Any, seed: int, knows: Any) -> None:
        super().__init__(code.answer, exam_.config, checked(blank(exam_, code, seed, 0)))
        self.files = code
        self.exam, self.seed, self.knows = exam_, seed, knows
        self.labels: dict[bytes, tuple[int, int]] = {}
        for task, experience in enumerate(exam_.experiences(seed)):
            for split in (experience.probe, experience.test):
                self.labels.update(
                    {image.tobytes(): (task, label) for image, label in zip(split.x, split.y, strict=True)}
                )
        self.asked: list[set[bytes]] = []

    def examined(self) -> dict[str, float]:
        """The metrics of an exam."""
        found: dict[str, float] = {}
        for stage in range(self.exam.stages(self.seed)):
            data = self.exam.stage_data(self.seed, stage)
            assert data["images"].dtype == data["validation_images"].dtype == np.uint8
            assert data["labels"].dtype == data["validation_labels"].dtype == np.int64
            assert not {image.tobytes() for image in data["images"]} & set(self.labels)
            self.asked.append(set())
            self.state = checked(blank(self.exam, self.files, self.seed, stage))
            found = self.exam.examine_stage(self, self.seed, stage)
            assert bool(found) == (stage == self.exam.stages(self.seed) - 1)
        return found

    def _exchange(self, method: str, args: tuple[Any, ...]) -> Any:
        assert method == "predict"
        answers = []
        for image in args[0]:
            task, label = self.labels[image.tobytes()]
            self.asked[-1].add(image.tobytes())
            right = self.knows(task, len(self.asked) - 1)
            answers.append(label if right else (label + 1) % self.exam.config["CLASSES"])
        return np.array(answers)


def blank(exam_: ContinualLearningExaminer, code: Any, seed: int, stage: int) -> dict[str, Any]:
    """What a learner could hand over that has learned nothing and keeps nothing."""
    return {
        "network": dict(code.answer.parameters(exam_.config)),
        "classes": np.stack([np.unique(each.train.y) for each in exam_.experiences(seed)[: stage + 1]]),
        "kept": np.zeros(0, np.int64),
        "modules": {},
    }


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
def test_the_exam_measures_the_accuracy_matrix(code: Any, dataset: str) -> None:
    exam_ = examiner(dataset)
    tasks = exam_.config["TASKS"]

    def knows(task: int, t: int) -> bool:  # the second experience is forgotten when the fourth comes
        return task <= t and not (task == 1 and t >= 3)

    found = Oracle(exam_, code, 3, knows).examined()
    wanted = np.array([[float(knows(i, t)) for t in range(tasks)] for i in range(tasks)])
    asked = ~np.isnan(exam_.artifacts["accuracy"])
    np.testing.assert_array_equal(exam_.artifacts["accuracy"][asked], wanted[asked].astype(np.float32))
    assert found["average_accuracy"] == (tasks - 1) / tasks
    assert found["forgetting"] == 1 / (tasks - 1)
    assert set(found) <= {"average_accuracy", *DOMAIN.specification.other_metrics}
    ahead = 0 if dataset.startswith("Split") else 1
    assert asked.sum() == sum(min(t + 1 + ahead, tasks) for t in range(tasks))


def test_the_last_questions_are_new(code: Any) -> None:
    exam_ = examiner("SplitGlyphs")
    oracle = Oracle(exam_, code, 0, lambda task, t: True)
    oracle.examined()
    tasks = exam_.config["TASKS"]
    for t in range(tasks):
        assert {oracle.labels[image][0] for image in oracle.asked[t]} == set(range(t + 1))
        if 0 < t < tasks - 1:
            assert oracle.asked[t - 1] <= oracle.asked[t]
    assert not oracle.asked[-1] & set().union(*oracle.asked[:-1])


@pytest.mark.parametrize("answer", [-1, 10_000, 0.5])
def test_an_answer_that_is_no_label_is_refused(code: Any, answer: float) -> None:
    class Wrong(Oracle):
        def _exchange(self, method: str, args: tuple[Any, ...]) -> Any:
            return np.full(len(args[0]), answer)

    with pytest.raises(ProtocolError, match="predict"):
        Wrong(examiner(), code, 0, None).examined()


@pytest.mark.parametrize("dataset", OFFLINE)
def test_the_floor_is_chance(dataset: str) -> None:
    exam_ = examiner(dataset, "small")
    floor = exam_.floor(0)
    assert floor["average_accuracy"] == pytest.approx(1 / exam_.config["CLASSES"], abs=0.02)
    assert floor["forgetting_score"] >= floor["average_accuracy"] - 0.02


def test_pictures_show_the_accuracies_and_the_stream(code: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    from discoenv.examiners.plotting import ExamArtifacts

    saved = []
    for number, dataset in enumerate(["PermutedDigits", "SplitTextures"]):
        exam_ = examiner(dataset)
        Oracle(exam_, code, 0, lambda task, t: task <= t).examined()
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
