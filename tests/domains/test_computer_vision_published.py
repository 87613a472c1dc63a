"""ComputerVisionClassification: published image sets are read from files in their original formats."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.data.published.idx import read_idx
from discoenv.errors import DatasetUnavailable
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner
from tests.data import published_files as files

pytest.importorskip("PIL")
pytest.importorskip("scipy")

from discoenv.data.published import archives
from discoenv.domains.ComputerVisionClassification import sources
from discoenv.domains.ComputerVisionClassification.examiner import ComputerVisionClassificationExaminer

DOMAIN = Domain(BUILTIN / "ComputerVisionClassification")
PUBLISHED = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "download"]
PHOTOGRAPHS = ("OxfordFlowers", "StanfordCars", "TinyImageNet")


class Zero:
    """Answers zero, whatever it is shown."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.asked = 0

    def parameter_count(self) -> int:
        return 1

    def logits(self, images: Any) -> Any:
        self.asked += len(images)
        return np.zeros((len(images), self.classes))


def opened(dataset: str, folder: Path, scale: str = "tiny") -> ComputerVisionClassificationExaminer:
    files.WRITERS[dataset](folder)
    sources._published.cache_clear()
    exam = ComputerVisionClassificationExaminer(dataset, scale, DOMAIN.config(dataset, scale))
    exam.data = folder
    return exam


def test_the_nine_published_sets_are_there() -> None:
    assert set(PUBLISHED) == set(files.WRITERS)
    configured = {DOMAIN.config(dataset, "tiny")["IMAGES"] for dataset in PUBLISHED}
    assert configured == set(sources.PUBLISHED)


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_published_set_is_trained_on_and_examined(dataset: str, tmp_path: Path) -> None:
    exam = opened(dataset, tmp_path)
    written = {each.name for each in DOMAIN.specification.datasets[dataset].files}
    assert written == {path.name for path in tmp_path.iterdir()}  # the files are those that would be fetched
    data = exam.training_data(0)
    config = exam.config
    shape = (config["HEIGHT"], config["WIDTH"], config["NUM_CHANNELS"])
    assert data["train_images"].shape[1:] == data["validation_images"].shape[1:] == shape
    assert data["train_images"].dtype == np.uint8
    model = Zero(config["NUM_CLASSES"])
    found = exam.examine(InProcessLearner(model), 0)
    assert model.asked >= len(exam.images.test) > 0
    assert found["accuracy"] == (exam.images.test.y == 0).mean()
    assert exam.floor(0)["accuracy"] < 1.0
    training = {x.tobytes() for x in np.concatenate([data["train_images"], data["validation_images"]])}
    if dataset not in PHOTOGRAPHS:  # those are of one colour per class here
        assert not training & {x.tobytes() for x in exam.images.test.x}


def test_mnist_is_split_as_published(tmp_path: Path) -> None:
    images = opened("MNIST", tmp_path).images
    labels = read_idx(tmp_path / "train-labels-idx1-ubyte.gz")
    pixels = read_idx(tmp_path / "train-images-idx3-ubyte.gz")
    known = {x.tobytes(): y for x, y in zip(pixels, labels, strict=True)}
    assert (len(images.train), len(images.validation), len(images.test)) == (54, 6, 20)
    for split in (images.train, images.validation):
        assert all(known[x.tobytes()] == y for x, y in zip(split.x, split.y, strict=True))
    np.testing.assert_array_equal(images.test.x[..., 0], read_idx(tmp_path / "t10k-images-idx3-ubyte.gz"))


def test_a_damaged_idx_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(gzip.decompress(files.idx(files.pixels(3, 4)))[:-1]))
    with pytest.raises(ValueError, match=r"images\.gz is incomplete: 11 bytes instead of 12"):
        read_idx(path)
    path.write_bytes(gzip.compress(b"GIF89a"))
    with pytest.raises(ValueError, match=r"images\.gz is no IDX file"):
        read_idx(path)


def test_cifar_planes_become_pixels(tmp_path: Path) -> None:
    data = np.zeros((1, 3, 32, 32), np.uint8)
    data[0, 0, 4, 9], data[0, 2, 5, 1] = 7, 8
    batch = {b"data": data.reshape(1, -1), b"fine_labels": [42]}
    files.pack(tmp_path / "a.tar.gz", {"cifar-100-python/train": files.python2_pickle(batch)})
    images, labels = archives.read_cifar(tmp_path / "a.tar.gz", ("train",), "fine_labels")
    assert (images[0, 4, 9].tolist(), images[0, 5, 1].tolist(), labels.tolist()) == ([7, 0, 0], [0, 0, 8], [42])
    with pytest.raises(ValueError, match=r"a\.tar\.gz lacks test"):
        archives.read_cifar(tmp_path / "a.tar.gz", ("train", "test"), "fine_labels")


@pytest.mark.parametrize("value", [os.system, io.BytesIO, np.load])
def test_a_pickle_that_names_anything_but_arrays_is_refused(value: Any, tmp_path: Path) -> None:
    files.pack(tmp_path / "a.tar.gz", {"x/train": pickle.dumps({b"data": value})})
    with pytest.raises(pickle.UnpicklingError, match="may not name"):
        archives.read_cifar(tmp_path / "a.tar.gz", ("train",), "fine_labels")


def test_long_tailed_cifar_has_a_tail_and_a_balanced_test(tmp_path: Path) -> None:
    images = opened("CIFAR10LT", tmp_path).images
    counts = np.bincount(np.concatenate([images.train.y, images.validation.y]), minlength=10)
    assert counts.tolist() == [10, 8, 6, 5, 4, 3, 2, 2, 1, 1]
    assert (np.bincount(images.test.y) == 2).all()


def test_corrupted_cifar_holds_out_every_severity_with_its_labels(tmp_path: Path) -> None:
    images = opened("CIFAR10C", tmp_path).images
    assert len(images.test) == 2 * 5 * 10  # two corruptions; `labels` is none
    np.testing.assert_array_equal(images.test.x[:, 0, 0, 0] % 10, images.test.y)
    np.testing.assert_array_equal(images.test.x[:50, 0, 0, 0] // 10, np.repeat(np.arange(5), 10))
    assert len(images.train) + len(images.validation) == 100


@pytest.mark.parametrize("dataset", PHOTOGRAPHS)
def test_photographs_keep_their_labels_and_are_decoded_once(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = opened(dataset, tmp_path).images
    for split in (images.train, images.validation, images.test):
        assert len(split) > 0
        middle = split.x[:, split.x.shape[1] // 2, split.x.shape[2] // 2].astype(int)
        expected = np.array([files.colour_of(int(label)) for label in split.y])
        assert np.abs(middle - expected).max() <= 4  # JPEG
    sources._published.cache_clear()
    monkeypatch.setattr(archives, "decoded", None)
    again = opened(dataset, tmp_path).images
    np.testing.assert_array_equal(again.train.x, images.train.x)


def test_photographs_are_used_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> str:
        raise PermissionError("read-only")

    kept = opened("TinyImageNet", tmp_path).images
    for path in (tmp_path / "decoded-64").iterdir():
        path.unlink()
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    images = opened("TinyImageNet", tmp_path).images
    np.testing.assert_array_equal(images.train.y, kept.train.y)


def test_a_photograph_is_scaled_to_its_shorter_side_and_cut_in_the_middle() -> None:
    from PIL import Image

    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    found = archives.decoded(file.getvalue(), 20)
    assert found.shape == (20, 20, 3)
    assert (found[:, 1:-1] == 200).all()


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_set_that_was_not_fetched_is_named_with_the_command(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=f"data fetch ComputerVisionClassification {dataset}"):
        DOMAIN.held_data(dataset, tmp_path)
    exam = ComputerVisionClassificationExaminer(dataset, "tiny", DOMAIN.config(dataset, "tiny"))
    with pytest.raises(FileNotFoundError, match="have not been fetched"):
        exam.training_data(0)


def test_files_that_were_copied_by_hand_are_found_and_checked(tmp_path: Path) -> None:
    """As the description of StanfordCars says: content, by its SHA-256, in the folder ``sha256`` of the cache."""
    import hashlib

    from discoenv.data import downloads

    content = b"the annotations"
    digest = hashlib.sha256(content).hexdigest()
    wanted = downloads.File(name="cars.mat", urls=("https://localhost:9/gone",), sha256=digest, size=len(content))
    (tmp_path / "sha256").mkdir()
    (tmp_path / "sha256" / digest).write_bytes(content)
    folder = downloads.fetch("ComputerVisionClassification", "StanfordCars", [wanted], tmp_path)
    assert (folder / "cars.mat").read_bytes() == content
