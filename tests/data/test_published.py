"""Published image sets are declared once, read from files in their original formats, and split as asked."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.data import published, sets
from discoenv.data.downloads import File
from discoenv.data.images import Images, Split
from discoenv.data.published import cifar, photographs
from discoenv.data.published.holdout import Holdout
from discoenv.data.published.idx import read_idx
from discoenv.data.published.sources import source, sources
from tests.data import published_files as files

pytest.importorskip("PIL")
pytest.importorskip("scipy")

PHOTOGRAPHS = ("flowers", "cars", "tiny_imagenet")
SIZES = {"flowers": 32, "cars": 32, "tiny_imagenet": 64}
CLASSES = {"cifar100": 100, "flowers": 102, "cars": 196, "tiny_imagenet": 200}
#: Variants of a set that come without separate files.
VARIANTS = {"cifar10_lt": ("cifar10",), "cifar10_c": ("cifar10", "cifar10_c")}


def opened(name: str, folder: Path, **options: Any) -> Images:
    """A set, read from new files that are tiny."""
    files.WRITERS[name](folder)
    published._load.cache_clear()
    return sets.load(name, folder, size=SIZES.get(name), **options)


# --- sources ----------------------------------------------------------------------------------------------------------


def test_each_file_is_declared_once_and_every_set_has_a_reader() -> None:
    declared: list[File] = [file for each in sources().values() for file in each.files]
    assert len({file.sha256 for file in declared}) == len(declared)
    assert set(sources()) | set(VARIANTS) == set(published.READERS) == set(files.WRITERS)
    for each in sources().values():
        assert each.title
        assert each.citation
        assert each.licence


def test_an_unknown_set_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    for load in (source, sets.load, lambda name: published.load(name, tmp_path, holdout=Holdout())):
        with pytest.raises(ValueError, match=r"there is no .*set 'mnits'; there are .*mnist, fashion_mnist"):
            load("mnits")


def test_sources_are_known_without_loading_numpy() -> None:
    code = "import sys; from discoenv.data.published.sources import source; source('mnist'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" not in done.stdout.split()


# --- all sets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", published.READERS)
def test_a_set_is_read_from_the_files_that_are_declared(name: str, tmp_path: Path) -> None:
    images = opened(name, tmp_path)
    declared = {file.name for each in VARIANTS.get(name, (name,)) for file in source(each).files}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == declared
    assert (images.name, images.classes) == (name, CLASSES.get(name, 10))
    parts = (images.train, images.validation, images.test)
    assert all(len(part) > 0 and part.x.shape[1:] == images.shape and not part.x.flags.writeable for part in parts)
    if name not in PHOTOGRAPHS:  # those are of one colour per class here
        train, validation, test = ({x.tobytes() for x in part.x} for part in parts)
        assert not train & validation
        assert not (train | validation) & test


@pytest.mark.parametrize("name", published.READERS)
def test_a_set_that_was_not_fetched_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"files of {name} have not been fetched"):
        sets.load(name, None, size=64)
    with pytest.raises(FileNotFoundError):
        sets.load(name, tmp_path, size=64)


def test_generated_sets_have_names_as_well() -> None:
    assert sets.load("digits").name == "digits"


# --- validation images ------------------------------------------------------------------------------------------------


@pytest.fixture
def ordered() -> Split:
    """Forty images that know their row, of classes 0, 1, 2, 3, 0, …; one more of class 9."""
    x = np.arange(41, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split(x, np.array([*(np.arange(40) % 4), 9]))


def rows(split: Split) -> list[int]:
    return [int(row) for row in split.x.ravel()]


def test_a_random_tenth_is_the_same_at_every_call(ordered: Split) -> None:
    train, validation = Holdout(0.1).split(ordered)
    assert (len(train), len(validation)) == (37, 4)
    assert sorted(rows(train) + rows(validation)) == list(range(41))
    assert rows(train) != sorted(rows(train))
    assert (rows(train), rows(validation)) == tuple(map(rows, Holdout(0.1).split(ordered)))
    assert all(ordered.y[row] == y for row, y in zip(rows(validation), validation.y, strict=True))


def test_the_last_of_each_class_leave_the_order_as_it_is(ordered: Split) -> None:
    train, validation = Holdout(0.2, "last").split(ordered)
    assert rows(validation) == [32, 33, 34, 35, 36, 37, 38, 39, 40]  # two of each class, and the only one of the last
    assert rows(train) == list(range(32))


def test_without_a_share_nothing_is_set_aside(ordered: Split) -> None:
    train, validation = Holdout(share=0.0).split(ordered)
    assert rows(train) == list(range(41))
    assert len(validation) == 0


# --- MNIST ------------------------------------------------------------------------------------------------------------


def test_mnist_keeps_its_labels_and_its_held_out_images(tmp_path: Path) -> None:
    images = opened("mnist", tmp_path)
    labels = read_idx(tmp_path / "train-labels-idx1-ubyte.gz")
    pixels = read_idx(tmp_path / "train-images-idx3-ubyte.gz")
    known = {x.tobytes(): y for x, y in zip(pixels, labels, strict=True)}
    assert (len(images.train), len(images.validation), len(images.test)) == (54, 6, 20)
    for split in (images.train, images.validation):
        assert all(known[x.tobytes()] == y for x, y in zip(split.x, split.y, strict=True))
    np.testing.assert_array_equal(images.test.x[..., 0], read_idx(tmp_path / "t10k-images-idx3-ubyte.gz"))


def test_a_damaged_idx_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(gzip.decompress(files.idx(files.pixels(3, 4)))[:-1]))
    with pytest.raises(ValueError, match=r"images\.gz is incomplete: 11 bytes instead of 12"):
        read_idx(path)
    path.write_bytes(gzip.compress(b"GIF89a"))
    with pytest.raises(ValueError, match=r"images\.gz is no IDX file"):
        read_idx(path)


def test_a_damaged_download_is_named(tmp_path: Path) -> None:
    files.mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x09only"))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is incomplete"):
        sets.load("mnist", tmp_path)


# --- CIFAR ------------------------------------------------------------------------------------------------------------


def test_planes_become_pixels_and_fine_labels_count(tmp_path: Path) -> None:
    data = np.zeros((1, 3, 32, 32), np.uint8)
    data[0, 0, 4, 9], data[0, 2, 5, 1] = 7, 8
    batch = {b"data": data.reshape(1, -1), b"fine_labels": [42], b"coarse_labels": [8]}
    files.pack(tmp_path / "a.tar.gz", {"cifar-100-python/train": files.python2_pickle(batch)})
    read = cifar.read_batches(tmp_path / "a.tar.gz", ("train",), "fine_labels")
    assert (read.x[0, 4, 9].tolist(), read.x[0, 5, 1].tolist(), read.y.tolist()) == ([7, 0, 0], [0, 0, 8], [42])
    with pytest.raises(ValueError, match=r"a\.tar\.gz lacks test"):
        cifar.read_batches(tmp_path / "a.tar.gz", ("train", "test"), "fine_labels")


@pytest.mark.parametrize("value", [os.system, io.BytesIO, np.load])
def test_a_pickle_that_names_anything_but_arrays_is_refused(value: Any, tmp_path: Path) -> None:
    files.pack(tmp_path / "a.tar.gz", {"x/train": pickle.dumps({b"data": value})})
    with pytest.raises(pickle.UnpicklingError, match="may not name"):
        cifar.read_batches(tmp_path / "a.tar.gz", ("train",), "fine_labels")


def test_long_tailed_cifar_has_a_tail_and_a_balanced_test(tmp_path: Path) -> None:
    images = opened("cifar10_lt", tmp_path)
    counts = np.bincount(np.concatenate([images.train.y, images.validation.y]), minlength=10)
    assert counts.tolist() == [10, 8, 6, 5, 4, 3, 2, 2, 1, 1]
    assert (np.bincount(images.test.y) == 2).all()


def test_corrupted_cifar_holds_out_every_severity_with_its_labels(tmp_path: Path) -> None:
    images = opened("cifar10_c", tmp_path)
    assert len(images.test) == 2 * 5 * 10  # two corruptions; `labels` is none
    np.testing.assert_array_equal(images.test.x[:, 0, 0, 0] % 10, images.test.y)
    np.testing.assert_array_equal(images.test.x[:50, 0, 0, 0] // 10, np.repeat(np.arange(5), 10))
    assert len(images.train) + len(images.validation) == 100


# --- photographs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_keep_their_labels_and_are_decoded_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = opened(name, tmp_path)
    for split in (images.train, images.validation, images.test):
        assert len(split) > 0
        middle = split.x[:, split.x.shape[1] // 2, split.x.shape[2] // 2].astype(int)
        expected = np.array([files.colour_of(int(label)) for label in split.y])
        assert np.abs(middle - expected).max() <= 4  # JPEG
    monkeypatch.setattr(photographs, "decode", None)
    again = opened(name, tmp_path)
    np.testing.assert_array_equal(again.train.x, images.train.x)


def test_photographs_are_used_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> str:
        raise PermissionError("read-only")

    kept = opened("tiny_imagenet", tmp_path)
    (place,) = tmp_path.glob("decoded-64-*")
    for path in place.iterdir():
        path.unlink()
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    images = opened("tiny_imagenet", tmp_path)
    np.testing.assert_array_equal(images.train.y, kept.train.y)


def test_other_validation_images_are_other_arrays(tmp_path: Path) -> None:
    shuffled = opened("tiny_imagenet", tmp_path, holdout=Holdout(0.2))
    ordered = opened("tiny_imagenet", tmp_path, holdout=Holdout(0.2, "last"))
    assert shuffled.train.y.tolist() != ordered.train.y.tolist() == sorted(ordered.train.y)
    assert ordered.validation.y.tolist() == [0, 1, 2, 3]


def test_a_photograph_is_scaled_to_its_shorter_side_and_cut_in_the_middle() -> None:
    from PIL import Image

    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200
    for mode in ("RGB", "L"):
        file = io.BytesIO()
        Image.fromarray(picture).convert(mode).save(file, "png")
        found = photographs.decode(file.getvalue(), 20)
        assert found.shape == (20, 20, 3)
        assert (found[:, 1:-1] == 200).all()


def test_photographs_of_many_sizes_need_one() -> None:
    with pytest.raises(ValueError, match="pass the size"):
        photographs.kept(lambda *given: pytest.fail("decoded"), Path(), Holdout(), None)
