"""Trains the generator of platformer levels; as a program, it writes the weights that come with the package."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own abbreviation

from .archives import Array
from .generator import COLUMNS, HEIGHT, LATENT, WEIGHTS, WIDTH
from .grammar import sample
from .platformer import TILES


class Decoder(nn.Module):
    """As :class:`.generator.Generator`, in PyTorch; latents are standard normal."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT, hidden * COLUMNS)
        self.up1 = nn.ConvTranspose1d(hidden, hidden, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose1d(hidden, hidden, 4, stride=2, padding=1)
        self.up3 = nn.ConvTranspose1d(hidden, hidden, 4, stride=2, padding=1)
        self.last = nn.Conv1d(hidden, HEIGHT * TILES, 1)

    def forward(self, z: Tensor) -> Tensor:
        """[n, 32] to logits [n, height · tiles, width]."""
        x = F.relu(self.first(z)).reshape(len(z), -1, COLUMNS)
        for layer in (self.up1, self.up2, self.up3):
            x = F.relu(layer(x))
        logits: Tensor = self.last(x)
        return logits


class Encoder(nn.Module):
    """Mean and log variance of the latents of one-hot levels [n, height · tiles, width]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = [HEIGHT * TILES, hidden, hidden, hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Conv1d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(hidden * COLUMNS, 2 * LATENT))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both [n, 32]."""
        mean, log_variance = self.body(x).chunk(2, dim=1)
        return mean, log_variance


def train(
    *,
    levels: int = 2000,
    steps: int = 800,
    hidden: int = 48,
    batch_size: int = 64,
    rate: float = 2e-3,
    beta: float = 0.5,
    seed: int = 0,
) -> dict[str, Array]:
    """Train on random levels of the grammar; the decoder's weights by name, float32.

    The loss is the cross-entropy of tiles plus ``beta`` times the divergence from the standard normal. Rare tiles weigh
    more, as the square root of how rare they are: they would vanish from the likeliest levels.
    """
    rng = np.random.default_rng(seed)
    data = torch.as_tensor(np.stack([sample(rng) for _ in range(levels)])).long()
    one_hot = F.one_hot(data, TILES).permute(0, 1, 3, 2).reshape(levels, HEIGHT * TILES, WIDTH).float()
    share = torch.bincount(data.reshape(-1), minlength=TILES) / data.numel()
    weight = share.clamp(min=1e-4).rsqrt()
    weight = weight / (weight * share).sum()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = Encoder(hidden), Decoder(hidden)
        optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=rate)
        for number in range(steps):
            rows = torch.as_tensor(rng.integers(levels, size=batch_size))
            mean, log_variance = encoder(one_hot[rows])
            z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            logits = decoder(z).reshape(batch_size, HEIGHT, TILES, WIDTH).movedim(2, 1)
            errors = F.cross_entropy(logits, data[rows], weight=weight, reduction="none").sum(dim=(1, 2))
            divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
            loss = (errors + beta * min(1.0, 3 * number / steps) * divergence).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if number % 100 == 0:
                print(
                    f"step {number}: tiles {errors.mean().item():.1f}, divergence {divergence.mean().item():.1f}",
                    flush=True,
                )
    return {name: x.detach().numpy().copy() for name, x in decoder.state_dict().items()}


def main(path: Path = WEIGHTS) -> None:
    """Train, and write the weights in half precision."""
    weights: dict[str, Any] = {name: x.astype(np.float16) for name, x in train().items()}
    np.savez_compressed(path, **weights)
    print(f"wrote {path}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*map(Path, sys.argv[1:2]))
