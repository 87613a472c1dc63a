"""Examines continual learners: presents experiences one after another, and asks about all of them after each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner

from .streams import Experience, sample

#: Images in one question.
QUESTION = 500
#: How much forgetting counts in ``forgetting_score``.
FORGETTING_WEIGHT = 0.5
#: Images of each experience that are saved for pictures.
_IMAGES_SAVED = 4

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


class ContinualLearningExaminer(Examiner):
    """Sends experience t by ``learn`` when the learner has answered for t - 1, then asks ``predict`` about all so far.

    The images of a question come from all experiences so far, in random order; which, the learner is not told. After
    the last experience it is asked about images that it has not been asked about before, so that
    remembering one's own answers does not raise the average accuracy. The metrics are those of :func:`metrics_of`.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._sampled: tuple[int, list[Experience]] | None = None

    def experiences(self, seed: int) -> list[Experience]:
        """The stream of the exam with this seed."""
        if self._sampled is None or self._sampled[0] != seed:
            self._sampled = seed, sample(self.config, self.data, self.generator(seed, "samples"))
        return self._sampled[1]

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Present the stream."""
        experiences = self.experiences(seed)
        order = self.generator(seed, "questions")

        def learn(task: int) -> None:
            train, validation = experiences[task].train, experiences[task].validation
            learner.tell("learn", train.x, train.y, validation.x, validation.y)

        def predict(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return learner.ask(
                "predict", images, returns=Array((len(images),), "int", low=0, high=self.config["CLASSES"] - 1)
            )

        accuracy = np.full((len(experiences), len(experiences)), np.nan)
        for task in range(len(experiences)):
            learn(task)
            accuracy[:, task] = self._accuracies(experiences, task, predict, order)
        self.save_artifact("accuracy", accuracy.astype(np.float32))
        self.save_artifact("images", np.stack([experience.train.x[:_IMAGES_SAVED] for experience in experiences]))
        return self.metrics(accuracy)

    def floor(self, seed: int) -> dict[str, float]:
        """Always answers with the first label that was seen."""
        experiences = self.experiences(seed)
        answer = experiences[0].train.y[0]
        accuracy = np.full((len(experiences), len(experiences)), np.nan)
        for task in range(len(experiences)):
            accuracy[:, task] = self._accuracies(
                experiences, task, lambda images: np.full(len(images), answer), self.generator(seed, "floor")
            )
        return self.metrics(accuracy)

    def metrics(self, accuracy: FloatArray) -> dict[str, float]:
        """The metrics of an accuracy matrix of this dataset."""
        chance = None if self.config["STREAM"] == "split" else 1 / self.config["CLASSES"]
        return metrics_of(accuracy, chance)

    def _accuracies(
        self, experiences: list[Experience], task: int, predict: Any, order: np.random.Generator
    ) -> FloatArray:
        """Accuracy on each experience after experience ``task``; NaN where nothing was asked."""
        last = task == len(experiences) - 1
        ahead = 0 if self.config["STREAM"] == "split" else 1
        asked = experiences[: task + 1 + ahead]
        parts = [experience.test if last else experience.probe for experience in asked]
        images, labels = np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
        origin = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        right = np.zeros(len(labels))
        for rows in np.split(order.permutation(len(labels)), range(QUESTION, len(labels), QUESTION)):
            right[rows] = predict(images[rows]) == labels[rows]
        found = np.full(len(experiences), np.nan)
        found[: len(parts)] = np.bincount(origin, right) / np.bincount(origin)
        return found


def metrics_of(accuracy: FloatArray, chance: float | None = None) -> dict[str, float]:
    """What is said about an accuracy matrix.

    With a[i, t] the accuracy on experience i after experience t, and T experiences:

    * ``average_accuracy`` AA = mean over i of a[i, T - 1] (Lopez-Paz & Ranzato 2017, "ACC").
    * ``forgetting`` F = mean over i < T - 1 of max over t of a[i, t], minus a[i, T - 1] (Chaudhry et al. 2018, with the
      last accuracy among those that the maximum is of, so that it is at least 0). An experience that was learned
      perfectly and is forgotten wholly counts 1.
    * ``forgetting_score`` = AA - F / 2. It is reported, not scored: wrong answers in the course of the stream raise it.
    * ``backward_transfer`` = mean over i < T - 1 of a[i, T - 1] - a[i, i] (Lopez-Paz & Ranzato 2017).
    * ``forward_transfer`` = mean over i > 0 of a[i, i - 1], minus chance: what is known of an experience before it
      comes (Lopez-Paz & Ranzato 2017, with chance in place of an untrained network). Only if ``chance`` is given.
    * ``learning_accuracy`` = mean over i of a[i, i] (Riemer et al. 2019).
    * ``anytime_accuracy`` = mean over t of the mean over i <= t of a[i, t] (Caccia et al. 2022).

    Args:
        accuracy: float64[T, T]; entries above the diagonal's left neighbours, i > t + 1, are not looked at.
        chance: accuracy of guessing in every experience, if those to come can be answered at all.
    """
    count = len(accuracy)
    final, diagonal = accuracy[:, -1], np.diagonal(accuracy)
    past = np.triu(np.ones_like(accuracy)) > 0
    best = np.where(past, accuracy, -np.inf).max(axis=1)
    average, forgetting = final.mean(), (best - final)[:-1].mean()
    metrics = {
        "forgetting_score": average - FORGETTING_WEIGHT * forgetting,
        "average_accuracy": average,
        "forgetting": forgetting,
        "backward_transfer": (final - diagonal)[:-1].mean(),
        "learning_accuracy": diagonal.mean(),
        "anytime_accuracy": np.mean([accuracy[: t + 1, t].mean() for t in range(count)]),
    }
    if chance is not None:
        metrics["forward_transfer"] = np.diagonal(accuracy, -1).mean() - chance
    return {name: float(value) for name, value in metrics.items()}
