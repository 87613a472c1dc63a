"""The Gymnasium spaces of actions (their form is described in :mod:`discoenv.episodes.action`) and observations.

In a sampled action every edit has all four keys; there, an empty ``old`` means that ``content`` is the whole file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from discoenv.episodes.action import COMMANDS, encodable

#: Characters that a Text space here may hold.
MAX_TEXT: Final = 1 << 24


class UnicodeText(spaces.Text):
    """Any Unicode text that UTF-8 can encode, up to ``max_length`` characters (Gymnasium's Text lists its alphabet)."""

    def __init__(self, max_length: int = MAX_TEXT, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length=max_length, min_length=0, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a str of allowed length without lone surrogates."""
        return isinstance(x, str) and len(x) <= self.max_length and encodable(x)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Up to 64 characters, drawn from printable ASCII, newlines and code points of all planes."""
        count = int(self.np_random.integers(0, min(self.max_length, 64) + 1))
        ascii_points = self.np_random.integers(32, 127, size=count)
        any_points = self.np_random.integers(160, 0x110000, size=count)
        points = np.where(self.np_random.random(count) < 0.8, ascii_points, any_points)
        points = np.where((points >= 0xD800) & (points < 0xE000), ord("\n"), points)
        return "".join(chr(point) for point in points)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and other.max_length == self.max_length

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"


class Choice(spaces.Space[str]):
    """One of a few words."""

    def __init__(self, words: Sequence[str], seed: int | np.random.Generator | None = None) -> None:
        self.words = tuple(words)
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: words are not numbers."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """One of the words, uniformly."""
        return self.words[int(self.np_random.integers(len(self.words)))]

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is one of the words."""
        return isinstance(x, str) and x in self.words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and other.words == self.words

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Choice{self.words}"


class Files(spaces.Space[dict[str, str]]):
    """A few text files: a dict from file name to content. Which files there are depends on the task."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: files are not numbers."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> dict[str, str]:
        """Up to three files of random text."""
        text = UnicodeText(seed=self.np_random)
        return {f"module{index}.py": text.sample() for index in range(int(self.np_random.integers(4)))}

    def contains(self, x: Any) -> bool:
        """Whether ``x`` maps str to str."""
        return isinstance(x, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in x.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Files)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Files()"


class DatasetNames(spaces.Space[tuple[str, ...]]):
    """A tuple of names of datasets; empty: all. Which names there are depends on the task."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: names are not numbers."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> tuple[str, ...]:
        """Always the empty tuple: the only value that every task can take."""
        return ()

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a tuple of str."""
        return isinstance(x, tuple) and all(isinstance(name, str) for name in x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatasetNames)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "DatasetNames()"


def action_space() -> spaces.Dict:
    """The space of actions in their most explicit form."""
    edit = spaces.Dict({key: UnicodeText() for key in ("path", "content", "old", "new")})
    return spaces.Dict({"edits": spaces.Sequence(edit), "command": Choice(COMMANDS), "datasets": DatasetNames()})


def observation_space(max_steps: int) -> spaces.Dict:
    """The space of observations; see :class:`discoenv.env.DiscoGenEnv`."""
    return spaces.Dict(
        {
            "text": UnicodeText(),
            "files": Files(),
            "score": spaces.Box(-np.inf, np.inf, shape=(), dtype=np.float64),
            "steps_left": spaces.Box(0, max_steps, shape=(), dtype=np.int64),
        }
    )
