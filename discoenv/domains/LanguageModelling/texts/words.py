"""Words that are invented, and ways to draw some that are frequent and some that are rare."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T")
_ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "cl",
    "dr",
    "fl",
    "gr",
    "pl",
    "pr",
    "sk",
    "sl",
    "st",
    "tr",
    "th",
    "sh",
    "ch",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou"]
_CODAS = ["", "", "", "n", "r", "s", "l", "m", "t", "nd", "rk", "st", "x"]


def word(draw: random.Random, syllables: int) -> str:
    """An invented word of lower-case letters."""
    parts = [draw.choice(_ONSETS) + draw.choice(_VOWELS) for _ in range(syllables)]
    return "".join(parts) + draw.choice(_CODAS)


def vocabulary(draw: random.Random, count: int, least: int = 1, most: int = 3) -> list[str]:
    """``count`` different invented words of ``least`` to ``most`` syllables."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[word(draw, draw.randint(least, most))] = None
    return list(found)


class Frequent(Generic[_T]):
    """Draws items as words are in texts: the k-th is drawn in proportion to 1 / (k + 2) (Zipf's law)."""

    def __init__(self, items: Sequence[_T]) -> None:
        self._items = list(items)
        self._weights: list[float] = []
        total = 0.0
        for rank in range(len(self._items)):
            total += 1.0 / (rank + 2)
            self._weights.append(total)

    def one(self, draw: random.Random) -> _T:
        """One of them."""
        return draw.choices(self._items, cum_weights=self._weights)[0]

    def several(self, draw: random.Random, count: int) -> list[_T]:
        """``count`` different ones."""
        found: list[_T] = []
        while len(found) < count:
            item = self.one(draw)
            if item not in found:
                found.append(item)
        return found
