"""What the grids of an exam looked like on the way: frames for pictures, of the first few grids."""

from __future__ import annotations

from typing import Any

import numpy as np

from .samples import FloatArray, Samples, roll

#: Grids that are filmed, and frames of each phase.
SHOWN = 3
FRAMES = 8
#: One colour for each of ten classes.
PALETTE = np.array(
    [
        [31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40], [148, 103, 189],
        [140, 86, 75], [227, 119, 194], [127, 127, 127], [188, 189, 34], [23, 190, 207],
    ]
)  # fmt: skip


class Film:
    """Collects frames.

    Args:
        samples: the grids, whose targets are shown as well.
        places: int[2, M], how far they were moved from the middle, which is undone in the frames.
        output: number of output channels.
        every: steps between two frames.
    """

    def __init__(self, samples: Samples, places: np.ndarray[Any, Any], output: int, every: int) -> None:
        self._places = [-place[:SHOWN] for place in places]
        self._weights = samples.weights[:SHOWN]
        self._output = output
        self._every = max(1, every)
        self._due = 0
        self._step = 0
        self._frames: list[np.ndarray[Any, Any]] = []
        self._steps: list[int] = []
        self._target = self._picture(samples.targets)
        self.add(samples.states, 0)

    def add(self, states: FloatArray, steps: int) -> None:
        """Show states [M, H, W, CHANNELS], ``steps`` after the last ones; 0 always makes a frame."""
        self._step += steps
        if steps == 0 or self._step >= self._due:
            self._frames.append(self._picture(states[..., : self._output]))
            self._steps.append(self._step)
            self._due = self._step + self._every

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """``frames`` uint8[F, SHOWN, H, W, 3], ``steps`` int64[F] and ``target`` uint8[SHOWN, H, W, 3]."""
        return {"frames": np.stack(self._frames), "steps": np.array(self._steps), "target": self._target}

    def _picture(self, outputs: FloatArray) -> np.ndarray[Any, Any]:
        return picture(*(roll(values, *self._places) for values in (outputs[:SHOWN], self._weights)))


def picture(outputs: FloatArray, weights: FloatArray) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Colours of grids, uint8[M, H, W, 3].

    Args:
        outputs: float[M, H, W, 4]: red, green, blue (times alpha) and alpha, on white; or [..., 1]: from −1, blue, over
            white to 1, red; or [..., 10]: the class with the largest value, where ``weights`` are one.
        weights: float[M, H, W].
    """
    outputs = np.nan_to_num(outputs.astype(np.float64))
    if outputs.shape[-1] == 4:
        colours = outputs[..., :3] + 1.0 - outputs[..., 3:].clip(0.0, 1.0)
    elif outputs.shape[-1] == 1:
        value = outputs.clip(-1.0, 1.0)
        colours = 1.0 - np.concatenate([-value, np.abs(value), value], axis=-1).clip(0.0, 1.0)
    else:
        colours = np.where(weights[..., None] > 0, PALETTE[outputs.argmax(axis=-1)] / 255.0, 1.0)
    rounded: np.ndarray[Any, np.dtype[np.uint8]] = np.rint(colours.clip(0.0, 1.0) * 255).astype(np.uint8)
    return rounded
