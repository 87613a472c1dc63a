"""ContinualLearning's streams: others in each exam, as configured, and read from published files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.data.generated import load
from discoenv.data.published.idx import read_idx
from discoenv.domains.ContinualLearning import streams
from discoenv.domains.ContinualLearning.tests.conftest import DOMAIN, OFFLINE, config_of, examiner
from tests.data import published_files as files

ROTATIONS = "73fb265755db2e9dada36eb939ad4684474a73088f1240c9e0fc604478baf535"


def generators(seed: int) -> streams.Generators:
    return functools.partial(examiner().generator, seed)


def digest(*arrays: Any) -> str:
    joined = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
        joined.update(f"{little.dtype.str}{little.shape}".encode() + little.tobytes())
    return joined.hexdigest()


def test_rotated_images_are_the_same_everywhere() -> None:
    x = load("digits").test.x[:50]
    assert digest(*(streams.rotated(x, 18 * task) for task in range(10))) == ROTATIONS


def test_permutations_are_permutations_and_all_differ() -> None:
    orders = [order for seed in (0, 1) for order in streams.permutations(64, 10, generators(seed))]
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(64), (20, 1)))
    assert len({order.tobytes() for order in orders}) == 20
    assert (orders[0] != np.arange(64)).any()


def test_angles_drift_in_one_direction_from_any_angle() -> None:
    least, most = streams.ROTATION_STEPS
    starts, directions = set(), set()
    for seed in range(20):
        found = np.array(streams.angles(10, generators(seed)))
        steps = (np.diff(found) + 180) % 360 - 180
        assert (np.abs(steps) >= least).all()
        assert (np.abs(steps) <= most).all()
        assert len(set(np.sign(steps))) == 1
        starts.add(int(found[0]))
        directions.add(int(np.sign(steps[0])))
    assert len(starts) > 10
    assert directions == {-1, 1}


def test_each_exam_has_its_own_order_of_classes() -> None:
    orders = [streams.class_order(100, generators(seed)) for seed in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(100))
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_rotations_turn_about_the_middle() -> None:
    x = np.random.default_rng(0).integers(256, size=(3, 8, 8, 2)).astype(np.uint8)
    framed = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_array_equal(streams.rotated(x, 0), framed)
    np.testing.assert_array_equal(streams.rotated(x, 90), np.rot90(framed, axes=(1, 2)))
    np.testing.assert_array_equal(streams.rotated(x, 180), framed[:, ::-1, ::-1])


def test_rotations_are_bilinear() -> None:
    x = load("digits").test.x[:3]
    degrees, size = 36, 12
    framed = np.pad(x.astype(float), ((0, 0), (3, 3), (3, 3), (0, 0)))
    angle = np.radians(degrees)
    wanted = np.zeros((3, size, size, 1))
    for i in range(size):
        for j in range(size):
            y, z = i - 5.5, j - 5.5
            row, column = np.cos(angle) * y + np.sin(angle) * z + 6.5, np.cos(angle) * z - np.sin(angle) * y + 6.5
            if not (0 <= row < 13 and 0 <= column < 13):
                continue
            r, c = int(row), int(column)
            v, h = row - r, column - c
            wanted[:, i, j] = (
                (1 - v) * (1 - h) * framed[:, r, c]
                + (1 - v) * h * framed[:, r, c + 1]
                + v * (1 - h) * framed[:, r + 1, c]
                + v * h * framed[:, r + 1, c + 1]
            )
    assert np.abs(streams.rotated(x, degrees) - wanted).max() < 4.0  # weights are multiples of 1/256


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_streams_are_as_the_configuration_says(dataset: str, scale: str) -> None:
    exam_ = examiner(dataset, scale)
    config = exam_.config
    experiences = exam_.experiences(1)
    assert len(experiences) == config["TASKS"]
    seen: set[int] = set()
    for experience in experiences:
        for name, split in vars(experience).items():
            assert split.x.shape == (config[f"{name.upper()}_SAMPLES"], *config["IMAGE_SHAPE"])
        images = [{image.tobytes() for image in split.x} for split in vars(experience).values()]
        assert sum(map(len, images)) == len(set.union(*images))
        classes = set(experience.train.y.tolist())
        assert len(classes) == config["CLASSES_PER_TASK"]
        counts = np.bincount(experience.train.y)[sorted(classes)]
        assert counts.max() - counts.min() <= 1
        assert set(experience.test.y.tolist()) | set(experience.probe.y.tolist()) <= classes
        assert config["STREAM"] != "split" or not classes & seen
        seen |= classes
    assert seen == set(range(config["CLASSES"]))


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_configurations_fit_together(dataset: str, scale: str) -> None:
    config = config_of(dataset, scale)
    assert config["BATCH"] < config["MAX_BATCH"]
    assert config["CLASSES_PER_TASK"] * (config["TASKS"] if config["STREAM"] == "split" else 1) == config["CLASSES"]
    height, width, channels = config["IMAGE_SHAPE"]
    assert height % config["PATCH"] == width % config["PATCH"] == 0
    assert config["TOKEN_WIDTH"] % config["HEADS"] == 0
    whole = config["TASKS"] * config["TRAIN_SAMPLES"] * height * width * channels
    assert config["MEMORY_BYTES"] < 0.2 * whole


def test_an_exam_is_repeatable_and_another_seed_has_other_images() -> None:
    first, again, other = (examiner("SplitTextures").experiences(seed) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        for name in vars(one):
            np.testing.assert_array_equal(getattr(one, name).x, getattr(two, name).x)
    assert (first[0].train.x != other[0].train.x).any()
    assert set(first[0].train.y) == set(other[0].train.y)


@pytest.mark.parametrize("dataset", OFFLINE)
def test_no_image_is_in_two_exams(dataset: str) -> None:
    first, other = (
        {
            image.tobytes()
            for each in examiner(dataset).experiences(seed)
            for split in vars(each).values()
            for image in split.x
        }
        for seed in (1, 2)
    )
    assert not first & other


def test_published_images_are_altered_before_they_are_permuted(monkeypatch: pytest.MonkeyPatch) -> None:
    altered = examiner("PermutedDigits").experiences(0)[1].train
    monkeypatch.setattr(streams, "altered", lambda split, generator: split)
    plain = examiner("PermutedDigits").experiences(0)[1].train
    np.testing.assert_array_equal(altered.y, plain.y)
    change = np.abs(altered.x.astype(int) - plain.x)
    assert (change.max(axis=(1, 2, 3)) > 0).all()
    assert change.mean() < 40
    original = {image.tobytes() for image in load("digits").train.x}
    back = np.argsort(streams.permutations(64, 2, generators(0))[1])
    assert {image.tobytes() for image in plain.x.reshape(len(plain), -1)[:, back]} & original
    assert not {image.tobytes() for image in altered.x.reshape(len(plain), -1)[:, back]} & original


def test_classes_that_cannot_be_shared_equally_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot share"):
        examiner("SplitGlyphs", TASKS=7).experiences(0)
    with pytest.raises(ValueError, match="as configured"):
        examiner("PermutedDigits", TRAIN_SAMPLES=1001).experiences(0)


# --- published image sets ---------------------------------------------------------------------------------------------


WRITERS: dict[str, Callable[[Path], None]] = {
    "PermutedMNIST": files.mnist,
    "SplitCIFAR100": lambda folder: files.cifar100(folder, 400),
    "TinyImageNetSplit": lambda folder: files.tiny_imagenet(folder, classes=200, each=4, held_out=2),
}


@pytest.mark.parametrize(
    ("dataset", "train"), [("PermutedMNIST", 50), ("SplitCIFAR100", 30), ("TinyImageNetSplit", 30)]
)
def test_downloaded_sets_are_read_from_their_published_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: str, train: int
) -> None:
    pytest.importorskip("PIL")
    monkeypatch.setattr(streams, "altered", lambda split, generator: split)
    WRITERS[dataset](tmp_path)
    names = [file.name for file in DOMAIN.specification.datasets[dataset].to_fetch]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    exam_ = examiner(dataset, TRAIN_SAMPLES=train, VALIDATION_SAMPLES=8, PROBE_SAMPLES=8, TEST_SAMPLES=12)
    with pytest.raises(FileNotFoundError, match="have not been fetched"):
        exam_.experiences(0)
    exam_.data = tmp_path
    experiences = exam_.experiences(0)
    assert len(experiences) == exam_.config["TASKS"]
    assert experiences[0].train.x.shape == (train, *exam_.config["IMAGE_SHAPE"])
    if dataset == "TinyImageNetSplit":
        order = streams.class_order(200, functools.partial(exam_.generator, 0))
        colours = [files.colour_of(int(label)) for label in order[experiences[0].test.y]]
        assert np.abs(experiences[0].test.x[:, 9, 9].astype(int) - colours).max() <= 4  # JPEG


def test_the_last_images_of_each_class_are_for_validation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(streams, "altered", lambda split, generator: split)
    files.mnist(tmp_path)
    pixels = read_idx(tmp_path / "train-images-idx3-ubyte.gz")
    last = {x.tobytes() for x in pixels[50:]}  # the sixth of six of each class
    exam_ = examiner("PermutedMNIST", TRAIN_SAMPLES=50, VALIDATION_SAMPLES=10, PROBE_SAMPLES=8, TEST_SAMPLES=12)
    exam_.data = tmp_path
    first = exam_.experiences(0)[0].validation.x.reshape(10, -1)
    back = np.argsort(streams.permutations(784, 1, functools.partial(exam_.generator, 0))[0])
    assert {x.tobytes() for x in first[:, back]} == last
