"""Which images are set aside for validation, where a published set has no part for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from discoenv.data.images import Split


@dataclass(frozen=True)
class Holdout:
    """A choice of validation images, the same at every call.

    Attributes:
        share: of the images to train on; with 0 there are none, and those to train on stay in their order.
        choose: ``random``: drawn from all, and both parts are shuffled; ``last``: the last ones of each class, at least
            one, and both parts stay in their order.
    """

    share: float = 0.1
    choose: Literal["random", "last"] = "random"

    def __str__(self) -> str:
        return f"{self.choose}-{self.share:g}" if self.share else "none"

    def split(self, images: Split) -> tuple[Split, Split]:
        """The images to train on, and those for validation.

        Args:
            images: all that a set has to train on.
        """
        if not self.share:
            return images, images.take(slice(0))
        if self.choose == "random":
            order = np.random.Generator(np.random.PCG64(0)).permutation(len(images))
            count = round(self.share * len(images))
            return images.take(order[count:]), images.take(order[:count])
        chosen = np.zeros(len(images), bool)
        for label in np.unique(images.y):
            rows = np.flatnonzero(images.y == label)
            chosen[rows[len(rows) - max(1, int(self.share * len(rows))) :]] = True
        return images.take(~chosen), images.take(chosen)
