"""A folder of files, with a class that trains."""

from dataclasses import dataclass

import numpy as np
from lib.losses import mse_loss
from lib.model import Linear
from settings import NOISE


@dataclass
class Config:
    steps: int = 50
    lr: float = 0.1
    name: str = "line"


class Trainer:
    def __init__(self, config):
        self.config = config
        self.model = Linear(2)

    def compute_loss(self, x, y):
        return mse_loss(self.model.forward(x), y)

    def fit(self, x, y):
        for step in range(self.config.steps):
            self.model.weights -= self.config.lr * self.model.gradient(x, y)
        return self.compute_loss(x, y)


def main():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    y = x @ np.array([1.0, -2.0]) + NOISE * rng.normal(size=40)
    print(f"mse {Trainer(Config()).fit(x, y):.4f}")


if __name__ == "__main__":
    main()
