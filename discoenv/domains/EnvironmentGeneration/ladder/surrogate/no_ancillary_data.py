"""DSAGE without ancillary data ("Only Down"): one network, which sees the level alone. Bhatt et al. 2022, section 5."""

import numpy as np
import torch
from evaluations import one_hot
from torch import nn
from torch.nn import functional


class Surrogate:
    """A convolutional network for objective and measures."""

    def __init__(self, config, seed):
        torch.manual_seed(seed)
        self._config, self._rng = config, np.random.default_rng(seed)
        width = config["CHANNELS"]
        low, high = np.array(config["RANGES"], np.float64).T
        self._units = np.array([1.0, *((high - low) / 8)])
        features = 2 * width * -(-config["HEIGHT"] // 4) * -(-config["WIDTH"] // 4)
        self._network = nn.Sequential(
            nn.Conv2d(config["TILES"], width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(features, 3),
        )
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=config["LEARNING_RATE"])

    def fit(self, data, epochs):
        """Go on training on all evaluations."""
        outcomes = np.concatenate([data.objectives[:, None], data.measures], axis=1) / self._units
        levels, targets = one_hot(data.levels, self._config), torch.as_tensor(outcomes, dtype=torch.float32)
        self._network.train()
        for _ in range(epochs):
            order = torch.as_tensor(self._rng.permutation(len(targets)))
            for rows in order.split(self._config["TRAIN_BATCH"]):
                loss = functional.mse_loss(self._network(levels[rows]), targets[rows])
                self._optimizer.zero_grad()
                loss.backward()
                self._optimizer.step()

    def predict(self, levels):
        """Objectives float64[n] and measures float64[n, 2]."""
        self._network.eval()
        with torch.no_grad():
            predicted = self._network(one_hot(levels, self._config))
        outcomes = predicted.cpu().numpy().astype(np.float64) * self._units
        return outcomes[:, 0], outcomes[:, 1:]
