"""The surrogate: predicts what the simulator would say of a level."""

import numpy as np
import torch
from evaluations import one_hot, padded
from torch import nn
from torch.nn import functional


class Surrogate:
    """A model of the simulator.

    Args:
        config: dict, the dataset's config.yaml: HEIGHT, WIDTH, TILES, RANGES of both measures; CHANNELS, STRIDE,
            TRAIN_BATCH, LEARNING_RATE and OCCUPANCY_WEIGHT are settings of the baseline.
        seed: int, of everything random.
    """

    def __init__(self, config, seed):
        # <solution>
        # DSAGE (Bhatt et al. 2022): one network predicts where the agent will be; a second one sees level and that.
        class Residual(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.body = nn.Sequential(
                    nn.Conv2d(width, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                )

            def forward(self, x):
                return functional.relu(x + self.body(x))

        torch.manual_seed(seed)
        self._config, self._rng = config, np.random.default_rng(seed)
        width, tiles, stride = config["CHANNELS"], config["TILES"], config["STRIDE"]
        low, high = np.array(config["RANGES"], np.float64).T
        self._units = np.array([1.0, *((high - low) / 8)])
        self._occupancy = nn.Sequential(
            nn.Conv2d(tiles, width, stride + 2, stride=stride, padding=1),
            nn.LeakyReLU(0.2),
            Residual(width),
            nn.Conv2d(width, stride**2, 1),
            nn.PixelShuffle(stride),
        )
        features = 2 * width * -(-config["HEIGHT"] // 4) * -(-config["WIDTH"] // 4)
        self._outcome = nn.Sequential(
            nn.Conv2d(tiles + 1, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(features, 3),
        )
        self._networks = nn.ModuleList([self._occupancy, self._outcome])
        self._optimizer = torch.optim.Adam(self._networks.parameters(), lr=config["LEARNING_RATE"])
        # </solution>

    def fit(self, data, epochs):
        """Learn from all evaluations so far; what was learned before may be kept.

        Args:
            data: Evaluations (see evaluations.py) of N levels.
            epochs: int, what schedule.py asks for: how often to go through the data.
        """
        # <solution>
        outcomes = np.concatenate([data.objectives[:, None], data.measures], axis=1) / self._units
        levels, targets = one_hot(data.levels, self._config), torch.as_tensor(outcomes, dtype=torch.float32)
        occupancy = padded(torch.as_tensor(data.occupancy))[:, None]
        self._networks.train()
        for _ in range(epochs):
            order = torch.as_tensor(self._rng.permutation(len(targets)))
            for rows in order.split(self._config["TRAIN_BATCH"]):
                walked = self._occupancy(levels[rows])
                predicted = self._outcome(torch.cat([levels[rows], walked], dim=1))
                loss = functional.mse_loss(predicted, targets[rows])
                loss = loss + self._config["OCCUPANCY_WEIGHT"] * functional.mse_loss(walked, occupancy[rows])
                self._optimizer.zero_grad()
                loss.backward()
                self._optimizer.step()
        # </solution>

    def predict(self, levels):
        """Predict evaluations.

        Args:
            levels: int8[n, HEIGHT, WIDTH].

        Returns:
            Objectives float64[n] and measures float64[n, 2], finite, in the units of the evaluations.
        """
        # <solution>
        self._networks.eval()
        with torch.no_grad():
            encoded = one_hot(levels, self._config)
            predicted = self._outcome(torch.cat([encoded, self._occupancy(encoded)], dim=1))
        outcomes = predicted.cpu().numpy().astype(np.float64) * self._units
        return outcomes[:, 0], outcomes[:, 1:]
        # </solution>
