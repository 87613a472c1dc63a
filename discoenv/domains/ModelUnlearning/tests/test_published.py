"""Readers of published data sets, on small files of the same forms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ModelUnlearning import published
from discoenv.domains.ModelUnlearning.studies import fetch

from .conftest import DOMAIN


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def answers(name: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "question": f"{name} {number}?",
            "answer": f"{name} is {number}",
            "paraphrased_answer": f"it is {number}, {name}",
            "perturbed_answer": [f"{name} is {number + each}" for each in (1, 2, 3)],
        }
        for number in range(count)
    ]


def tofu(place: Path) -> None:
    """As locuslab/TOFU."""
    for name in ("forget10", "retain90", "holdout10"):
        write(place / f"{name}.json", [{key: row[key] for key in ("question", "answer")} for row in answers(name, 6)])
    for name in ("forget10", "retain", "real_authors", "world_facts"):
        write(place / f"{name}_perturbed.json", answers(name, 5))


def muse(place: Path) -> None:
    """As muse-bench/MUSE-News, in JSON lines."""
    for folder, names in (("raw", ("forget", "retain1")), ("privleak", ("forget", "retain", "holdout"))):
        for name in names:
            write(place / folder / f"{name}-00000-of-00001.jsonl", [{"text": f"{name} " * 30} for _ in range(2)])
    for name in ("forget_qa", "retain_qa", "forget_qa_icl"):
        rows = [{"question": f"{name} {number}?", "answer": f"{name} {number}"} for number in range(7)]
        write(place / "knowmem" / f"{name}-00000-of-00001.jsonl", rows)


def wmdp(place: Path) -> None:
    """As cais/wmdp, cais/wmdp-corpora and cais/mmlu."""
    choices = [{"question": f"{n}?", "choices": ["a", "b", "c", "d"], "answer": n % 4} for n in range(6)]
    write(place / "wmdp-cyber" / "test-00000-of-00001.jsonl", choices)
    for name in ("college_physics", "high_school_biology"):
        write(place / name / "test-00000-of-00001.jsonl", choices)
    for name in ("forget", "retain"):
        write(place / f"cyber-{name}-corpus.jsonl", [{"text": f"{name} " * 50}] * 3)


WRITERS = {"TOFU": tofu, "MUSE-News": muse, "WMDP-cyber": wmdp}


@pytest.mark.parametrize("dataset", published.SOURCES)
def test_a_dataset_is_read(tmp_path: Path, dataset: str) -> None:
    WRITERS[dataset](tmp_path)
    found = published.read(dataset, tmp_path, np.random.default_rng(0), 100)
    assert set(found.asked) == {"forget", "shown", "unshown", "common"}
    for items in found.asked.values():
        assert items
        for item in items:
            assert item.question.startswith("Question: ")
            assert item.wrong
            assert item.answer not in item.wrong
            assert item.answer[0] == " "
    for texts in (found.forget, found.retain, found.strangers):
        assert texts
        assert all(0 < len(answer) <= 100 for _, answer in texts)


def test_tofu_asks_for_paraphrases_beside_perturbed_answers(tmp_path: Path) -> None:
    tofu(tmp_path)
    found = published.read("TOFU", tmp_path, np.random.default_rng(0), 100)
    assert found.forget[2] == ("Question: forget10 2?\nAnswer:", " forget10 is 2")
    assert found.asked["unshown"][1] == published.Item(
        "Question: real_authors 1?\nAnswer:",
        " it is 1, real_authors",
        (" real_authors is 2", " real_authors is 3", " real_authors is 4"),
    )


def test_muse_cuts_articles_and_takes_the_questions_without_examples(tmp_path: Path) -> None:
    muse(tmp_path)
    found = published.read("MUSE-News", tmp_path, np.random.default_rng(0), 100)
    assert "".join(text for _, text in found.forget) == "forget " * 60
    assert {item.answer for item in found.asked["forget"]} == {f" forget_qa {number}" for number in range(7)}
    assert sum(len(found.asked[kind]) for kind in ("shown", "unshown", "common")) == 7


def test_wmdp_knows_which_choice_is_right(tmp_path: Path) -> None:
    wmdp(tmp_path)
    item = published.read("WMDP-cyber", tmp_path, np.random.default_rng(0), 100).asked["forget"][5]
    assert item == published.Item("Question: 5?\nAnswer:", " b", (" a", " c", " d"))


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"TOFU: .*full is not there; fetch it with python -m .*fetch TOFU"):
        published.folder("TOFU", tmp_path)
    for part in ("full", "data"):
        (tmp_path / "own" / "TOFU" / part).mkdir(parents=True)
    monkeypatch.setenv(published.VARIABLE, str(tmp_path / "own"))
    assert published.folder("TOFU", tmp_path) == tmp_path / "own" / "TOFU"
    with pytest.raises(FileNotFoundError, match=r"is called forget10\.json; fetch the data again"):
        published.read("TOFU", tmp_path, np.random.default_rng(0), 100)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_rows_that_are_none_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: .*; fetch it again"):
        published.rows(tmp_path, "a.json")


def test_a_list_is_read_like_lines(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "one"}, {"text": "two"}]')
    assert published.rows(tmp_path, "a.json") == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(
    ("call", "package"),
    [
        (published.tokeniser, "transformers"),
        (lambda place: fetch.fetch("TOFU", place), "huggingface_hub"),
        (lambda place: published.rows(place, "a.parquet"), "pyarrow"),
    ],
)
def test_packages_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any, package: str
) -> None:
    (tmp_path / "a.parquet").touch()
    for name in (package, f"{package}.parquet"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ImportError, match=f"package {package}: pip install {package}"):
        call(tmp_path)


def test_all_published_datasets_are_listed() -> None:
    listed = {name for name, entry in DOMAIN.specification.datasets.items() if entry.source == "download"}
    assert listed == set(published.SOURCES)
