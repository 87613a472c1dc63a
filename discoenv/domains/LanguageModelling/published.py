"""Published texts in GPT-2's tokens: shards that are mapped into memory, and text that is tokenised as it is read.

Never more of a file is in memory than a piece of 1 MiB (of Parquet: 256 rows), or the tokens that are asked for.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import itertools
import json
import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from discoenv.data import downloads

Tokens = np.ndarray[Any, np.dtype[np.uint16]]

#: What ends a document, and its number.
END_OF_TEXT: Final = "<|endoftext|>"
#: Of a shard: a header of 256 int32, of which the first are this number, the version, and how many tokens follow.
MAGIC, VERSION, HEADER = 20240520, 1, 256
_PIECE: Final = 1 << 20
#: Bytes of text per token, and more than that.
_TOKEN_BYTES: Final = 6
#: Names a folder that holds a folder for each corpus, with its two shards; else they are in the cache.
VARIABLE: Final = "DISCOENV_LANGUAGE"
#: One document in so many is for validation.
_HELD_OUT: Final = 8


class Corpus(NamedTuple):
    """A corpus that is published as Parquet: the dataset that is made of it, and its repository on Hugging Face."""

    dataset: str
    repository: str


#: Pages of FineWeb that are about code or mathematics (Huang et al. 2024), by the names of their texts.
CORPORA: Final[Mapping[str, Corpus]] = {
    "opc_code": Corpus("OPCFineWebCode", "OpenCoder-LLM/opc-fineweb-code-corpus"),
    "opc_mathematics": Corpus("OPCFineWebMath", "OpenCoder-LLM/opc-fineweb-math-corpus"),
}
_SHARDS: Final = {"train": "train.bin", "validation": "validation.bin"}


def shard(path: Path) -> Tokens:
    """Tokens uint16[N] of a shard as llm.c and modded-nanogpt write it, mapped into memory.

    Raises:
        ValueError: it is no such shard, or not whole.
    """
    header = np.fromfile(path, "<i4", HEADER)
    if len(header) < HEADER or (header[0], header[1]) != (MAGIC, VERSION):
        raise ValueError(f"{path}: not a shard of GPT-2 tokens, version {VERSION}; fetch it again")
    count, size = int(header[2]), path.stat().st_size
    if size != 4 * HEADER + 2 * count:
        raise ValueError(f"{path}: {size:,} bytes; its header asks for {4 * HEADER + 2 * count:,}: fetch it again")
    return np.memmap(path, "<u2", "r", 4 * HEADER, (count,))


def folder(dataset: str) -> Path:
    """Where the shards of a corpus are: below the folder that ``DISCOENV_LANGUAGE`` names, or in the cache."""
    root = os.environ.get(VARIABLE)
    return Path(root, dataset) if root else downloads.cache_root() / "LanguageModelling" / dataset


def parquet(path: Path) -> Iterator[str]:
    """The documents of a Parquet file: its column ``text``, without empty rows.

    Raises:
        ImportError: the package pyarrow is not installed.
        ValueError: it is no Parquet file, or has no such column.
    """
    try:
        pyarrow = importlib.import_module("pyarrow")
        file = importlib.import_module("pyarrow.parquet").ParquetFile(path)
    except ImportError as error:
        raise ImportError(f"{path} needs the package pyarrow: pip install pyarrow") from error
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: no Parquet file ({error}); fetch it again") from error
    with file:
        if "text" not in file.schema_arrow.names:
            raise ValueError(f"{path}: no column text; its columns are {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(batch_size=256, columns=["text"]):
            yield from filter(None, batch.column(0).to_pylist())


def write_shards(texts: Iterable[str], tokens: Tokenizer, place: Path, most: int = 2**31 - 1) -> dict[str, int]:
    """Write the two shards of a corpus; equal documents are in the same one.

    Args:
        texts: its documents.
        tokens: makes tokens of them; an END_OF_TEXT stands before each document.
        place: the folder; both files are there only if all went well.
        most: no further document once there are so many tokens for training.

    Returns:
        How many tokens each shard has.
    """
    place.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(_SHARDS, 0)
    with tempfile.TemporaryDirectory(dir=place) as unfinished:
        with contextlib.ExitStack() as stack:
            files = {part: stack.enter_context(Path(unfinished, name).open("wb")) for part, name in _SHARDS.items()}
            for file in files.values():
                file.write(bytes(4 * HEADER))
            for each in texts:
                digest = hashlib.sha256(each.encode("utf-8", "replace")).digest()
                part = "validation" if digest[0] % _HELD_OUT == 0 else "train"
                numbers = np.asarray([tokens.end, *tokens.encode(each)], "<u2")
                files[part].write(numbers.tobytes())
                counts[part] += len(numbers)
                if counts["train"] >= most:
                    break
            for part, file in files.items():
                file.seek(0)
                file.write(np.asarray([MAGIC, VERSION, counts[part]], "<i4").tobytes())
        for name in _SHARDS.values():
            Path(unfinished, name).replace(place / name)
    return counts


def documents(path: Path, start: int = 0, end: int | None = None) -> Iterator[str]:
    """The documents of a text file that END_OF_TEXT separates, without those that are cut by ``start`` or ``end``.

    Args:
        path: the file, UTF-8.
        start, end: in bytes; 0 and None: all documents.
    """
    mark, left = END_OF_TEXT.encode(), path.stat().st_size - start if end is None else end - start
    with path.open("rb") as file:
        file.seek(start)
        rest, cut = b"", start > 0
        while piece := file.read(min(_PIECE, left)):
            left -= len(piece)
            *whole, rest = (rest + piece).split(mark)
            for each in whole:
                if not cut:
                    yield each.decode("utf-8", "replace").strip()
                cut = False
        if end is None and not cut and rest.strip():
            yield rest.decode("utf-8", "replace").strip()


class Tokenizer:
    """Byte-level byte-pair encoding (Radford et al. 2019).

    Args:
        encoder: GPT-2's ``encoder.json``: numbers of tokens, whose bytes are written as printable characters.
        merges: its ``vocab.bpe``: pairs that are merged, the first ones first.
    """

    def __init__(self, encoder: Path, merges: Path) -> None:
        letters = {letter: byte for byte, letter in printable().items()}
        numbers: dict[str, int] = json.loads(encoder.read_text(encoding="utf-8"))
        self.end = numbers[END_OF_TEXT]
        self._numbers = {bytes(letters[one] for one in text): n for text, n in numbers.items() if text != END_OF_TEXT}
        lines = merges.read_text(encoding="utf-8").splitlines()
        pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        encoded = [tuple(bytes(letters[one] for one in part) for part in pair) for pair in pairs]
        self._ranks = {pair: rank for rank, pair in enumerate(encoded)}
        self.lengths = np.zeros(len(numbers), np.int64)
        for token, number in self._numbers.items():
            self.lengths[number] = len(token)
        self.lengths[self.end] = len(END_OF_TEXT)
        self._word = functools.lru_cache(maxsize=1 << 17)(self._merged)

    def encode(self, text: str) -> list[int]:
        """Numbers of the tokens of a text."""
        return [number for word in _pattern().findall(text) for number in self._word(word)]

    def stream(self, texts: Iterable[str], count: int) -> Tokens:
        """``count`` tokens uint16 of documents, each after an END_OF_TEXT; the last one is cut.

        Raises:
            ValueError: there are fewer.
        """
        found, done = np.empty(count, np.uint16), 0
        for text in texts:
            numbers = [self.end, *self.encode(text)][: count - done]
            found[done : done + len(numbers)] = numbers
            done += len(numbers)
            if done == count:
                return found
        raise ValueError(f"the text has {done:,} tokens; {count:,} are asked for")

    def _merged(self, word: str) -> tuple[int, ...]:
        parts = [bytes([byte]) for byte in word.encode()]
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, sys.maxsize) for pair in itertools.pairwise(parts)]
            best = min(ranks)
            if best == sys.maxsize:
                break
            place = ranks.index(best)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return tuple(self._numbers[part] for part in parts)


@functools.lru_cache(maxsize=2)
def tokenizer(folder: Path) -> Tokenizer:
    """GPT-2's tokenizer, from ``encoder.json`` and ``vocab.bpe`` in a folder."""
    return Tokenizer(folder / "encoder.json", folder / "vocab.bpe")


def text(name: str, fetched: Path, generator: np.random.Generator, part: str, length: int) -> Tokens:
    """A stretch of a published text, from a place that is drawn.

    Args:
        name: ``fineweb``, ``tiny_stories``, or one of CORPORA.
        fetched: where its files are; of a corpus, those of the tokeniser.
        generator: draws the place.
        part: ``train``, or ``validation`` or ``held-out``, which are the two halves of the file that is for validation.
        length: in tokens.

    Raises:
        FileNotFoundError: the shards of a corpus have not been made; the message says how to.
        ValueError: there is no such text, a file is damaged, or it is too short.
    """
    half = {"train": 0, "validation": 0, "held-out": 1}[part]
    if name == "fineweb" or name in CORPORA:
        tokens = shard(_shard_of(name, fetched, "train" if part == "train" else "validation"))
        if part != "train":
            tokens = np.split(tokens, [len(tokens) // 2])[half]
        if len(tokens) < length:
            raise ValueError(f"{name}: {len(tokens):,} tokens are there for {part}; {length:,} are asked for")
        start = int(generator.integers(len(tokens) - length + 1))
        return np.array(tokens[start : start + length])
    if name == "tiny_stories":
        path = fetched / f"TinyStoriesV2-GPT4-{'train' if part == 'train' else 'valid'}.txt"
        size = path.stat().st_size
        begin, end = (0, size) if part == "train" else (half * size // 2, (half + 1) * size // 2)
        # After the latest beginning there are _TOKEN_BYTES for each token, and a document that may be cut.
        start = begin + int(generator.integers(max(1, end - begin - _TOKEN_BYTES * length - _PIECE // 256)))
        return tokenizer(fetched).stream(documents(path, start, end), length)
    raise ValueError(f"there is no published text {name!r}; there are fineweb, tiny_stories, {', '.join(CORPORA)}")


def _shard_of(name: str, fetched: Path, part: str) -> Path:
    if name == "fineweb":
        return fetched / ("fineweb_train_000001.bin" if part == "train" else "fineweb_val_000000.bin")
    dataset = CORPORA[name].dataset
    path = folder(dataset) / _SHARDS[part]
    if not path.is_file():
        raise FileNotFoundError(
            f"{dataset}: {path} is not there; make it with python -m discoenv.domains.LanguageModelling.studies.fetch "
            f"{dataset}, or set {VARIABLE} to a folder that has {dataset}/{path.name}"
        )
    return path


def printable() -> dict[int, str]:
    """GPT-2's characters for bytes: printable ones are themselves, others the characters from 256 on."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + place) for place, byte in enumerate(others)}


@functools.cache
def _pattern() -> re.Pattern[str]:
    r"""What GPT-2 splits text by: ``'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``."""
    letters, numbers = (_class(kind) for kind in "LN")
    return re.compile(
        rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{letters}]+| ?[{numbers}]+| ?[^\s{letters}{numbers}]+|\s+(?!\S)|\s+"
    )


def _class(kind: str) -> str:
    """The ranges of all characters of a general category, for a regular expression."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == kind:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
