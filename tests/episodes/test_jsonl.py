"""JSON lines are read as they grow, whatever is in them, and in little memory; nothing but regular files is opened."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from discoenv.episodes import jsonl
from discoenv.episodes.jsonl import JsonLines, NotThere


def test_lines_are_read_once_and_a_half_written_one_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = JsonLines(path)
    assert list(lines.new()) == []
    path.write_text('{"a": 1}\nnot JSON\n[1]\n{"a": 2}\n{"a"')
    assert list(lines.new()) == [{"a": 1}, {"a": 2}]
    assert list(lines.new()) == []
    with path.open("a") as file:
        file.write(": 3}\n")
    assert list(lines.new()) == [{"a": 3}]
    assert [lines.read(index) for index in range(3)] == [{"a": 1}, {"a": 2}, {"a": 3}]
    for missing in (-1, 3):
        with pytest.raises(NotThere):
            lines.read(missing)


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    lines = JsonLines(path)
    assert len(list(lines.new())) == 2
    path.write_text('{"b": 1}\n')
    assert list(lines.new()) == [{"b": 1}]
    assert lines.generation == 1
    assert len(lines) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 50_000, "\x00", '"' + "x" * 10_000_000])
def test_a_line_that_no_parser_likes_is_skipped(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{text}\n{{"a": 1}}\n')
    assert list(JsonLines(path).new()) == [{"a": 1}]


def test_what_is_not_a_regular_file_counts_as_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"a": 1}\n')
    (tmp_path / "link.jsonl").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("link", "pipe", "folder", "nothing"):
        assert list(jsonl.read(tmp_path / f"{name}.jsonl")) == []
    assert list(jsonl.read(Path("/dev/zero"))) == []


def test_a_line_that_is_too_long_is_skipped_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"b": "' + "x" * 20_000_000 + '"}\n{"a": 2}\n{"c": "' + "x" * 20_000_000)
    lines = JsonLines(path, most_line_bytes=1000)
    tracemalloc.start()
    try:
        assert list(lines.new()) == [{"a": 1}, {"a": 2}]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert [lines.read(index) for index in range(2)] == [{"a": 1}, {"a": 2}]
    with path.open("a") as file:
        file.write('"}\n{"a": 3}\n')
    assert list(lines.new()) == [{"a": 3}]


@pytest.mark.parametrize("size", [8, 9, 10])
def test_the_limit_counts_the_line_end(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n')
    assert len(list(JsonLines(path, most_line_bytes=size).new())) == (size >= 9)


def test_a_line_is_appended_behind_one_that_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    jsonl.append(path, '{"a": 1}')
    with path.open("a") as file:
        file.write('{"a": 2')
    jsonl.append(path, '{"a": 3}')
    jsonl.append(path, '{"a": 4}')
    assert path.read_text() == '{"a": 1}\n{"a": 2\n{"a": 3}\n{"a": 4}\n'
    assert list(jsonl.read(path)) == [{"a": 1}, {"a": 3}, {"a": 4}]
