"""The deep surrogate of DSAGE (Bhatt et al., 2022, section 4 and appendix): from a level to its evaluation, in PyTorch.

One network predicts the ancillary data, how long the agent is in each cell; a second one reads the level and this
prediction, and predicts the objective and the measures. Without ancillary data there is the second one alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own abbreviation

from .archives import Array, FloatArray
from .problems import Evaluation


@dataclass(frozen=True)
class SurrogateSettings:
    """Numbers of the surrogate and its training; the defaults are the published ones.

    Attributes:
        ancillary: whether occupancy is predicted and used.
        width: channels of both networks' first layer.
        blocks: residual blocks of the network for occupancy.
        epochs: per round, over all data.
        batch_size: of training.
        rate: learning rate of Adam.
        occupancy_weight: of the occupancy's error in the loss.
        recent: most recent evaluations that are data; None: all.
        measure_units: measures are divided by these before they are predicted; (1, 1): in their own units.
    """

    ancillary: bool = True
    width: int = 64
    blocks: int = 2
    epochs: int = 200
    batch_size: int = 64
    rate: float = 1e-3
    occupancy_weight: float = 10.0
    recent: int | None = 20_000
    measure_units: tuple[float, float] = (1.0, 1.0)


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with batch normalisation, and the identity beside them (He et al., 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """[n, width, side, side] to the same shape."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


class OccupancyNetwork(nn.Module):
    """Predicts occupancy: [n, tiles, side, side] one-hot tiles to [n, 1, side, side] steps."""

    def __init__(self, tiles: int, width: int, blocks: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(tiles, width, 3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            *(ResidualBlock(width) for _ in range(blocks)),
            nn.Conv2d(width, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, tiles, side, side] to [n, 1, side, side]."""
        predicted: Tensor = self.body(x)
        return predicted


class Predictor(nn.Module):
    """Predicts objective and both measures: [n, channels, side, side] to [n, 3].

    Convolutions halve the side until it is 4 and double the channels; then there is a linear layer for each output.
    """

    def __init__(self, channels: int, side: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.2)]
        side, features = side // 2, width
        while side > 4:
            layers += [
                nn.Conv2d(features, 2 * features, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * features),
                nn.LeakyReLU(0.2),
            ]
            side, features = side // 2, 2 * features
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.heads = nn.ModuleList(nn.Linear(features * side * side, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels, side, side] to [n, 3]."""
        features = self.body(x)
        return torch.cat([head(features) for head in self.heads], dim=1)


class Experience:
    """All evaluations so far, in order.

    Args:
        shape: height and width of levels.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.levels: npt.NDArray[np.int8] = np.zeros((0, *shape), np.int8)
        self.objectives: FloatArray = np.zeros(0)
        self.measures: FloatArray = np.zeros((0, 2))
        self.occupancy: npt.NDArray[np.float32] = np.zeros((0, *shape), np.float32)

    def __len__(self) -> int:
        return len(self.objectives)

    def add(self, levels: npt.NDArray[np.int8], evaluation: Evaluation, keep: int | None = None) -> None:
        """Append levels int8[n, height, width] with their evaluation, without those that failed.

        Args:
            levels: tiles.
            evaluation: of the same n levels.
            keep: the most recent ones that are kept; None: all.
        """
        good = ~evaluation.failed
        rows = slice(None) if keep is None else slice(-keep, None)
        self.levels = np.concatenate([self.levels, levels[good]])[rows]
        self.objectives = np.concatenate([self.objectives, evaluation.objectives[good]])[rows]
        self.measures = np.concatenate([self.measures, evaluation.measures[good]])[rows]
        self.occupancy = np.concatenate([self.occupancy, evaluation.occupancy[good]])[rows]

    def state(self) -> dict[str, Array]:
        """Arrays from which :meth:`restore` makes the same."""
        return {name: getattr(self, name) for name in ("levels", "objectives", "measures", "occupancy")}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Become the experience whose :meth:`state` this is."""
        self.levels, self.objectives = state["levels"], state["objectives"]
        self.measures, self.occupancy = state["measures"], state["occupancy"]


class Surrogate:
    """Both networks and their training; weights and optimiser go on from one :meth:`fit` to the next.

    Args:
        shape: height and width of levels.
        tiles: different tiles.
        settings: see there.
        seed: of first weights and of the order of training data.
        device: of PyTorch.
    """

    def __init__(
        self, shape: tuple[int, int], tiles: int, settings: SurrogateSettings, seed: int, device: str = "cpu"
    ) -> None:
        self.settings, self.tiles, self.shape = settings, tiles, shape
        self.side = max(8, 1 << (max(shape) - 1).bit_length())
        self.device = torch.device(device)
        self._rng = np.random.default_rng(seed)
        self._units = np.array([1.0, *settings.measure_units])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.predictor = Predictor(tiles + settings.ancillary, self.side, settings.width).to(self.device)
            self.occupancy: OccupancyNetwork | None = None
            if settings.ancillary:
                self.occupancy = OccupancyNetwork(tiles, settings.width, settings.blocks).to(self.device)
        self._modules = nn.ModuleList([self.predictor, *([self.occupancy] if self.occupancy is not None else [])])
        self.optimiser = torch.optim.Adam(self._modules.parameters(), lr=settings.rate)

    def fit(self, data: Experience, epochs: int | None = None) -> float:
        """Train on the most recent data, minibatches in a new order each epoch.

        The loss is (MSE of objective + MSE of measure 1 + MSE of measure 2) / 3 + weight · MSE of occupancy; gradients
        of the first part flow through the predicted occupancy too.

        Args:
            data: evaluations.
            epochs: None: those of the settings.

        Returns:
            Mean loss of the last epoch; NaN without data or epochs.
        """
        rows = slice(None) if self.settings.recent is None else slice(-self.settings.recent, None)
        inputs = self._one_hot(data.levels[rows])
        outcomes = np.concatenate([data.objectives[rows, None], data.measures[rows]], axis=1) / self._units
        targets = torch.as_tensor(outcomes, dtype=torch.float32, device=self.device)
        occupancy = self._padded(torch.as_tensor(data.occupancy[rows], device=self.device))[:, None]
        self._modules.train()
        loss = torch.tensor(float("nan"))
        for _ in range(self.settings.epochs if epochs is None else epochs):
            order = torch.as_tensor(self._rng.permutation(len(targets)), device=self.device)
            total = torch.zeros((), device=self.device)
            for batch in order.split(self.settings.batch_size):
                predicted, walked = self._forward(inputs[batch])
                loss = F.mse_loss(predicted, targets[batch])  # the mean over three columns of one mean each
                if walked is not None:
                    loss = loss + self.settings.occupancy_weight * F.mse_loss(walked, occupancy[batch])
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                total += loss.detach() * len(batch)
            loss = total / max(len(targets), 1)
        return float(loss)

    def predict(
        self, levels: npt.NDArray[np.int8], chunk: int = 1024
    ) -> tuple[FloatArray, FloatArray, npt.NDArray[np.float32] | None]:
        """Predict evaluations of levels int8[n, height, width].

        Args:
            levels: tiles.
            chunk: levels at a time.

        Returns:
            Objectives float64[n], measures float64[n, 2], and occupancy float32[n, height, width], None without
            ancillary data.
        """
        self._modules.eval()
        outcomes, walks = [], []
        for start in range(0, len(levels), chunk):
            with torch.no_grad():
                predicted, walked = self._forward(self._one_hot(levels[start : start + chunk]))
            outcomes.append(predicted.cpu().numpy())
            if walked is not None:
                walks.append(walked[:, 0, : self.shape[0], : self.shape[1]].cpu().numpy())
        result = np.concatenate(outcomes).astype(np.float64) * self._units
        return result[:, 0], result[:, 1:], np.concatenate(walks) if walks else None

    def state(self) -> dict[str, Any]:
        """Arrays and plain values from which :meth:`restore` makes the same surrogate."""
        weights = {name: x.cpu().numpy().copy() for name, x in self._modules.state_dict().items()}
        moments = {
            str(number): {name: x.cpu().numpy().copy() for name, x in values.items()}
            for number, values in self.optimiser.state_dict()["state"].items()
        }
        return {"weights": weights, "moments": moments, "rng": self._rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the surrogate whose :meth:`state` this is; settings must be its settings."""
        self._modules.load_state_dict({name: torch.as_tensor(x) for name, x in state["weights"].items()})
        content = self.optimiser.state_dict()
        content["state"] = {
            int(number): {name: torch.as_tensor(x) for name, x in values.items()}
            for number, values in state["moments"].items()
        }
        self.optimiser.load_state_dict(content)
        self._rng.bit_generator.state = state["rng"]

    def _forward(self, tiles: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outcomes [n, 3] in their units, and occupancy [n, 1, side, side], of one-hot tiles."""
        if self.occupancy is None:
            return self.predictor(tiles), None
        walked = self.occupancy(tiles)
        return self.predictor(torch.cat([tiles, walked], dim=1)), walked

    def _one_hot(self, levels: npt.NDArray[np.int8]) -> Tensor:
        """float32[n, tiles, side, side]; beyond the level there is tile 0."""
        tiles = self._padded(torch.as_tensor(levels, device=self.device)).long()
        return F.one_hot(tiles, self.tiles).movedim(-1, 1).float()

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, self.side - x.shape[2], 0, self.side - x.shape[1]))
