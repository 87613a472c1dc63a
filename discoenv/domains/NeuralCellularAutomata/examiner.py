"""Examines automata: lets them grow from states of its choice, measures what they have become, and probes the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from discoenv.exams.examiner import Examiner, Learner, State

from . import probes
from .film import FRAMES, Film
from .growth import Growth
from .samples import ALPHA, SOURCES, FloatArray, Samples, Source

#: A loss below counts as this much: there is nothing to be gained by more digits.
LEAST_LOSS = 1e-6
#: A grid that explodes shall not outweigh all the others; outputs are cut too, so that sums stay finite.
LARGEST_LOSS = 10.0
LARGEST_OUTPUT = 1e3

Grow = Callable[[FloatArray, int], FloatArray]


class NeuralCellularAutomataExaminer(Examiner):
    """Asks ``step(states, noise)`` EXAM_STEPS times and as often again; damages growing patterns and asks to go on.

    How it asks, and what else it asks to see whether the rule is local, is described by :class:`Growth`. The metrics:
    ``log10_loss``, log10 of the loss (see :func:`losses`) averaged over samples and phases; ``loss_mean``, the same
    without logarithm; ``loss_std`` over samples; the loss of every phase; and ``accuracy`` for classification.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._sampled: tuple[int, tuple[Samples, Samples, np.ndarray[Any, Any]]] | None = None
        self._own: Callable[..., Any] | None = None

    def training_data(self, seed: int) -> dict[str, FloatArray]:
        """The fields of :class:`Samples`."""
        return vars(self.sample(seed)[0])

    def sample(self, seed: int) -> tuple[Samples, Samples, np.ndarray[Any, Any]]:
        """Training samples, held-out samples, and how far the latter have been moved on the torus, int64[2, M]."""
        if self._sampled is None or self._sampled[0] != seed:
            training, held_out = self._source.sample(self.generator(seed, "samples"), self.generator(seed, "split"))
            places = self.generator(seed, "places").integers(self.config["GRID"], size=(2, len(held_out.states)))
            self._sampled = seed, (training, held_out.rolled(*places), places)
        return self._sampled[1]

    @property
    def _source(self) -> Source:
        return SOURCES[self.config["TASK"]](self.config, self.data)

    def check_state(self, state: State) -> None:
        """The parameters of perceive.py and update.py."""
        state.require_keys("perceive", "update")

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Grow, keep growing, and regrow after damage."""
        generator = self.generator(seed, "evaluation")
        _, samples, places = self.sample(seed)
        film = Film(samples, places, self.config["OUTPUT"], self.config["EXAM_STEPS"] // FRAMES)
        if learner.code is not None and self._own is None:
            import jax  # learners need it, the other exams do not

            self._own = jax.jit(learner.code.make_grow(self.config))
        own = None if learner.code is None else self._own
        company = probes.Company(self._source.groups(samples), places if self._source.placed else None)
        probing = self.generator(seed, "probes")
        grow = Growth(learner, own, self.config["PRESERVE"], generator, probing, company, film)
        metrics = self._score(samples, samples.states, grow, generator)
        for name, values in film.arrays().items():
            self.save_artifact(name, values)
        return metrics

    def floor(self, seed: int) -> dict[str, float]:
        """An automaton that changes nothing: what is scored is the initial state."""
        _, samples, _ = self.sample(seed)
        return self._score(samples, samples.states, lambda states, steps: states, self.generator(seed, "evaluation"))

    def _score(
        self, samples: Samples, states: FloatArray, grow: Grow, generator: np.random.Generator
    ) -> dict[str, float]:
        config = self.config
        growing = config["TASK"] == "growing"
        phases = ("grown", "persisted", "regrown") if growing else ("settled", "persisted")
        found = {}
        right = []
        for phase in phases:
            if phase == "regrown":
                states = damaged(states, generator)
            states = grow(states, config["EXAM_STEPS"])
            outputs = states[..., : config["OUTPUT"]]
            found[phase] = losses(outputs, samples, config["LOSS"])
            right.append((outputs.argmax(axis=-1) == samples.targets.argmax(axis=-1))[samples.weights > 0])
        each = np.mean(list(found.values()), axis=0)
        metrics = {
            "log10_loss": float(np.log10(max(each.mean(), LEAST_LOSS))),
            "loss_mean": float(each.mean()),
            "loss_std": float(each.std()),
            **{f"loss_{phase}": float(values.mean()) for phase, values in found.items()},
        }
        if config["LOSS"] == "cross_entropy":
            metrics["accuracy"] = float(np.mean(right))
        return metrics


def losses(outputs: FloatArray, samples: Samples, kind: str) -> FloatArray:
    """Loss of each grid: the mean over its cells of weight one, at most ``LARGEST_LOSS``.

    Args:
        outputs: float[M, H, W, OUTPUT].
        samples: with the targets and the weights.
        kind: ``mse``, the squared error averaged over the OUTPUT channels; or ``cross_entropy``, in nats, of the
            softmax of the outputs.

    Returns:
        float64[M].
    """
    outputs = outputs.astype(np.float64).clip(-LARGEST_OUTPUT, LARGEST_OUTPUT)
    if kind == "cross_entropy":
        shifted = outputs - outputs.max(axis=-1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        cells = -(samples.targets * logarithms).sum(axis=-1)
    else:
        cells = ((outputs - samples.targets) ** 2).mean(axis=-1)
    count = np.maximum(samples.weights.sum(axis=(1, 2)), 1.0)
    found: FloatArray = ((cells * samples.weights).sum(axis=(1, 2)) / count).clip(max=LARGEST_LOSS)
    return found


def damaged(states: FloatArray, generator: np.random.Generator) -> FloatArray:
    """``states`` [M, H, W, C] with all cells of a disc set to zero.

    The disc lies at random around what has grown (the mean position of the alpha channel); its radius is 15 to 25 % of
    the grid's height.
    """
    count, height, width = states.shape[:3]
    centre = generator.uniform(0.25, 0.75, (2, count, 1, 1))
    radius = generator.uniform(0.15, 0.25, (count, 1, 1)) * height
    alpha = np.maximum(states[..., ALPHA], 0.0) + 1e-9
    offsets = []
    for axis, size in ((1, height), (2, width)):
        angles = np.exp(2j * np.pi * np.arange(size) / size)
        middle = np.angle((alpha.sum(axis=3 - axis) * angles).sum(axis=1)) / (2 * np.pi) * size
        place = middle[:, None, None] + (centre[axis - 1] - 0.5) * size
        positions = np.arange(size).reshape((1, size, 1) if axis == 1 else (1, 1, size))
        offsets.append((positions - place + size / 2) % size - size / 2)
    kept: FloatArray = states * (offsets[0] ** 2 + offsets[1] ** 2 > radius**2)[..., None]
    return kept
