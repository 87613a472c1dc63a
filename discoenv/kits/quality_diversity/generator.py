"""From 32 numbers to a platformer level: the decoder of a variational autoencoder (Kingma & Welling, 2014) in NumPy.

It was trained on levels of :mod:`.grammar` by :mod:`.generator_training`; nothing of another game is in it. Its levels
are like those of the grammar, but need not be solvable, and get stranger away from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .archives import Array, FloatArray
from .platformer import TILES

LATENT: Final = 32
HEIGHT, WIDTH = 16, 56
#: Columns that the first layer makes; three layers double them.
COLUMNS: Final = 7
#: Latents of typical levels have this standard deviation, as in the published generator's.
SIGMA: Final = 0.2
WEIGHTS: Final = Path(__file__).with_name("generator.npz")


class Generator:
    """The decoder.

    Args:
        weights: by name, as :func:`.generator_training.train` gives them; kept as float64.
    """

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.weights = {name: np.asarray(x, np.float64) for name, x in weights.items()}

    def logits(self, latents: FloatArray) -> FloatArray:
        """float64[n, 32] to logits of tiles float64[n, height, width, tiles]."""
        w = self.weights
        hidden = w["first.bias"].size // COLUMNS
        x = np.maximum(latents / SIGMA @ w["first.weight"].T + w["first.bias"], 0)
        x = x.reshape(len(x), hidden, COLUMNS).swapaxes(1, 2)  # [n, columns, channels]
        for layer in ("up1", "up2", "up3"):
            x = np.maximum(_doubled(x, w[f"{layer}.weight"], w[f"{layer}.bias"]), 0)
        x = x @ w["last.weight"][..., 0].T + w["last.bias"]
        return x.reshape(len(x), WIDTH, HEIGHT, TILES).swapaxes(1, 2)

    def decode(self, latents: FloatArray) -> npt.NDArray[np.int8]:
        """Latents float64[n, 32] to levels int8[n, height, width], the likeliest tile in each cell."""
        tiles: npt.NDArray[np.int8] = self.logits(latents).argmax(axis=-1).astype(np.int8)
        return tiles


@cache
def generator() -> Generator:
    """The generator whose weights come with the package.

    Raises:
        FileNotFoundError: they do not; make them with :mod:`.generator_training`.
    """
    with np.load(WEIGHTS) as arrays:
        return Generator({name: arrays[name] for name in arrays.files})


def _doubled(x: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    """Transposed convolution with kernel 4, stride 2 and padding 1, along columns.

    Args:
        x: [n, columns, inputs].
        weight: [inputs, outputs, 4], as PyTorch has it.
        bias: [outputs].

    Returns:
        [n, 2 · columns, outputs]: column 2 i + k − 1 gets x_i · w_k.
    """
    n, columns, _ = x.shape
    out = np.zeros((n, 2 * columns + 2, len(bias)))
    for k in range(4):
        out[:, k : k + 2 * columns : 2] += x @ weight[:, :, k]
    return np.asarray(out[:, 1:-1] + bias)


def layer_shapes(hidden: int) -> dict[str, Any]:
    """Shapes of the weights for a number of channels."""
    ups = {
        f"up{number}.{kind}": shape
        for number in (1, 2, 3)
        for kind, shape in (("weight", (hidden, hidden, 4)), ("bias", (hidden,)))
    }
    return {
        "first.weight": (hidden * COLUMNS, LATENT),
        "first.bias": (hidden * COLUMNS,),
        **ups,
        "last.weight": (HEIGHT * TILES, hidden, 1),
        "last.bias": (HEIGHT * TILES,),
    }
