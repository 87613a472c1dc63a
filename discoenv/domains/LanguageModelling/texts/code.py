"""Python code that people have written: tests of NumPy, frozen here, with other names and digits in each exam.

Learners do not import these tests, and sandboxes hide them (``hidden_packages`` in domain.yaml): no copy is in sight
while a model trains or answers. ``python -m discoenv.domains.LanguageModelling.studies.freeze_code`` froze them.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import json
import keyword
import lzma
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

FROZEN: Final = Path(__file__).parent / "package_code.json.xz"
SHA256: Final = "cb21b3a5d73736be33c541626bc7915306f5f5015789cb1467090e37ef996c4f"
#: Words are exchanged among so many that are about as frequent.
_NEIGHBOURS: Final = 16
#: So many of the files to train on are for validation.
_VALIDATION: Final = 4
_WORD: Final = re.compile(r"[A-Za-z]{3,}|[2-9]")
_KEPT: Final = frozenset([*keyword.kwlist, *dir(builtins), "self", "def", "the", "and", "for"])


class Corpus(NamedTuple):
    """The frozen files.

    Attributes:
        train, validation, held_out: texts of files; no file is in two of them.
        words: all words that are exchanged, frequent ones first, in three groups: lower case, capitalised, other.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    held_out: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]


class PackageCode:
    """The corpus in the words of one exam.

    Every word that is not Python's own is exchanged for another one that is as frequent, and each of the digits 2 to 9
    for another, in training and held-out files alike: names stay names, and what they are cannot be known beforehand.
    """

    def __init__(self, draw: random.Random) -> None:
        digits = list("23456789")
        self._other = dict(zip(digits, draw.sample(digits, len(digits)), strict=True))
        for words in corpus().words:
            for start in range(0, len(words), _NEIGHBOURS):
                near = words[start : start + _NEIGHBOURS]
                self._other |= dict(zip(near, draw.sample(near, len(near)), strict=True))

    def documents(self, draw: random.Random, part: str) -> Iterator[str]:
        """All files of a part ("train", "validation" or "held-out"), in random order."""
        files = getattr(corpus(), part.replace("-", "_"))
        for file in draw.sample(files, len(files)):
            yield _WORD.sub(lambda match: self._other.get(match[0], match[0]), file)


@functools.cache
def corpus() -> Corpus:
    """The frozen files, read once.

    Raises:
        ValueError: the file is not the one that was frozen.
    """
    content = FROZEN.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{FROZEN}: its SHA-256 is {digest}, not {SHA256}: install discoenv again")
    files = json.loads(lzma.decompress(content))
    counts = Counter(word for part in files.values() for file in part for word in _WORD.findall(file))
    groups: tuple[list[str], ...] = ([], [], [])
    for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if word not in _KEPT and not word.isdigit():
            groups[0 if word.islower() else 1 if word.istitle() else 2].append(word)
    parts = (files["train"][_VALIDATION:], files["train"][:_VALIDATION], files["held_out"])
    train, validation, held_out = (tuple(part) for part in parts)
    return Corpus(train, validation, held_out, tuple(map(tuple, groups)))
