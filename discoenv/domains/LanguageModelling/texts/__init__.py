"""Texts that language models learn, by name: languages that are invented anew for each exam, and code that is frozen.

A generator is a class ``Kind(draw)``, which invents the language with the random.Random ``draw``, and whose
``document(draw)`` writes one document of it: ASCII, without zero bytes. Two streams of documents of the same language
share its names, words and rules, and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol

import numpy as np

from .code import PackageCode
from .games import ConnectFour
from .logs import LogLines
from .mathematics import ProcMath
from .prose import DocProse
from .stories import StoryGrammar

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Part = Literal["train", "validation", "held-out"]

#: The byte before each document.
SEPARATOR: Final = 0
#: The share of a training text that is worthless, in documents of at most so many bytes, and the number of different
#: pages that come again and again.
JUNK: Final = 0.25
JUNK_BYTES: Final = 600
PAGES: Final = 4


class Language(Protocol):
    """A language of which as many documents can be written as are needed."""

    def document(self, draw: random.Random) -> str:
        """One document."""


#: Generators by the names that configurations give to texts.
GENERATORS: Final[Mapping[str, Callable[[random.Random], Language]]] = {
    "connect_four": ConnectFour,
    "doc_prose": DocProse,
    "log_lines": LogLines,
    "proc_math": ProcMath,
    "story_grammar": StoryGrammar,
}
#: The text that is frozen: code, with other names in each exam.
CODE: Final = "package_code"
NAMES: Final = (*GENERATORS, CODE)


def text(name: str, language: np.random.Generator, draws: np.random.Generator, part: Part, length: int) -> Bytes:
    """Text of one part.

    Args:
        name: one of ``NAMES``.
        language: draws what all parts have in common.
        draws: draws the documents of this part.
        part: which one. That to train on is as text from the web is: a JUNK share of it is worthless.
        length: in bytes.

    Returns:
        uint8[length], documents with a SEPARATOR before each; the last one is cut.

    Raises:
        ValueError: there is no such text, or not as much of it.
    """
    draw = randomness(draws)
    documents = _documents(name, randomness(language), draw, part)
    found, total = [], 0
    for document in with_junk(documents, draw) if part == "train" else documents:
        found.append(b"\x00" + document.encode("ascii"))
        total += len(found[-1])
        if total >= length:
            return np.frombuffer(b"".join(found)[:length], np.uint8)
    raise ValueError(f"{name}: {total:,} bytes are there for {part}; {length:,} are asked for")


def _documents(name: str, language: random.Random, draw: random.Random, part: Part) -> Iterator[str]:
    if name == CODE:
        yield from PackageCode(language).documents(draw, part)
        return
    if name not in GENERATORS:
        raise ValueError(f"there is no text {name!r}; there are {', '.join(NAMES)}")
    made = GENERATORS[name](language)
    while True:
        yield made.document(draw)


def with_junk(documents: Iterable[str], draw: random.Random) -> Iterator[str]:
    """Documents, and others among them that teach nothing, until these are the share JUNK of all bytes.

    Half of those are one of a few pages that come again and again; the letters of the others have been shuffled.
    """
    pages: list[str] = []
    good = bad = 0
    for document in documents:
        yield document
        good += len(document)
        start = draw.randrange(max(1, len(document) - JUNK_BYTES))
        piece = document[start : start + JUNK_BYTES]
        if len(pages) < PAGES:
            pages.append(piece)
        while bad < JUNK / (1.0 - JUNK) * good:
            junk = draw.choice(pages) if draw.random() < 0.5 else "".join(draw.sample(piece, len(piece)))
            yield junk
            bad += len(junk)


def randomness(generator: np.random.Generator) -> random.Random:
    """A random.Random from 128 bits of the generator; it is faster where one thing is drawn at a time."""
    return random.Random(generator.bytes(16))
