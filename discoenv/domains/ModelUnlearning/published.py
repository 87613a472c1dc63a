"""Published unlearning benchmarks: TOFU, MUSE-News and WMDP-cyber, with checkpoints of the package transformers.

A dataset's folder holds ``full``, the model that has to forget, and where there is one ``gold``, which was never
trained on what is to be forgotten (config.json, the parameters, the tokeniser's files); and ``data``, its texts.
``python -m discoenv.domains.ModelUnlearning.studies.fetch DATASET`` downloads all of it, without a token where the
owners ask for none; folders that are there already, or links to them, do as well.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

Encode = Callable[[str], list[int]]
Row = Mapping[str, Any]

#: Names a folder that holds a folder for each dataset.
VARIABLE: Final = "DISCOENV_UNLEARNING"


class Source(NamedTuple):
    """Where a dataset is from.

    Attributes:
        full, gold: repositories of models; none exists for ``gold`` of some.
        data: repositories of data sets, and patterns of the files that are used.
    """

    full: str
    gold: str | None
    data: Mapping[str, tuple[str, ...]]


SOURCES: Final[Mapping[str, Source]] = {
    "TOFU": Source(
        "open-unlearning/tofu_Llama-3.2-1B-Instruct_full",
        "open-unlearning/tofu_Llama-3.2-1B-Instruct_retain90",
        {"locuslab/TOFU": ("*.json",)},
    ),
    "MUSE-News": Source(
        "muse-bench/MUSE-News_target",
        "muse-bench/MUSE-News_retrain",
        {"muse-bench/MUSE-News": ("raw/*", "knowmem/*", "privleak/*")},
    ),
    "WMDP-cyber": Source(
        "HuggingFaceH4/zephyr-7b-beta",
        None,
        {
            "cais/wmdp": ("wmdp-cyber/*",),
            "cais/wmdp-corpora": ("cyber-*",),
            "cais/mmlu": ("college_*/test*", "high_school_*/test*"),
        },
    ),
}


class Item(NamedTuple):
    """A question in words: before the answer, the answer, and wrong ones."""

    question: str
    answer: str
    wrong: tuple[str, ...]


class Contents(NamedTuple):
    """A data set in words.

    Attributes:
        forget, retain, strangers: texts as (prompt, answer); a passage has no prompt. No model knows the last.
        asked: questions about what is to be forgotten, and three kinds of what is to be retained.
    """

    forget: list[tuple[str, str]]
    retain: list[tuple[str, str]]
    strangers: list[tuple[str, str]]
    asked: dict[str, list[Item]]


def folder(dataset: str, fetched: Path) -> Path:
    """The folder of a dataset: below the one that ``DISCOENV_UNLEARNING`` names, or else ``fetched``.

    Raises:
        FileNotFoundError: the model or the data is not there; the message says how to get it.
    """
    place = Path(os.environ[VARIABLE], dataset) if os.environ.get(VARIABLE) else fetched
    for part in ("full", "data"):
        if not (place / part).is_dir():
            raise FileNotFoundError(
                f"{dataset}: {place / part} is not there; fetch it with python -m "
                f"discoenv.domains.ModelUnlearning.studies.fetch {dataset}, or set {VARIABLE} to a folder that has "
                f"{dataset}/full and {dataset}/data"
            )
    return place


def rows(place: Path, pattern: str) -> list[Row]:
    """The rows of the first file that fits: JSON, one line a row or a list, or Parquet.

    Raises:
        FileNotFoundError: no file fits.
        ImportError: the file is Parquet and the package pyarrow is not installed.
        ValueError: a line is no JSON object.
    """
    found = sorted(path for path in place.rglob(pattern) if path.suffix in (".json", ".jsonl", ".parquet"))
    if not found:
        raise FileNotFoundError(f"{place}: no .json, .jsonl or .parquet file is called {pattern}; fetch the data again")
    if found[0].suffix == ".parquet":
        try:
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise ImportError(f"{found[0]} needs the package pyarrow: pip install pyarrow") from error
        table: list[Row] = parquet.read_table(found[0]).to_pylist()
        return table
    text = found[0].read_text(encoding="utf-8")
    try:
        values = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.splitlines() if line]
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{found[0]}: no JSON ({error}); fetch it again") from error
    if not all(isinstance(value, dict) for value in values):
        raise ValueError(f"{found[0]}: a row is no JSON object; fetch it again")
    return list(values)


def read(dataset: str, place: Path, rng: np.random.Generator, chunk: int) -> Contents:
    """The data of a dataset in words; wrong answers that it lacks are right answers to other questions.

    Args:
        dataset: one of ``SOURCES``.
        place: folder of its data.
        rng: draws those wrong answers.
        chunk: characters in a passage; longer texts are cut.
    """
    return {"TOFU": _tofu, "MUSE-News": _muse, "WMDP-cyber": _wmdp}[dataset](place, rng, chunk)


def _tofu(place: Path, rng: np.random.Generator, chunk: int) -> Contents:
    texts = [
        [(f"Question: {row['question']}\nAnswer:", f" {row['answer']}") for row in rows(place, f"{name}.json")]
        for name in ("forget10", "retain90", "holdout10")
    ]
    asked = {
        kind: [
            Item(
                f"Question: {row['question']}\nAnswer:",
                f" {row.get('paraphrased_answer') or row['answer']}",
                tuple(f" {each}" for each in row["perturbed_answer"]),
            )
            for row in rows(place, f"{name}_perturbed.json")
        ]
        for kind, name in (
            ("forget", "forget10"), ("shown", "retain"), ("unshown", "real_authors"), ("common", "world_facts"),
        )
    }  # fmt: skip
    return Contents(texts[0], texts[1], texts[2], asked)


def _muse(place: Path, rng: np.random.Generator, chunk: int) -> Contents:
    passages = [
        _passages((row["text"] for row in rows(place / folder_, f"{name}*")), chunk)
        for folder_, name in (("raw", "forget"), ("raw", "retain1"), ("privleak", "holdout"))
    ]
    questions = {
        name: _with_wrong([(row["question"], row["answer"]) for row in rows(place / "knowmem", f"{name}_qa[.-]*")], rng)
        for name in ("forget", "retain")
    }
    retained = questions["retain"]
    thirds = {kind: retained[start::3] for start, kind in enumerate(("shown", "unshown", "common"))}
    return Contents(passages[0], passages[1], passages[2], {"forget": questions["forget"]} | thirds)


def _wmdp(place: Path, rng: np.random.Generator, chunk: int) -> Contents:
    forget, retain = (
        _passages((row["text"] for row in rows(place, f"cyber-{name}-corpus*")), chunk) for name in ("forget", "retain")
    )
    asked = {"forget": _choices(rows(place / "wmdp-cyber", "*"))}
    files = sorted({path.parent.name for path in place.rglob("test*") if path.parent.name != "wmdp-cyber"})
    items = [item for name in files for item in _choices(rows(place / name, "test*"))]
    asked |= {kind: items[start::3] for start, kind in enumerate(("shown", "unshown", "common"))}
    half = len(forget) // 2  # no text of the same kind is unknown to all models: there is no membership to tell
    return Contents(forget[:half], retain, forget[half:], asked)


def _choices(given: Sequence[Row]) -> list[Item]:
    return [
        Item(
            f"Question: {row['question']}\nAnswer:",
            f" {row['choices'][int(row['answer'])]}",
            tuple(f" {choice}" for number, choice in enumerate(row["choices"]) if number != int(row["answer"])),
        )
        for row in given
    ]


def _with_wrong(pairs: Sequence[tuple[str, str]], rng: np.random.Generator, count: int = 4) -> list[Item]:
    answers = sorted({answer for _, answer in pairs})
    found = []
    for question, answer in pairs:
        others = [each for each in answers if each != answer]
        chosen = rng.permutation(len(others))[:count].tolist()
        wrong = tuple(f" {others[number]}" for number in chosen)
        found.append(Item(f"Question: {question}\nAnswer:", f" {answer}", wrong))
    return found


def _passages(texts: Iterator[str], chunk: int) -> list[tuple[str, str]]:
    return [("", text[start : start + chunk]) for text in texts for start in range(0, len(text), chunk)]


def tokeniser(place: Path) -> Encode:
    """Tokens of texts, as the model in a folder reads them.

    Raises:
        ImportError: the package transformers is not installed.
    """
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise ImportError("published models need the package transformers: pip install transformers") from error
    found = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)

    def encode(text: str) -> list[int]:
        tokens: list[int] = found(text, add_special_tokens=False)["input_ids"]
        return tokens

    return encode
