"""LanguageModelling: texts are languages of one exam, consistent in themselves, and never those of another exam."""

from __future__ import annotations

import hashlib
import lzma
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.LanguageModelling import texts
from discoenv.domains.LanguageModelling.studies import freeze_code
from discoenv.domains.LanguageModelling.texts import code, games
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN

DOMAIN = Domain(BUILTIN / "LanguageModelling")


def drawn(name: str, part: texts.Part = "held-out", exam: int = 0, length: int = 20_000, draws: int = 0) -> bytes:
    language, documents = np.random.default_rng([exam, 1]), np.random.default_rng([exam, 2, draws])
    return texts.text(name, language, documents, part, length).tobytes()


def documents(name: str, **settings: Any) -> list[str]:
    return drawn(name, **settings).decode("ascii").split("\x00")[1:-1]


@pytest.mark.parametrize("name", texts.NAMES)
def test_a_text_is_ascii_of_the_length_and_follows_from_its_generators(name: str) -> None:
    one = drawn(name)
    assert len(one) == 20_000
    assert one[0] == texts.SEPARATOR
    assert max(one) < 128
    assert one == drawn(name) != drawn(name, draws=1)
    assert drawn(name, length=500) == one[:500]


def words(text: bytes, least: int) -> set[bytes]:
    return set(re.findall(rb"[A-Za-z]{%d,}" % least, text))


@pytest.mark.parametrize("name", sorted(texts.GENERATORS))
def test_a_language_is_shared_by_the_parts_of_an_exam_and_by_no_other_exam(name: str) -> None:
    train, held, other = drawn(name, "train", length=60_000), drawn(name), drawn(name, exam=1)
    mine = words(held, 4) - words(other, 4)
    assert len(mine & words(train, 4)) > 0.6 * len(mine) > 3
    windows = {held[start : start + 64] for start in range(0, len(held) - 64, 64)}
    assert sum(window in train for window in windows) < 0.15 * len(windows)  # signatures come again
    assert not any(window in other for window in windows)


@pytest.mark.parametrize("name", texts.NAMES)
def test_the_text_can_be_learned_and_is_not_trivial(name: str) -> None:
    text = drawn(name, length=100_000)
    bits = 8 * len(lzma.compress(text)) / len(text)
    counts = np.bincount(np.frombuffer(text, np.uint8)) / len(text)
    unigram = -(counts[counts > 0] * np.log2(counts[counts > 0])).sum()
    assert 0.8 < bits < 0.6 * unigram


@pytest.mark.parametrize("name", ["proc_math", "package_code"])
def test_a_quarter_of_the_training_text_teaches_nothing(name: str) -> None:
    clean = documents(name, part="validation", length=20_000)
    mixed = documents(name, part="train", length=200_000)
    often = {each for each in mixed if mixed.count(each) > 5}
    assert 1 <= len(often) <= texts.PAGES
    repeated = sum(len(each) for each in mixed if each in often)
    total = sum(map(len, mixed))
    assert 0.06 < repeated / total < 0.2
    assert not [each for each in clean if clean.count(each) > 5]


def test_junk_is_a_share_of_all_bytes() -> None:
    import random

    good = [f"{number:04} " * 200 for number in range(500)]
    mixed = list(texts.with_junk(good, random.Random(0)))
    assert [each for each in mixed if each in set(good)] == good
    assert sum(map(len, mixed)) - sum(map(len, good)) == pytest.approx(0.25 * sum(map(len, mixed)), rel=0.02)


def test_worked_problems_are_right() -> None:
    checked = 0
    for document in documents("proc_math", length=60_000):
        for a, sign, b, result in re.findall(r"(?<![\d/] )(?<![\d+*/-] )\b(\d+) ([+*-]) (\d+) = (\d+)\b", document):
            exact = {"+": int(a) + int(b), "*": int(a) * int(b), "-": int(a) - int(b)}[sign]
            assert int(result) == exact, document
            checked += 1
        for a, b, c, result in re.findall(r"\b(\d) \+ (\d) \+ (\d) = (\d+)", document):
            assert int(result) == int(a) + int(b) + int(c)
        for line in re.findall(r"\d+(?:, \d+){2,}", document):
            terms = list(map(int, line.split(", ")))
            assert len({after - before for before, after in pairwise(terms)}) == 1
    assert checked > 500


def test_times_rise_and_requests_are_answered_once() -> None:
    for document in documents("log_lines"):
        times = [tuple(map(int, found)) for found in re.findall(r"(\d\d):(\d\d):(\d\d)\.(\d{3})", document)]
        assert all(before < after or after[0] == 0 for before, after in pairwise(times))
        done = re.findall(r"req=(\d+) (?:done|host=\S+ \S+ code=500)", document)
        assert len(done) == len(set(done))


def test_games_follow_the_rules_and_end_when_four_are_in_a_row() -> None:
    import random

    language = games.ConnectFour(random.Random(3))
    ends = set()
    for seed in range(200):
        first, second = language.document(random.Random(seed)).splitlines()
        players = first.split(" - ")
        moves, _, ending = second.partition(" # ")
        board: dict[tuple[int, int], int] = {}
        names = re.findall(r"([a-z])(\d)", moves)
        for turn, (column, row) in enumerate(names):
            x = language._columns.index(column)
            assert int(row) == 1 + sum(place[0] == x for place in board)
            board[x, int(row)] = turn % 2
            won = four(board, turn % 2)
            assert won == (turn == len(names) - 1 and ending != language._drawn)
        if ending != language._drawn:
            assert ending.split()[0] == players[(len(names) - 1) % 2]
        ends.add(ending.split()[-1])
    assert language._won in ends


def four(board: dict[tuple[int, int], int], side: int) -> bool:
    mine = {place for place, owner in board.items() if owner == side}
    return any(
        all((x + k * dx, y + k * dy) in mine for k in range(4))
        for x, y in mine
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1))
    )


def test_stories_know_who_has_what() -> None:
    answered = 0
    for document in documents("story_grammar", length=60_000):
        if found := re.search(r"Who had the (\w+)\? (\w+) had it, at the (\w+)\.", document):
            thing, name, place = found.groups()
            past = document[: found.start()].rstrip()
            last = [each for each in past.split(".") if f" {thing}" in each and "for the" not in each][-1]
            assert name in last
            assert place in past
            answered += 1
    assert answered > 30


def test_the_frozen_code_is_what_was_frozen() -> None:
    corpus = code.corpus()
    assert hashlib.sha256(code.FROZEN.read_bytes()).hexdigest() == code.SHA256
    assert (len(corpus.train), len(corpus.validation), len(corpus.held_out)) == (36, 4, 14)
    parts = [set(corpus.train), set(corpus.validation), set(corpus.held_out)]
    assert len(set.union(*parts)) == 54
    assert code.FROZEN.with_name("package_code.LICENSE.txt").read_text().startswith("NumPy")


def test_another_file_in_place_of_the_frozen_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.xz"
    other.write_bytes(lzma.compress(b"{}"))
    monkeypatch.setattr(code, "FROZEN", other)
    code.corpus.cache_clear()
    try:
        with pytest.raises(ValueError, match="its SHA-256 is"):
            code.corpus()
    finally:
        code.corpus.cache_clear()


def test_code_has_other_names_in_each_exam_and_the_same_shape() -> None:
    one, other = drawn("package_code", exam=1), drawn("package_code", exam=2)
    for text in (one, other):
        assert b"def " in text
        assert b"import " in text
        windows = [text[start : start + 80] for start in range(0, len(text) - 80, 80)]
        whole = "\n".join(code.corpus().held_out).encode()
        assert sum(window in whole for window in windows) < 0.2 * len(windows)
    assert one[:2000] != other[:2000]


def test_sandboxes_hide_the_files_that_are_frozen() -> None:
    assert {f"numpy/{folder}" for folder in freeze_code.FOLDERS} == set(DOMAIN.specification.hidden_packages)


def test_freezing_leaves_short_files_and_long_lines_out(tmp_path: Path) -> None:
    for folder in freeze_code.FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    place = tmp_path / freeze_code.FOLDERS[0]
    (place / "test_short.py").write_text("x = 1\n")
    for name in "abcd":
        (place / f"test_{name}.py").write_text(f"{name} = 1\n" * 500 + "y" * 200 + "\n" + "ö = 2\n")
    parts = freeze_code.files(tmp_path)
    assert [text[0] for text in parts["train"]] == ["a", "c", "d"]
    assert [text[0] for text in parts["held_out"]] == ["b"]
    assert not any("yyy" in text or "ö" in text for part in parts.values() for text in part)


def test_a_text_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="there is no text 'latin'"):
        drawn("latin")
    with pytest.raises(
        ValueError, match=r"package_code: [\d,]+ bytes are there for validation; 9,000,000 are asked for"
    ):
        drawn("package_code", part="validation", length=9_000_000)
