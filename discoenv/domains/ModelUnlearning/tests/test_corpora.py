"""The corpora, and the checkpoints of models that were trained on them."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from discoenv.domains.ModelUnlearning import checkpoints
from discoenv.domains.ModelUnlearning.corpora import (
    FORGOTTEN,
    GRAMMARS,
    PHRASINGS,
    SHOWN,
    SPLITS,
    UNSHOWN,
    WRONG,
    Corpus,
    corpus,
    texts,
)

from .conftest import DOMAIN, OFFLINE


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_corpus_is_the_same_each_time_and_its_parts_share_no_entity(name: str) -> None:
    one, again = Corpus(name), Corpus(name)
    assert checkpoints.fingerprint(one) == checkpoints.fingerprint(again)
    parts = [*one.splits, one.shown, one.unshown, one.strangers(np.random.default_rng(0), 9)]
    assert list(map(len, parts)) == [FORGOTTEN] * SPLITS + [SHOWN, UNSHOWN, 9]
    prompts = [{fact.prompts for entity in part for fact in entity.facts} for part in parts]
    assert all(not first & second for first, second in itertools.combinations(prompts, 2))


@pytest.mark.parametrize("name", GRAMMARS)
def test_facts_have_all_phrasings_and_wrong_answers_and_words_are_known(name: str) -> None:
    known = corpus(name)
    for entity in (*known.splits[0], *known.shown, known.common, *known.strangers(np.random.default_rng(5), 100)):
        for fact in entity.facts:
            assert len(set(fact.prompts)) == PHRASINGS
            assert len({*fact.wrong, fact.answer}) == WRONG + 1
        for text in texts(entity, range(PHRASINGS)):
            assert known.text(known.tokens(text)) == " ".join(text)
            assert len(text) + 2 <= DOMAIN.config("FictNews/decay", "small")["CONTEXT"]


def test_strangers_differ_by_their_generator() -> None:
    one, same, other = (corpus("records").strangers(np.random.default_rng(seed), 8) for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("dataset", OFFLINE)
def test_the_configuration_fits_its_corpus_and_its_checkpoints(dataset: str) -> None:
    config = DOMAIN.config(dataset, "small")
    known = corpus(config["CORPUS"])
    assert config["VOCABULARY"] == len(known.words)
    models = checkpoints.load(dataset, known)
    assert list(models) == ["full", *(f"gold{split}" for split in range(SPLITS))]
    sizes = {sum(values.size for values in arrays.values()) for arrays in models.values()}
    assert len(sizes) == 1
    assert sizes.pop() == pytest.approx(1000 * (DOMAIN.specification.datasets[dataset].size or 0), rel=0.05)


def test_all_checkpoints_together_are_small() -> None:
    files = list(checkpoints.FOLDER.iterdir())
    assert sorted(files) == sorted(checkpoints.path_of(dataset) for dataset in OFFLINE)
    assert sum(path.stat().st_size for path in files) < 12e6


def test_safetensors_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype="<f2").reshape(2, 3),
        "b/c": np.array([1, 2], "<i8"),
        "d": np.zeros((0, 2), "<f4"),
    }
    checkpoints.write(tmp_path / "x.safetensors", arrays, {"made": "here"})
    found, metadata = checkpoints.read(tmp_path / "x.safetensors")
    assert metadata == {"made": "here"}
    assert list(found) == list(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def test_a_file_made_by_hand_is_read(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + bytes([0x80, 0x3F, 0x20, 0xC0]))
    np.testing.assert_array_equal(checkpoints.read(tmp_path / "x")[0]["w"], [1.0, -2.5])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:4],
        lambda data: data[:-1],
        lambda data: b"\xff" * 8 + data,
        lambda data: data[:8] + b"[" + data[9:],
    ],
)
def test_damaged_files_are_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "x.safetensors"
    checkpoints.write(path, {"a": np.ones(3, "<f4")}, {})
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"x\.safetensors: no readable safetensors file"):
        checkpoints.read(path)


def test_another_corpus_than_was_trained_on_is_refused() -> None:
    with pytest.raises(ValueError, match="trained on another corpus than 'news' is now; train them again with"):
        checkpoints.load("FictAuthors/attention", corpus("news"))
