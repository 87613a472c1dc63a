"""Examines continual learners: trains one per experience, keeps what is left between them, and asks about all so far.

What a learner hands over is all that there is of its past, so it is counted, checked and rounded here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from discoenv.data.images import Bytes, Labels
from discoenv.exams.examiner import Array, Examiner, Learner, RuleBroken, State

from .rounding import evenly, geometrically
from .streams import Experience, sample

NumpyArray = np.ndarray[Any, Any]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]

#: How much forgetting counts in ``forgetting_score``.
FORGETTING_WEIGHT: Final = 0.5
#: Bits that are left of each parameter of the network between experiences.
NETWORK_BITS: Final = 6
#: Of each floating-point number that modules keep; each level is so many times the next smaller one.
MODULE_BITS: Final = 2
MODULE_RATIO: Final = 8.0
#: As many floating-point numbers as the network has parameters, times this, may modules keep.
COPIES: Final = 1
#: Bytes of numbers and of arrays of integers that modules may keep, all together; they are kept exactly.
EXACT_BYTES: Final = 1024
#: Bytes of an item of the memory besides those of its image, as in memory.py.
ITEM_OVERHEAD_BYTES: Final = 4
#: Images of each experience that are saved for pictures.
_IMAGES_SAVED: Final = 4


@dataclass(frozen=True)
class Memory:
    """What the replay memory holds.

    Attributes:
        images: uint8[N, H, W, C].
        labels, tasks: int64[N].
    """

    images: Bytes
    labels: Labels
    tasks: Labels

    def __len__(self) -> int:
        return len(self.labels)


class ContinualLearningExaminer(Examiner):
    """Has one training per experience, and asks ``predict`` about all so far after each, and about the next.

    Each training is a process that gets one experience and :meth:`carried_state` of the one before. It hands over

    * ``network``: the parameters by name;
    * ``classes``: int64[t, CLASSES_PER_TASK], those of each experience so far;
    * ``kept``: int64[K], which items the memory holds from now on: rows of those that it held and of the training
      images. The items themselves are kept here, so there are no others in it;
    * ``modules``: by module, what it keeps: a tree of arrays and numbers.

    After the last experience it is asked about images that it has not been asked about before. The metrics are those of
    :func:`metrics_of`.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._sampled: tuple[int, list[Experience]] | None = None
        self._parameters: Mapping[str, NumpyArray] = {}
        self._memories: dict[int, Memory] = {}
        self._accuracy: FloatArray = np.empty((0, 0))

    def experiences(self, seed: int) -> list[Experience]:
        """The stream of the exam with this seed."""
        if self._sampled is None or self._sampled[0] != seed:
            self._sampled = seed, sample(self.config, self.data, functools.partial(self.generator, seed))
        return self._sampled[1]

    def stages(self, seed: int) -> int:
        """One per experience."""
        return int(self.config["TASKS"])

    def stage_data(self, seed: int, stage: int) -> dict[str, NumpyArray]:
        """The images of an experience to train on, and for validation, with their labels."""
        train, validation = self.experiences(seed)[stage].train, self.experiences(seed)[stage].validation
        return {
            "images": train.x,
            "labels": train.y,
            "validation_images": validation.x,
            "validation_labels": validation.y,
        }

    def check_state(self, state: State) -> None:
        """Refuse more than modules may keep, and a memory that is too large.

        What depends on the network and on the experience is checked by :meth:`examine_stage`.
        """
        state.require_keys("network", "classes", "kept", "modules")
        for key in ("classes", "kept"):
            if key not in state.arrays or state.arrays[key].dtype != np.int64:
                raise RuleBroken(f"state {key!r} must be an array of int64; it comes from learner.py")
        size = int(np.prod(self.config["IMAGE_SHAPE"])) + ITEM_OVERHEAD_BYTES
        kept, capacity = state.arrays["kept"], self.config["MEMORY_BYTES"] // size
        if kept.ndim != 1 or len(kept) > capacity:
            raise RuleBroken(
                f"the memory holds {kept.size:,} items of {size:,} bytes; {capacity:,} fit into MEMORY_BYTES"
            )
        exact = {path: array for path, array in state["modules"].arrays.items() if not _is_rounded(array)}
        if sum(array.nbytes for array in exact.values()) > EXACT_BYTES:
            path, largest = max(exact.items(), key=lambda item: item[1].nbytes)
            raise RuleBroken(
                f"numbers and arrays of integers that modules keep have {sum(a.nbytes for a in exact.values()):,} "
                f"bytes; {EXACT_BYTES:,} are allowed. The largest is {path!r}, {largest.dtype}{list(largest.shape)}"
            )

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """As :meth:`examine_stage`, after the last experience."""
        return self.examine_stage(learner, seed, self.stages(seed) - 1)

    def examine_stage(self, learner: Learner, seed: int, stage: int) -> dict[str, float]:
        """Check the rest of the state, and ask about the experiences so far."""
        experiences = self.experiences(seed)
        if stage == 0:
            self._memories.clear()
            self._accuracy = np.full((len(experiences),) * 2, np.nan)
        self._check_network(learner, seed, stage)
        self._memories[stage] = self._updated_memory(learner.state.arrays["kept"], seed, stage)

        def predict(images: NumpyArray) -> NumpyArray:
            labels = Array((len(images),), "int", low=0, high=self.config["CLASSES"] - 1)
            return learner.ask("predict", images, returns=labels)

        self._accuracy[:, stage] = self._accuracies(experiences, stage, predict)
        if stage < len(experiences) - 1:
            return {}
        self.save_artifact("accuracy", self._accuracy.astype(np.float32))
        self.save_artifact("images", np.stack([experience.train.x[:_IMAGES_SAVED] for experience in experiences]))
        return self.metrics(self._accuracy)

    def carried_state(self, state: State, seed: int, stage: int) -> dict[str, Any]:
        """What is left for the next experience: rounded numbers, and the items of the memory."""
        generator = self.generator(seed, f"rounding {stage}")

        def rounded(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: rounded(value) for key, value in node.items()}
            if isinstance(node, list):
                return [rounded(value) for value in node]
            if isinstance(node, np.ndarray) and _is_rounded(node):
                return geometrically(node, MODULE_BITS, MODULE_RATIO, generator)
            return node

        network = {name: evenly(x, NETWORK_BITS, generator) for name, x in state.tree["network"].items()}
        memory, modules = vars(self._memories[stage]), rounded(state.tree["modules"])
        return {"network": network, "classes": state.tree["classes"], "memory": memory, "modules": modules}

    def floor(self, seed: int) -> dict[str, float]:
        """Always answers with the first label that was seen."""
        experiences = self.experiences(seed)
        answer = experiences[0].train.y[0]
        accuracy = np.full((len(experiences), len(experiences)), np.nan)
        for task in range(len(experiences)):
            accuracy[:, task] = self._accuracies(experiences, task, lambda images: np.full(len(images), answer))
        return self.metrics(accuracy)

    def metrics(self, accuracy: FloatArray) -> dict[str, float]:
        """The metrics of an accuracy matrix of this dataset."""
        chance = None if self.config["STREAM"] == "split" else 1 / self.config["CLASSES"]
        return metrics_of(accuracy, chance)

    def _check_network(self, learner: Learner, seed: int, stage: int) -> None:
        """Refuse another network than the fixed one, and more numbers beside it than modules may keep."""
        state = learner.state
        if not self._parameters:
            self._parameters = learner.code.parameters(self.config)
        state["network"].require_like({f"network/{name}": array for name, array in self._parameters.items()})
        classes = [np.unique(experience.train.y) for experience in self.experiences(seed)[: stage + 1]]
        if not np.array_equal(state.arrays["classes"], np.stack(classes)):
            raise RuleBroken("state 'classes' must be the classes of each experience so far; it comes from learner.py")
        found = {path: array for path, array in state["modules"].arrays.items() if _is_rounded(array)}
        count, allowed = sum(array.size for array in found.values()), COPIES * state["network"].size
        if count > allowed:
            path, largest = max(found.items(), key=lambda item: item[1].size)
            raise RuleBroken(
                f"modules keep {count:,} floating-point numbers; {allowed:,} are allowed, as many as the network has "
                f"parameters. The largest array is {path!r}, {largest.dtype}{list(largest.shape)}"
            )

    def _updated_memory(self, kept: NumpyArray, seed: int, stage: int) -> Memory:
        """The items of the last memory and of an experience that are in the rows ``kept``."""
        train = self.experiences(seed)[stage].train
        images, labels, tasks = train.x, train.y, np.full(len(train), stage)
        if stage > 0:
            before = self._memories[stage - 1]
            images = np.concatenate([before.images, images])
            labels, tasks = np.concatenate([before.labels, labels]), np.concatenate([before.tasks, tasks])
        if kept.size and (kept.min() < 0 or kept.max() >= len(labels)):
            raise RuleBroken(f"the memory holds rows from {kept.min()} to {kept.max()} of {len(labels)} items")
        if len(np.unique(kept)) < len(kept):
            raise RuleBroken("the memory holds an item more than once")
        return Memory(images[kept], labels[kept], tasks[kept])

    def _accuracies(self, experiences: list[Experience], task: int, predict: Any) -> FloatArray:
        """Accuracy on each experience after experience ``task``; NaN where nothing was asked."""
        last = task == len(experiences) - 1
        ahead = 0 if self.config["STREAM"] == "split" else 1
        found = np.full(len(experiences), np.nan)
        for number, experience in enumerate(experiences[: task + 1 + ahead]):
            part = experience.test if last else experience.probe
            found[number] = (predict(part.x) == part.y).mean()
        return found


def _is_rounded(array: NumpyArray) -> bool:
    """Whether an array that a module keeps is one of floating-point numbers; a single number counts as exact."""
    return array.dtype.kind == "f" and array.ndim > 0


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
