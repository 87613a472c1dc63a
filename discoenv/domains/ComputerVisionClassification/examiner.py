"""Examines image classifiers: shows them held-out images, and compares what they answer with the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.data import sets
from discoenv.data.images import Images, Split
from discoenv.exams.examiner import Array, Examiner, Learner, RuleBroken, State

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Logits beyond this make no difference to the log-loss.
LARGEST_LOGIT = 1e4
#: How many images are shown again, and in batches of what size.
PROBES, PROBE_BATCH = 32, 8
#: By what share of the largest logit the answers may then differ.
TOLERANCE = 0.01
#: Images of the exam that are saved for pictures, wrongly classified ones first.
_IMAGES_SAVED = 24


class ComputerVisionClassificationExaminer(Examiner):
    """Asks for ``logits(images)`` of all held-out images, in batches in random order.

    Some images are shown again in other company: what is said of an image may not depend on the others of its batch.
    The metrics: ``accuracy``, ``top5_accuracy``, ``log_loss`` and ``parameter_count``, see :func:`metrics`.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._loaded: Images | None = None

    @property
    def images(self) -> Images:
        """The dataset."""
        if self._loaded is None:
            config = self.config
            self._loaded = sets.load(config["IMAGES"], self.data, size=config["HEIGHT"])
            shape = (config["HEIGHT"], config["WIDTH"], config["NUM_CHANNELS"])
            if self._loaded.shape != shape or self._loaded.classes != config["NUM_CLASSES"]:
                raise ValueError(f"config.yaml of {self.dataset}: images are {self._loaded.shape}, not {shape}")
        return self._loaded

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """TRAIN_SAMPLES images with labels to train on, and those for validation."""
        train = self._part(self.images.train, self.config["TRAIN_SAMPLES"], seed, "train")
        validation = self._part(self.images.validation, self.config["VALIDATION_SAMPLES"], seed, "validation")
        return {
            "train_images": train.x,
            "train_labels": train.y,
            "validation_images": validation.x,
            "validation_labels": validation.y,
        }

    def check_state(self, state: State) -> None:
        """The numbers of a network, at most MAX_PARAMETERS of them, and statistics of the training images."""
        state.require_keys("model", "statistics")
        state["model"].require_at_most(size=self.config["MAX_PARAMETERS"], of="parameters and buffers")
        channels, classes = self.config["NUM_CHANNELS"], self.config["NUM_CLASSES"]
        shapes = {"MEAN": (channels, np.float64), "STD": (channels, np.float64), "CLASS_COUNTS": (classes, np.int64)}
        state["statistics"].require_like(
            {f"statistics/{key}": np.empty(size, dtype) for key, (size, dtype) in shapes.items()}
        )

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Show all held-out images once, and a few again."""
        test = self._held_out(seed)
        batch = self.config["EXAM_BATCH"]
        parts = [self._ask(learner, test.x[start : start + batch]) for start in range(0, len(test), batch)]
        logits = np.concatenate(parts)
        if learner.code is None:
            self._probe(learner, test, logits, seed)
        self._keep_pictures(test, logits)
        return metrics(logits, test.y) | {"parameter_count": float(learner.state["model"].size)}

    def floor(self, seed: int) -> dict[str, float]:
        """Knows how frequent each class is in training, and nothing else."""
        counts = np.bincount(self.training_data(seed)["train_labels"], minlength=self.images.classes)
        test = self._held_out(seed)
        prior = np.log((counts + 1.0) / (counts + 1.0).sum())
        return metrics(np.tile(prior, (len(test), 1)), test.y) | {"parameter_count": 0.0}

    def _held_out(self, seed: int) -> Split:
        return self._part(self.images.test, self.config["EXAM_SAMPLES"], seed, "test")

    def _part(self, split: Split, count: int | None, seed: int, purpose: str) -> Split:
        """``count`` images drawn without replacement (None or too many: all), in random order."""
        order = self.generator(seed, purpose).permutation(len(split))
        return split.take(order[:count])

    def _ask(self, learner: Learner, images: np.ndarray[Any, Any]) -> Floats:
        shape = (len(images), self.images.classes)
        logits: Floats = learner.ask("logits", np.asarray(images), returns=Array(shape, "float", low=-1e9, high=1e9))
        return logits

    def _probe(self, learner: Learner, test: Split, logits: Floats, seed: int) -> None:
        """Show some images again, in other company."""
        rows = self.generator(seed, "probes").permutation(len(test))[:PROBES]
        for start in range(0, len(rows), PROBE_BATCH):
            chosen = rows[start : start + PROBE_BATCH]
            again = self._ask(learner, test.x[chosen])
            allowed = TOLERANCE * (1.0 + np.abs(logits[chosen]).max(axis=1, keepdims=True))
            if (np.abs(again - logits[chosen]) > allowed).any():
                raise RuleBroken(
                    "the logits of an image changed when it was shown again among other images: they must depend on "
                    "that image alone, and be neither random nor learned from what was shown before"
                )

    def _keep_pictures(self, test: Split, logits: Floats) -> None:
        answers = logits.argmax(axis=1)
        confusion = np.zeros((self.images.classes,) * 2, np.int64)
        np.add.at(confusion, (test.y, answers), 1)
        self.save_artifact("confusion", confusion.astype(np.uint16))
        rows = np.argsort(answers == test.y, kind="stable")[:_IMAGES_SAVED]
        self.save_artifact("images", test.x[rows])
        self.save_artifact("labels", test.y[rows].astype(np.int16))
        self.save_artifact("answers", answers[rows].astype(np.int16))


def metrics(logits: Floats, labels: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, float]:
    """How good logits are.

    Args:
        logits: float64[N, C]; values beyond ±``LARGEST_LOGIT`` count as that.
        labels: int64[N].

    Returns:
        ``accuracy`` and ``top5_accuracy``, the shares of images whose label has the largest, or one of the five largest
        logits (of equal ones the first is the larger); ``log_loss``, the mean of -log softmax(logits)[label], in nats.
    """
    logits = logits.clip(-LARGEST_LOGIT, LARGEST_LOGIT)
    rows = np.arange(len(labels))
    own = logits[rows, labels][:, None]
    before = np.arange(logits.shape[1])[None, :] < labels[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(axis=1)
    largest = logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(logits - largest).sum(axis=1, keepdims=True)) + largest
    return {
        "accuracy": float((rank == 0).mean()),
        "top5_accuracy": float((rank < 5).mean()),
        "log_loss": float((normaliser - own).mean()),
    }
