"""What automata are trained and examined on: initial states, the outputs wanted, and the cells that count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.data.altered import altered_levels

from . import images, patterns

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: Channel of the alpha value of growing patterns; a cell above 0.1 counts as grown.
ALPHA = 3


@dataclass(frozen=True)
class Samples:
    """M grids of H × W cells.

    Attributes:
        states: float32[M, H, W, CHANNELS], where the automaton starts; the last PRESERVE channels are inputs.
        targets: float32[M, H, W, OUTPUT], wanted in the first OUTPUT channels.
        weights: float32[M, H, W], zero or one: the cells that count in the loss.
    """

    states: FloatArray
    targets: FloatArray
    weights: FloatArray

    def rolled(self, rows: np.ndarray[Any, Any], columns: np.ndarray[Any, Any]) -> Samples:
        """Sample m moved down by ``rows[m]`` and right by ``columns[m]``, on the torus."""
        return Samples(*(roll(values, rows, columns) for values in (self.states, self.targets, self.weights)))


def roll(values: FloatArray, rows: np.ndarray[Any, Any], columns: np.ndarray[Any, Any]) -> FloatArray:
    """``values`` [M, H, W, ...], entry m moved down by ``rows[m]`` and right by ``columns[m]``, on the torus."""
    count, height, width = values.shape[:3]
    down = (np.arange(height)[None, :, None] - rows[:, None, None]) % height
    right = (np.arange(width)[None, None, :] - columns[:, None, None]) % width
    moved: FloatArray = values[np.arange(count)[:, None, None], down, right]
    return moved


class Source(ABC):
    """Samples one dataset.

    Args:
        config: the dataset's configuration.
        folder: where its downloaded files are, if it has any.
    """

    #: Whether what is on a grid has a place on it which is known, so that grids can be laid over each other.
    placed = True

    def __init__(self, config: Mapping[str, Any], folder: Path | None = None) -> None:
        self.config = config
        self.folder = folder

    @abstractmethod
    def sample(self, seed: np.random.Generator, split: np.random.Generator) -> tuple[Samples, Samples]:
        """Training samples, and EXAM_SAMPLES held-out ones.

        ``split`` decides what is held out, ``seed`` everything else.
        """

    def groups(self, samples: Samples) -> np.ndarray[Any, Any]:
        """Which of the samples are alike in what is asked of them, int64[M]: those of one number."""
        return np.zeros(len(samples.states), np.int64)

    def _empty(self, count: int) -> FloatArray:
        grid = self.config["GRID"]
        return np.zeros((count, grid, grid, self.config["CHANNELS"]), np.float32)


class Growing(Source):
    """From a single cell to a picture, which is another one in each exam.

    The learner gets it to train on; what is held out is chance: places, noise and damage.
    """

    placed = False  # all grids look alike

    def sample(self, seed: np.random.Generator, split: np.random.Generator) -> tuple[Samples, Samples]:
        """One training sample, with the seed cell in the middle; copies of it."""
        config = self.config
        target = patterns.render(config["PATTERN"], config["GRID"], patterns.Look.drawn(seed))[None]
        states = self._empty(1)
        states[:, config["GRID"] // 2, config["GRID"] // 2, ALPHA:] = 1.0
        weights = np.ones(states.shape[:3], np.float32)
        copies = (np.repeat(values, config["EXAM_SAMPLES"], axis=0) for values in (states, target, weights))
        return Samples(states, target, weights), Samples(*copies)


class GreyImages(Source):
    """Grey images in the middle of the grid, of which a random part is held out; each of them is changed a little."""

    def sample(self, seed: np.random.Generator, split: np.random.Generator) -> tuple[Samples, Samples]:
        """Images are split at random where the data set has no test part; TRAIN_SAMPLES at most."""
        config = self.config
        training, held_out = images.load(config["IMAGES"], self.folder, split)
        parts = []
        for part, count in ((training, config["TRAIN_SAMPLES"]), (held_out, config["EXAM_SAMPLES"])):
            chosen = seed.choice(len(part), count, replace=count > len(part))
            pixels = (altered_levels(part.x[chosen], seed)[..., 0] / 255).astype(np.float32)
            parts.append(self._samples(pixels, part.y[chosen], seed))
        return parts[0], parts[1]

    @abstractmethod
    def _samples(self, pixels: FloatArray, labels: np.ndarray[Any, Any], seed: np.random.Generator) -> Samples: ...

    def _padded(self, values: FloatArray) -> FloatArray:
        """``values`` [M, h, w, ...] in the middle of grids of zeros."""
        grid = self.config["GRID"]
        before = (grid - values.shape[1]) // 2
        after = grid - values.shape[1] - before
        return np.pad(values, [(0, 0), (before, after), (before, after)] + [(0, 0)] * (values.ndim - 3))


class Inpainting(GreyImages):
    """Half of the pixels are missing. Inputs: the pixels that are known, and which those are."""

    def _samples(self, pixels: FloatArray, labels: np.ndarray[Any, Any], seed: np.random.Generator) -> Samples:
        known = (seed.random(pixels.shape) >= self.config["MISSING"]).astype(np.float32)
        states = self._empty(len(pixels))
        states[..., -2] = self._padded(pixels * known)
        states[..., -1] = self._padded(known)
        states[..., 0] = states[..., -2]
        return Samples(states, self._padded(pixels)[..., None], self._padded(np.ones_like(pixels)))


class SelfClassifying(GreyImages):
    """Every cell of a digit must name the digit that it belongs to. Input: the image."""

    def _samples(self, pixels: FloatArray, labels: np.ndarray[Any, Any], seed: np.random.Generator) -> Samples:
        states = self._empty(len(pixels))
        states[..., -1] = self._padded(pixels)
        weights = (states[..., -1] >= 0.1).astype(np.float32)
        return Samples(states, np.eye(10, dtype=np.float32)[labels][:, None, None] * weights[..., None], weights)


class MatrixOperations(Source):
    """Transpose, negate, add or multiply matrices. Inputs: A, B, where the matrices are, and the operation."""

    OPERATIONS = ("transpose", "negate", "add", "multiply")

    def sample(self, seed: np.random.Generator, split: np.random.Generator) -> tuple[Samples, Samples]:
        """All are sampled anew; every operation equally often."""
        return self._samples(self.config["TRAIN_SAMPLES"], seed), self._samples(self.config["EXAM_SAMPLES"], split)

    def groups(self, samples: Samples) -> np.ndarray[Any, Any]:
        """The operation."""
        groups: np.ndarray[Any, Any] = samples.states[:, 0, 0, -len(self.OPERATIONS) :].argmax(axis=1)
        return groups

    def _samples(self, count: int, generator: np.random.Generator) -> Samples:
        size, kinds = self.config["MATRIX"], len(self.OPERATIONS)
        a, b = generator.uniform(-1.0, 1.0, (2, count, size, size)).astype(np.float32)
        operation = np.arange(count) % kinds
        # Of variance 1/3, whatever the operation, so that all weigh the same.
        results = np.stack([a.transpose(0, 2, 1), -a, (a + b) / np.sqrt(2.0), a @ b * np.sqrt(3.0 / size)])
        first = (self.config["GRID"] - size) // 2
        inside = (slice(None), slice(first, first + size), slice(first, first + size))
        states, targets = self._empty(count), self._empty(count)[..., :1]
        # The order of inputs: A, B, one where the matrices are, then one channel for each operation.
        inputs = states[..., -3 - kinds :]
        inputs[(*inside, 0)], inputs[(*inside, 1)], inputs[(*inside, 2)] = a, b, 1.0
        inputs[np.arange(count), ..., 3 + operation] = 1.0
        targets[(*inside, 0)] = results[operation, np.arange(count)]
        return Samples(states, targets, inputs[..., 2].copy())


class SteadyDiffusion(Source):
    """Temperatures of a plate in which some cells are held. Inputs: their temperatures, and which those are."""

    def sample(self, seed: np.random.Generator, split: np.random.Generator) -> tuple[Samples, Samples]:
        """All are sampled anew."""
        return self._samples(self.config["TRAIN_SAMPLES"], seed), self._samples(self.config["EXAM_SAMPLES"], split)

    def _samples(self, count: int, generator: np.random.Generator) -> Samples:
        grid = self.config["GRID"]
        held = generator.random((count, grid, grid)) < self.config["HELD"]
        values = np.where(held, generator.uniform(-1.0, 1.0, held.shape), 0.0).astype(np.float32)
        targets = steady_state(values, held, self.config["LOSS_RATE"])
        states = self._empty(count)
        states[..., -2], states[..., -1], states[..., 0] = values, held, values
        return Samples(states, targets[..., None].astype(np.float32), np.ones(held.shape, np.float32))


def steady_state(values: FloatArray, held: np.ndarray[Any, Any], loss_rate: float) -> FloatArray:
    """Solutions of (1 + r) u = mean of the four neighbours' u in free cells, u = value in held ones, on a torus.

    That is the steady state of heat conduction with loss to surroundings of temperature 0, discretised in five points;
    solved by conjugate gradients (Hestenes & Stiefel 1952) for all plates at once.

    Args:
        values: float[M, H, W], temperatures of the held cells.
        held: bool[M, H, W].
        loss_rate: r > 0.

    Returns:
        float64[M, H, W], residuals below 1e-7.
    """

    def around(u: FloatArray) -> FloatArray:
        neighbours = [np.roll(u, shift, axis) for axis in (1, 2) for shift in (-1, 1)]
        mean: FloatArray = np.mean(neighbours, axis=0)
        return mean

    def product(one: FloatArray, other: FloatArray) -> FloatArray:
        summed: FloatArray = (one * other).sum(axis=(1, 2), keepdims=True)
        return summed

    fixed = np.where(held, values, 0.0).astype(np.float64)
    u = np.zeros_like(fixed)
    residual = np.where(held, 0.0, around(fixed))
    direction, size = residual, product(residual, residual)
    while np.abs(residual).max() > 1e-7:
        image = np.where(held, 0.0, (1.0 + loss_rate) * direction - around(direction))
        step = size / np.maximum(product(direction, image), 1e-300)
        u, residual = u + step * direction, residual - step * image
        before, size = size, product(residual, residual)
        direction = residual + size / np.maximum(before, 1e-300) * direction
    return u + fixed


SOURCES: dict[str, type[Source]] = {
    "growing": Growing,
    "inpainting": Inpainting,
    "self-classifying": SelfClassifying,
    "matrices": MatrixOperations,
    "diffusion": SteadyDiffusion,
}
