"""docs/records.md describes every field of every record, in the words of the classes."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from discoenv.episodes import record
from discoenv.episodes.codec import Record
from discoenv.episodes.record import (
    EventRecord,
    ExamRecord,
    IntegrityRecord,
    OriginRecord,
    ResultRecord,
    RunRecord,
    ScoreRecord,
    SetupRecord,
    StepRecord,
)
from discoenv.episodes.version_1 import _LISTS

PATH = Path(__file__).resolve().parents[2] / "docs" / "records.md"
DESCRIBED: list[Any] = [
    EventRecord,
    StepRecord,
    IntegrityRecord,
    ScoreRecord,
    ExamRecord,
    SetupRecord,
    OriginRecord,
    ResultRecord,
    RunRecord,
]
KINDS = {"str": "text", "float": "number", "int": "integer", "bool": "boolean", "Any": "anything", "None": "null"}


def meanings(kind: type) -> dict[str, str]:
    """What the docstring of a class says of each field."""
    listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found = {}
    for entry in re.split(r"\n(?= {4}\w)", listed.rstrip()):
        names, _, meaning = entry.strip().partition(": ")
        for name in names.split(", "):
            found[name] = markdown(" ".join(meaning.split()))
    return found


def markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]+)`", lambda match: f"`{match[1].rpartition('.')[2]}`", text)
    return text.replace("``", "`").replace("|", "\\|")


def shown(hint: Any) -> str:
    """A type as readers of JSON see it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return "object" if arguments[1] is Any else f"object of {shown(arguments[1])}"
    if origin is tuple:
        return f"list of {shown(arguments[0])}"
    if arguments:
        return " or ".join(map(shown, arguments))
    name = "None" if hint is type(None) else getattr(hint, "__name__", str(hint))
    return KINDS.get(name, name)


def table(kind: Any) -> str:
    """The table of a record's fields."""
    hints, said = typing.get_type_hints(kind), meanings(kind)
    assert list(said) == [each.name for each in dataclasses.fields(kind)], f"the docstring of {kind.__name__}"
    rows = ["| key | value | meaning |", "|---|---|---|"]
    for each in dataclasses.fields(kind):
        value = shown(hints[each.name])
        if each.metadata.get("sometimes"):
            value = value.removesuffix(" or null") + ", or left out"
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if required and issubclass(kind, Record):
            value += ", required"
        rows.append(f"| `{each.name}` | {value} | {said[each.name]} |")
    return "\n".join(rows)


@pytest.mark.parametrize("kind", DESCRIBED)
def test_every_field_is_described_in_the_words_of_its_class(kind: Any) -> None:
    """``DISCOENV_REFRESH_DOCS=1`` writes the tables."""
    pattern = rf"(<!-- fields: {kind.__name__} -->\n).*?(<!-- end -->)"
    page = PATH.read_text(encoding="utf-8")
    wanted = re.sub(pattern, lambda match: f"{match[1]}{table(kind)}\n{match[2]}", page, flags=re.DOTALL)
    if os.environ.get("DISCOENV_REFRESH_DOCS"):
        PATH.write_text(wanted, encoding="utf-8")
    assert f"<!-- fields: {kind.__name__} -->" in page
    assert PATH.read_text(encoding="utf-8") == wanted


def test_every_record_is_described() -> None:
    records = {each for each in vars(record).values() if isinstance(each, type) and issubclass(each, Record)}
    assert records - {Record, record._Versioned} <= set(DESCRIBED)


def test_every_renamed_key_is_listed() -> None:
    listed = PATH.read_text(encoding="utf-8").partition("## Versions")[2]
    for old, new in _LISTS.items():
        assert f'["{old}"]' in listed, old
        assert old == new or f'["{new}"]' in listed, new


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PATH.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    run = Path(__file__).resolve().parents[1] / "episodes" / "runs_v1" / "toy_submitted"
    exec(re.sub(r'load\("[^"]+"\)', f"load({str(run)!r})", example), {})
    printed = capsys.readouterr().out
    assert "Toy bubblewrap RunRecord(number=1, step=1" in printed
    assert "['ok', 'ok']" in printed
