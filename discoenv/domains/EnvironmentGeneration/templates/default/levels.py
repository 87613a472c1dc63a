"""Solutions and levels: what may be proposed, random solutions, and which level a solution stands for."""

import numpy as np


class Space:
    """The solutions of an exam.

    Args:
        config: dict, the dataset's config.yaml.
        data: dict of arrays from the examiner. Mazes: ``fixed``, int8[HEIGHT, WIDTH]: 0 and 1 are cells that are always
            free or always a wall, whatever the solution says, and -1 the others. Platformer: the weights of the
            generator, and ``column``, int64[], the first column of its levels that is played.
    """

    def __init__(self, config, data):
        self.config = config
        self._data = data

    @property
    def is_maze(self):
        """Whether solutions are int8 of 0 (free) and 1 (wall); else they are float64 latents of the generator."""
        return self.config["SIMULATOR"] == "maze"

    @property
    def dtype(self):
        """Of solutions: int8 or float64."""
        return np.int8 if self.is_maze else np.float64

    def draw(self, count, rng):
        """Random solutions [count, SOLUTION_DIM]: fair bits, or normal numbers of standard deviation SIGMA."""
        shape = (count, self.config["SOLUTION_DIM"])
        if self.is_maze:
            return rng.integers(2, size=shape, dtype=np.int8)
        return self.clip(self.config["SIGMA"] * rng.normal(size=shape))

    def clip(self, solutions):
        """The nearest solutions that may be proposed: bits, or numbers from -LIMIT to LIMIT."""
        if self.is_maze:
            return np.clip(np.rint(solutions), 0, 1).astype(np.int8)
        return np.clip(np.asarray(solutions, np.float64), -self.config["LIMIT"], self.config["LIMIT"])

    def levels(self, solutions):
        """The levels of solutions [n, SOLUTION_DIM]: tiles int8[n, HEIGHT, WIDTH], from 0 to TILES - 1."""
        if self.is_maze:
            fixed = self._data["fixed"]
            walls = np.asarray(solutions, np.int8).reshape(-1, *fixed.shape)
            return np.where(fixed >= 0, fixed, walls)
        return self._decoded(np.asarray(solutions, np.float32))

    def _decoded(self, latents):
        """The generator: a decoder of convolutions along columns, and the likeliest tile of each cell."""
        weights, columns = self._data, 7
        usual = latents / np.float32(self.config["SIGMA"])
        x = np.maximum(usual @ weights["first.weight"].T + weights["first.bias"], 0)
        x = x.reshape(len(x), -1, columns).swapaxes(1, 2)
        for layer in ("up1", "up2", "up3"):
            x = np.maximum(_doubled(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"]), 0)
        first, width, height = int(self._data["column"]), self.config["WIDTH"], self.config["HEIGHT"]
        x = x[:, first : first + width] @ weights["last.weight"][..., 0].T + weights["last.bias"]
        tiles = x.reshape(len(x), width, -1, self.config["TILES"]).argmax(axis=-1).astype(np.int8)
        return tiles.swapaxes(1, 2)[:, -height:]


def _doubled(x, weight, bias):
    """Transposed convolution with kernel 4, stride 2 and padding 1: [n, columns, inputs] to [n, 2 columns, outputs]."""
    count, columns, inputs = x.shape
    taps = (x.reshape(-1, inputs) @ weight.reshape(inputs, -1)).reshape(count, columns, len(bias), 4)
    out = np.zeros((count, 2 * columns + 2, len(bias)), x.dtype)
    for k in range(4):
        out[:, k : k + 2 * columns : 2] += taps[..., k]
    return out[:, 1:-1] + bias
