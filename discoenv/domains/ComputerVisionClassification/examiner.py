"""Examines image classifiers: shows them held-out images, and compares what they answer with the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.data import generated, published
from discoenv.data.altered import altered
from discoenv.data.images import SPLITS, Images, Split
from discoenv.data.published.holdout import Holdout
from discoenv.exams.examiner import Array, Examiner, Learner, RuleBroken, State

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Logits beyond this make no difference to the log-loss.
LARGEST_LOGIT = 1e4
#: Fewest and most images of a question, if a learner answers; and the part of them that has been shown before.
LEAST_QUESTION, MOST_QUESTION = 16, 32
AGAIN = 0.25
#: By what share of the largest logit two answers to the same image may differ.
TOLERANCE = 0.01
#: Part of the pixels whose lowest bit is changed in every other image that is shown again, so that it cannot be
#: recognised by its bytes; and by what share of the largest logit half of those answers may differ.
TOUCHED, TOUCHED_TOLERANCE = 0.1, 0.02
#: Part of the answers to the same images that may name another class: where two logits are as good as equal. One large
#: logit makes every difference of the others small beside it, and what counts is the largest one.
OTHER_CLASSES = 0.01
_RULE = "they must depend on that image alone, and be neither random nor learned from what was shown before"
#: What the numbers of images are called in the configuration.
_SAMPLES = {"train": "TRAIN_SAMPLES", "validation": "VALIDATION_SAMPLES", "test": "EXAM_SAMPLES"}
#: Images of the exam that are saved for pictures, wrongly classified ones first.
_IMAGES_SAVED = 24


class ComputerVisionClassificationExaminer(Examiner):
    """Asks for ``logits(images)`` of all held-out images.

    All images are drawn from the exam's seed: of invented sets the classes too; of published ones it draws which images
    are used, and changes each of them a little (see :mod:`discoenv.data.altered`).

    A learner is asked about few images at a time, in random order. A part of them it has seen before, in other company;
    and its witness is asked about some of them alone: what is said of an image may not depend on other images. The
    metrics: ``accuracy``, ``top5_accuracy``, ``log_loss`` and ``parameter_count``, see :func:`metrics`.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._drawn: tuple[int, dict[str, Split]] = -1, {}

    def images(self, seed: int) -> Images:
        """The images of an exam: at least as many of each part as the configuration asks for, if there are."""
        parts = [self.part(seed, name) for name in SPLITS]
        return Images(self.config["IMAGES"], self.config["NUM_CLASSES"], *parts)

    def part(self, seed: int, name: str) -> Split:
        """One part of them, of ``SPLITS``; those for training are drawn together, as they are needed together."""
        if self._drawn[0] != seed:
            self._drawn = seed, {}
        parts = self._drawn[1]
        if name not in parts:
            together = ["test"] if name == "test" else [other for other in SPLITS if other != "test"]
            images = self._images(seed, together)
            parts |= {other: self._chosen(getattr(images, other), seed, other) for other in together}
        return parts[name]

    def prepare_questions(self, seed: int, stage: int) -> None:
        """Draw the images that will be asked about."""
        self.part(seed, "test")

    def _images(self, seed: int, parts: list[str]) -> Images:
        """The whole set, of which these parts are needed."""
        config, name = self.config, self.config["IMAGES"]
        if name in generated.GENERATORS:
            most = {part: config[_SAMPLES[part]] if part in parts else 1 for part in SPLITS}
            images = generated.draw(name, int(self.generator(seed, "images").integers(2**63)), most)
        else:
            images = published.load(name, self.data, holdout=Holdout(), size=config["HEIGHT"])
        shape = (config["HEIGHT"], config["WIDTH"], config["NUM_CHANNELS"])
        if images.shape != shape or images.classes != config["NUM_CLASSES"]:
            raise ValueError(f"config.yaml of {self.dataset}: images are {images.shape}, not {shape}")
        return images

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """TRAIN_SAMPLES images with labels to train on, and those for validation."""
        train, validation = self.part(seed, "train"), self.part(seed, "validation")
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
        """Show all held-out images; to a learner, some of them several times."""
        test = self.part(seed, "test")
        if learner.code is None:
            logits = self._questions(learner, test, self.generator(seed, "questions"))
        else:  # our own code says of each image what it would say of it alone
            batch = self.config["EXAM_BATCH"]
            parts = [self._ask(learner, test.x[start : start + batch]) for start in range(0, len(test), batch)]
            logits = np.concatenate(parts)
        self._keep_pictures(test, logits)
        return metrics(logits, test.y) | {"parameter_count": float(learner.state["model"].size)}

    def floor(self, seed: int) -> dict[str, float]:
        """Knows how frequent each class is in training, and nothing else."""
        images = self.images(seed)
        counts = np.bincount(images.train.y, minlength=images.classes)
        prior = np.log((counts + 1.0) / (counts + 1.0).sum())
        return metrics(np.tile(prior, (len(images.test), 1)), images.test.y) | {"parameter_count": 0.0}

    def _chosen(self, split: Split, seed: int, part: str) -> Split:
        """As many images of a part as are used, drawn without replacement, in random order."""
        order = self.generator(seed, part).permutation(len(split))
        chosen = split.take(order[: self.config[_SAMPLES[part]]])
        known = self.config["IMAGES"] not in generated.COUNTS
        return altered(chosen, self.generator(seed, f"{part}, altered")) if known else chosen

    def _questions(self, learner: Learner, test: Split, generator: np.random.Generator) -> Floats:
        """Logits of all images as they were first said of each."""
        logits = np.zeros((len(test), self.config["NUM_CLASSES"]))
        touched: list[float] = []
        renamed: list[bool] = []
        shown = 0
        while shown < len(test):
            size = int(generator.integers(LEAST_QUESTION, MOST_QUESTION, endpoint=True))
            again = generator.choice(shown, min(shown, int(AGAIN * size)), replace=False)
            new = np.arange(shown, min(len(test), shown + size - len(again)))
            order = generator.permutation(len(new) + len(again))
            images, touch = test.x[np.concatenate([new, again])], len(new) + len(again) // 2
            images[touch:] ^= (generator.random(images[touch:].shape) < TOUCHED).astype(np.uint8)
            found = np.empty((len(order), logits.shape[1]))
            found[order] = self._ask(learner, images[order])
            logits[new] = found[: len(new)]
            before = logits[again]
            differ = np.abs(found[len(new) :] - before).max(axis=1) / (1.0 + np.abs(before).max(axis=1))
            touched += differ[touch - len(new) :].tolist()
            renamed += _renamed(found[len(new) : touch], before[: touch - len(new)])
            if (differ[: touch - len(new)] > TOLERANCE).any():
                raise RuleBroken(f"the logits of an image changed when it was shown again among other images: {_RULE}")
            shown += len(new)
        if _too_many(renamed):
            raise RuleBroken(f"the class of an image changed when it was shown again among other images: {_RULE}")
        if touched and np.median(touched) > TOUCHED_TOLERANCE:
            raise RuleBroken(
                "the logits of images changed when they were shown again, among other images and with another lowest "
                f"bit in some pixels: {_RULE}"
            )
        if learner.witness is not None:
            self._compare(learner.witness, test, logits, generator)
        return logits

    def _compare(self, witness: Learner, test: Split, logits: Floats, generator: np.random.Generator) -> None:
        """Ask a second learner about a part of the images: it has not seen the others, and must say the same."""
        rows = generator.choice(len(test), int(AGAIN * len(test)), replace=False)
        renamed: list[bool] = []
        for part in np.split(rows, range(MOST_QUESTION, len(rows), MOST_QUESTION)):
            before, found = logits[part], self._ask(witness, test.x[part])
            differ = np.abs(found - before).max(axis=1)
            renamed += _renamed(found, before)
            if (differ > TOLERANCE * (1.0 + np.abs(before).max(axis=1))).any():
                raise RuleBroken(f"a learner that was shown other images says something else of the same one: {_RULE}")
        if _too_many(renamed):
            raise RuleBroken(f"a learner that was shown other images says another class of the same one: {_RULE}")

    def _ask(self, learner: Learner, images: np.ndarray[Any, Any]) -> Floats:
        shape = (len(images), self.config["NUM_CLASSES"])
        logits: Floats = learner.ask("logits", np.asarray(images), returns=Array(shape, "float", low=-1e9, high=1e9))
        return logits

    def _keep_pictures(self, test: Split, logits: Floats) -> None:
        answers = logits.argmax(axis=1)
        confusion = np.zeros((self.config["NUM_CLASSES"],) * 2, np.int64)
        np.add.at(confusion, (test.y, answers), 1)
        self.save_artifact("confusion", confusion.astype(np.uint16))
        rows = np.argsort(answers == test.y, kind="stable")[:_IMAGES_SAVED]
        self.save_artifact("images", test.x[rows])
        self.save_artifact("labels", test.y[rows].astype(np.int16))
        self.save_artifact("answers", answers[rows].astype(np.int16))


def _renamed(logits: Floats, before: Floats) -> list[bool]:
    """Of which images the largest of the logits, float64[N, C], is that of another class than before."""
    named: list[bool] = (logits.argmax(axis=1) != before.argmax(axis=1)).tolist()
    return named


def _too_many(renamed: list[bool]) -> bool:
    """Whether more images have another class than where logits may happen to be as good as equal."""
    return sum(renamed) > OTHER_CLASSES * len(renamed)


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
