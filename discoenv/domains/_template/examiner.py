"""Examiner of the domain: draws points of a function, and asks for values at others.

It runs in a process of its own, beside the learner's sandbox. What it returns from ``training_data`` is all that the
learner gets; the function and the held-out points stay here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

#: The function of each dataset, from float64[N] to float64[N].
FUNCTIONS: Final[dict[str, Callable[[FloatArray], FloatArray]]] = {
    "Line": lambda x: 1.5 * x + 0.5 * x**2,
    "Wave": lambda x: np.sin(3 * x),
    "Steps": lambda x: np.floor(2 * x) / 2,
    "Noise": lambda x: 0.5 * x + 0.5 * x**2,
}
BATCHES = 4


class RegressionExaminer(Examiner):
    """Knows the function. ``self.dataset`` and ``self.config`` say which one, and how many points are drawn."""

    def training_data(self, seed: int) -> dict[str, FloatArray]:
        """``x`` and ``y``: float64[n], what ``exam.training_data()`` gives to the learner."""
        rng = self.generator(seed, "training")
        x = rng.uniform(-1, 1, self.config["n"])
        return {"x": x, "y": FUNCTIONS[self.dataset](x) + self.config["noise"] * rng.standard_normal(len(x))}

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Error at held-out points, by the names of domain.yaml. ``ask`` ends the exam if an answer is not an Array."""
        x, y = self._held_out(seed)
        parts = [learner.ask("predict", part, returns=Array((len(part),))) for part in np.split(x, BATCHES)]
        return self._metrics(np.concatenate(parts), y)

    def floor(self, seed: int) -> dict[str, float]:
        """What a learner reaches that learns nothing: the mean of the training targets, everywhere."""
        _, y = self._held_out(seed)
        return self._metrics(np.full_like(y, self.training_data(seed)["y"].mean()), y)

    def _held_out(self, seed: int) -> tuple[FloatArray, FloatArray]:
        """New points in every exam, independent of the training points: a generator per purpose."""
        x = self.generator(seed, "held-out").uniform(-1, 1, self.config["held_out"])
        return x, FUNCTIONS[self.dataset](x)

    @staticmethod
    def _metrics(predictions: FloatArray, y: FloatArray) -> dict[str, float]:
        mse = float(np.mean((predictions - y) ** 2))
        return {"r2": 1 - mse / float(np.var(y)), "mse": mse}
