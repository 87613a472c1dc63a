"""Examiner of the toy domain: draws points of a function, and asks for values at others."""

import numpy as np

from discoenv.exams.examiner import Array, Examiner

FUNCTIONS = {
    "Line": lambda x: 1.5 * x + 0.5 * x**2,
    "Wave": lambda x: np.sin(3 * x),
    "Steps": lambda x: np.floor(2 * x) / 2,
    "Noise": lambda x: 0.5 * x + 0.5 * x**2,
}
BATCHES = 4


class RegressionExaminer(Examiner):
    """Knows the function."""

    def training_data(self, seed):
        """``x`` and ``y``: float64[n]."""
        rng = self.generator(seed, "training")
        x = rng.uniform(-1, 1, self.config["n"])
        return {"x": x, "y": FUNCTIONS[self.dataset](x) + self.config["noise"] * rng.standard_normal(len(x))}

    def examine(self, learner, seed):
        """Error at held-out points."""
        x, y = self._held_out(seed)
        parts = [learner.ask("predict", part, returns=Array((len(part),))) for part in np.split(x, BATCHES)]
        return self._metrics(np.concatenate(parts), y)

    def floor(self, seed):
        """The mean of the training targets, everywhere."""
        _, y = self._held_out(seed)
        return self._metrics(np.full_like(y, self.training_data(seed)["y"].mean()), y)

    def _held_out(self, seed):
        x = self.generator(seed, "held-out").uniform(-1, 1, self.config["held_out"])
        return x, FUNCTIONS[self.dataset](x)

    @staticmethod
    def _metrics(predictions, y):
        mse = float(np.mean((predictions - y) ** 2))
        return {"r2": 1 - mse / float(np.var(y)), "mse": mse}
