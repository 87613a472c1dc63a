"""LanguageModelling: published texts, in small files of the same formats that a server on this machine gives out."""

from __future__ import annotations

import functools
import hashlib
import http.server
import itertools
import json
import re
import shutil
import sys
import threading
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from discoenv.data import downloads
from discoenv.domains.LanguageModelling import published
from discoenv.domains.LanguageModelling.examiner import LanguageModellingExaminer
from discoenv.domains.LanguageModelling.studies import fetch
from discoenv.domains.LanguageModelling.tests.learners import DOMAIN, learner
from discoenv.errors import DatasetUnavailable

PUBLISHED = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "download"]
STORY = "Once upon a time there was a little fox. It's small, isn't it? The fox had 12 apples\n\nand 3 naïve friends."
SIZES = {"EXAM_ROWS": 8, "CONTEXT": 32, "TRAIN_TOKENS": 300, "VALIDATION_TOKENS": 50}


def write_tokenizer(folder: Path, merges: int = 60) -> None:
    """A tokenizer in GPT-2's two files: its bytes, and pairs that are frequent in STORY."""
    letters = published.printable()
    words = [[letters[byte] for byte in word.encode()] for word in published._pattern().findall(STORY)]
    pairs: list[tuple[str, str]] = []
    tokens = [letters[byte] for byte in range(256)]
    for _ in range(merges):
        counts = Counter(pair for word in words for pair in itertools.pairwise(word))
        pair = max(sorted(counts), key=lambda each: counts[each])
        pairs.append(pair)
        tokens.append("".join(pair))
        words = [merged(word, pair) for word in words]
    numbers = {token: number for number, token in enumerate(tokens)} | {published.END_OF_TEXT: len(tokens)}
    (folder / "encoder.json").write_text(json.dumps(numbers))
    lines = "".join(f"{first} {second}\n" for first, second in pairs)
    (folder / "vocab.bpe").write_text(f"#version: 0.2\n{lines}")


def merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    for part in word:
        if found and (found[-1], part) == pair:
            found[-1] += part
        else:
            found.append(part)
    return found


def write_shard(path: Path, tokens: Any, magic: int = published.MAGIC, count: int | None = None) -> None:
    header = np.zeros(published.HEADER, "<i4")
    header[:3] = magic, published.VERSION, len(tokens) if count is None else count
    path.write_bytes(header.tobytes() + np.asarray(tokens, "<u2").tobytes())


def stories(count: int, start: int = 0) -> list[str]:
    return [f"Story {number}. {STORY}" for number in range(start, start + count)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tokenizer(tmp_path)
    monkeypatch.setenv(published.VARIABLE, str(tmp_path / "shards"))
    for corpus in published.CORPORA.values():
        published.write_shards(stories(300), published.tokenizer(tmp_path), published.folder(corpus.dataset))
    vocabulary = 317
    draw = np.random.default_rng(0)
    write_shard(tmp_path / "fineweb_train_000001.bin", draw.integers(vocabulary, size=5000))
    write_shard(tmp_path / "fineweb_val_000000.bin", draw.integers(vocabulary, size=4000))
    for part, first in (("train", 0), ("valid", 1000)):
        text = f"\n{published.END_OF_TEXT}\n".join(stories(300, first))
        (tmp_path / f"TinyStoriesV2-GPT4-{part}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def examiner(dataset: str, folder: Path | None) -> LanguageModellingExaminer:
    config = {**DOMAIN.config(dataset, "full"), **SIZES, "VOCABULARY": 317, "SEPARATOR": 316}
    exam_ = LanguageModellingExaminer(dataset, "full", config)
    exam_.data = folder
    return exam_


def decoded(numbers: list[int], folder: Path) -> str:
    letters = {letter: byte for byte, letter in published.printable().items()}
    tokens = {number: token for token, number in json.loads((folder / "encoder.json").read_text()).items()}
    return bytes(letters[one] for number in numbers for one in tokens[number]).decode()


def test_text_is_split_as_gpt_2_does() -> None:
    split = published._pattern().findall("Hello world's  it's ½ x²  \n naïve 123 foo_bar!!  ")
    expected = [
        "Hello",
        " world",
        "'s",
        " ",
        " it",
        "'s",
        " ½",
        " x",
        "²",
        "  \n",
        " naïve",
        " 123",
        " foo",
        "_",
        "bar",
    ]
    assert split == [*expected, "!!", "  "]


def test_tokens_are_merged_in_order_and_give_the_text_back(folder: Path) -> None:
    tokenizer = published.tokenizer(folder)
    numbers = tokenizer.encode(STORY)
    assert decoded(numbers, folder) == STORY
    assert len(numbers) < 0.7 * len(STORY.encode())
    assert tokenizer.lengths[numbers].sum() == len(STORY.encode())
    assert len(tokenizer.lengths) == 317
    # By hand: always merge the pair that was learned first.
    ranks = [tuple(line.split(" ")) for line in (folder / "vocab.bpe").read_text().splitlines()[1:]]
    word = [published.printable()[byte] for byte in b" little"]
    for pair in ranks:
        word = merged(word, pair)  # type: ignore[arg-type]
    tokens = json.loads((folder / "encoder.json").read_text())
    assert tokenizer.encode(" little") == [tokens[part] for part in word]


def test_documents_are_read_in_pieces_and_none_is_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "_PIECE", 37)  # so that marks lie across pieces
    path = folder / "TinyStoriesV2-GPT4-train.txt"
    assert list(published.documents(path)) == stories(300)
    size = path.stat().st_size
    part = list(published.documents(path, size // 3, 2 * size // 3))
    whole = stories(300)
    assert part == whole[whole.index(part[0]) : whole.index(part[-1]) + 1]
    assert 90 <= len(part) <= 102
    assert next(published.documents(path, size // 3)) == part[0]


def test_a_shard_is_mapped_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "one.bin"
    write_shard(path, range(100))
    tokens = published.shard(path)
    assert isinstance(tokens, np.memmap)
    assert tokens.tolist() == list(range(100))
    write_shard(path, range(100), magic=1)
    with pytest.raises(ValueError, match="not a shard of GPT-2 tokens, version 1; fetch it again"):
        published.shard(path)
    write_shard(path, range(100), count=101)
    with pytest.raises(ValueError, match=r"1,224 bytes; its header asks for 1,226: fetch it again"):
        published.shard(path)


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_published_text_is_trained_on_and_examined(dataset: str, folder: Path) -> None:
    exam_ = examiner(dataset, folder)
    data = exam_.training_data(0)
    assert {name: len(tokens) for name, tokens in data.items()} == {"train": 300, "validation": 50}
    assert data["train"].dtype == np.uint16
    other = examiner(dataset, folder).training_data(1)["train"]
    assert not np.array_equal(data["train"], other)
    uniform = learner(lambda tokens, positions: np.zeros((*positions.shape, 317), np.float32))
    found = exam_.examine(uniform, 0)
    cut = exam_.rows(0).cut()
    following = exam_.rows(0).tokens[np.arange(8), cut + 1]
    lengths = exam_.token_bytes()[following].sum()
    assert found["bits_per_byte"] == pytest.approx(8 * np.log2(317) / lengths)
    assert exam_.floor(0)["bits_per_byte"] > 0


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "corpus.parquet"
    rows = {"url": ["a"] * 305, "text": [*stories(300), "", None, *stories(3)]}
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(rows), path, row_group_size=50)
    return path


def test_shards_of_a_corpus_hold_each_document_on_one_side(folder: Path, corpus: Path) -> None:
    tokenizer = published.tokenizer(folder)
    counts = published.write_shards(published.parquet(corpus), tokenizer, folder / "made")
    sides = {}
    for part, count in counts.items():
        tokens = published.shard(folder / "made" / f"{part}.bin").tolist()
        assert len(tokens) == count
        sides[part] = [decoded(run, folder) for run in runs(tokens, tokenizer.end) if run]
    assert sorted([*sides["train"], *sides["validation"]]) == sorted([*stories(300), *stories(3)])
    assert not set(sides["train"]) & set(sides["validation"])
    assert 15 <= len(sides["validation"]) <= 65
    assert {path.name for path in (folder / "made").iterdir()} == {"train.bin", "validation.bin"}
    fewer = published.write_shards(published.parquet(corpus), tokenizer, folder / "made", most=500)
    assert 500 <= fewer["train"] < 700
    assert len(published.shard(folder / "made/train.bin")) == fewer["train"]


def test_a_stopped_tokenisation_leaves_the_old_shards(folder: Path) -> None:
    def broken() -> Iterator[str]:
        yield STORY
        raise ValueError("cut")

    place = published.folder("OPCFineWebCode")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    with pytest.raises(ValueError, match="cut"):
        published.write_shards(broken(), published.tokenizer(folder), place)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_a_damaged_corpus_is_named(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.parquet").write_text("<html>")
    with pytest.raises(ValueError, match=r"no\.parquet: no Parquet file .* fetch it again"):
        list(published.parquet(tmp_path / "no.parquet"))
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"url": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no column text; its columns are url"):
        list(published.parquet(tmp_path / "other.parquet"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        list(published.parquet(corpus))


def test_the_command_makes_shards_of_a_file_that_is_here(
    folder: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(DOMAIN), "fetch", lambda self, dataset: folder)
    monkeypatch.setenv(published.VARIABLE, str(folder / "elsewhere"))
    exam_ = examiner("OPCFineWebMath", folder)
    with pytest.raises(FileNotFoundError, match=r"studies\.fetch OPCFineWebMath, or set DISCOENV_LANGUAGE to a folder"):
        exam_.training_data(0)
    app = typer.Typer()
    app.command()(fetch.main)
    done = CliRunner().invoke(app, ["OPCFineWebMath", "--file", str(corpus)])
    assert done.exit_code == 0, done.output
    assert re.search(r"OPCFineWebMath: .*elsewhere/OPCFineWebMath: [\d,]+ tokens for train, [\d,]+ tokens", done.output)
    assert len(exam_.training_data(0)["train"]) == 300
    assert CliRunner().invoke(app, ["FineWeb"]).exit_code == 2


def test_the_first_file_of_a_repository_is_downloaded(
    folder: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repository: str, name: str, repo_type: str, local_dir: Path) -> str:
        asked.append((repository, name, repo_type))
        return str(shutil.copy(corpus, local_dir / "downloaded.parquet"))

    hub = types.ModuleType("huggingface_hub")
    names = ["data/b.parquet", "README.md", "data/a.parquet"]
    monkeypatch.setattr(hub, "list_repo_files", lambda repository, repo_type: names, raising=False)
    monkeypatch.setattr(hub, "hf_hub_download", download, raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setattr(type(DOMAIN), "fetch", lambda self, dataset: folder)
    counts = fetch.make("OPCFineWebCode", None, 10**6)
    assert min(counts.values()) > 100
    assert asked == [("OpenCoder-LLM/opc-fineweb-code-corpus", "data/a.parquet", "dataset")]
    assert {path.name for path in published.folder("OPCFineWebCode").iterdir()} == {"train.bin", "validation.bin"}
    names[:] = ["README.md"]
    with pytest.raises(ValueError, match="has no Parquet file any more; pass one with --file"):
        fetch.make("OPCFineWebCode", None, 10**6)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        fetch.make("OPCFineWebCode", None, 10**6)


def test_held_out_stories_are_in_no_other_part(folder: Path) -> None:
    found: dict[str, set[int]] = {}
    for part in ("train", "validation", "held-out"):
        numbers: set[int] = set()
        for seed in range(10):
            tokens = published.text("tiny_stories", folder, np.random.default_rng(seed), part, 300)
            pieces = " ".join(decoded(run, folder) for run in runs(tokens.tolist(), 316))
            numbers |= set(map(int, re.findall(r"Story (\d+)\.", pieces)))
        found[part] = numbers
    assert min(map(len, found.values())) > 5
    assert found["train"] <= set(range(300))
    assert found["validation"] <= set(range(1000, 1151))
    assert found["held-out"] <= set(range(1149, 1300))
    assert not found["held-out"] & found["validation"]


def runs(tokens: list[int], end: int) -> Iterator[list[int]]:
    run: list[int] = []
    for token in [*tokens, end]:
        if token == end:
            yield run
            run = []
        else:
            run.append(token)


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_text_that_was_not_fetched_is_named_with_the_command(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=f"data fetch LanguageModelling {dataset}"):
        DOMAIN.held_data(dataset, tmp_path)
    with pytest.raises(FileNotFoundError, match=f"the files of {dataset} have not been fetched"):
        examiner(dataset, None).training_data(0)


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_files_are_fetched_from_a_server_checked_and_used(dataset: str, folder: Path, tmp_path: Path) -> None:
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = []
        for file in DOMAIN.specification.datasets[dataset].to_fetch:
            content = (folder / file.name).read_bytes()
            url = f"http://127.0.0.1:{server.server_address[1]}/{file.name}"
            digest = hashlib.sha256(content).hexdigest()
            files.append(downloads.File(name=file.name, urls=(url,), sha256=digest, size=len(content)))
        cache = tmp_path / "cache"
        place = downloads.fetch("LanguageModelling", dataset, files, cache)
        wrong = [files[0].model_copy(update={"sha256": "0" * 64})]
        with pytest.raises(DatasetUnavailable, match=r"SHA-256 of \d+ bytes is"):
            downloads.fetch("LanguageModelling", dataset, wrong, cache)
        server.shutdown()
    assert downloads.folder("LanguageModelling", dataset, files, cache) == place
    assert len(examiner(dataset, place).training_data(0)["train"]) == 300


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Does not write to the terminal."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
