import numpy as np

from .losses import mse_loss
from settings import NOISE


class Linear:
    """A linear model."""

    def __init__(self, inputs):
        self.weights = np.zeros(inputs)

    def fit(self, x, y):
        self.weights = np.linalg.lstsq(x, y, rcond=None)[0]
        return mse_loss(self.predict(x), y) / NOISE

    def predict(self, x):
        return x @ self.weights

    forward = predict

    def gradient(self, x, y):
        return x.T @ (self.predict(x) - y) / len(y)
