"""NeuralCellularAutomata's samples: shapes, splits, the equations that they solve, and published files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata import images, patterns
from discoenv.domains.NeuralCellularAutomata.samples import MatrixOperations, steady_state
from discoenv.domains.NeuralCellularAutomata.tests.conftest import DOMAIN, OFFLINE, config_of, examiner
from tests.data import published_files

pytest.importorskip("sklearn")


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_samples_have_the_shapes_that_the_configuration_says(dataset: str, scale: str) -> None:
    exam_ = examiner(dataset, scale)
    config = exam_.config
    training, held_out, _ = exam_.sample(5)
    for samples, count in ((training, config.get("TRAIN_SAMPLES", 1)), (held_out, config["EXAM_SAMPLES"])):
        assert samples.states.shape == (count, config["GRID"], config["GRID"], config["CHANNELS"])
        assert samples.targets.shape == (*samples.states.shape[:3], config["OUTPUT"])
        assert samples.weights.shape == samples.states.shape[:3]
        assert {values.dtype for values in vars(samples).values()} == {np.dtype(np.float32)}
        assert samples.weights.sum(axis=(1, 2)).min() > 0


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_configurations_fit_together(dataset: str, scale: str) -> None:
    config = config_of(dataset, scale)
    assert config["BATCH"] <= config["POOL"]
    assert config["FRESH"] + config["DAMAGED"] <= config["BATCH"]
    assert config["TRAIN_STEPS"] % 10 == 0
    assert config["OUTPUT"] + config["PRESERVE"] < config["CHANNELS"]


@pytest.mark.parametrize("dataset", OFFLINE)
def test_an_exam_is_repeatable_and_another_seed_is_another_exam(dataset: str) -> None:
    first, again, other = (examiner(dataset).sample(seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.states, again.states)
    assert (first.states != other.states).any()


@pytest.mark.parametrize("name", sorted(patterns.PATTERNS))
def test_pictures_fit_the_grid_and_look_alike_at_all_resolutions(name: str) -> None:
    large, small = patterns.render(name, 48), patterns.render(name, 12)
    for cells in (large, small):
        assert cells.min() >= 0.0
        assert cells.max() <= 1.0
        assert (cells[..., :3] <= cells[..., 3:] + 1e-6).all()
        border = np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])
        assert border[..., 3].max() < 0.2
    np.testing.assert_allclose(large.reshape(12, 4, 12, 4, 4).mean(axis=(1, 3)), small, atol=0.15)
    assert 0.15 < large[..., 3].mean() < 0.6


def test_a_growing_picture_is_another_one_in_each_exam_and_stays_symmetric() -> None:
    pictures = [examiner("GrowingButterfly", "small").training_data(seed)["targets"][0] for seed in range(6)]
    for number, one in enumerate(pictures):
        np.testing.assert_allclose(one, one[:, ::-1], atol=1e-6)
        assert 0.15 < one[..., 3].mean() < 0.6
        assert all(((one - other) ** 2).mean() > 0.002 for other in pictures[:number])
    exam_ = examiner("GrowingLizard", "small")
    training, held_out, places = exam_.sample(1)
    np.testing.assert_array_equal(held_out.rolled(*-places).targets[3], training.targets[0])


def test_digits_are_changed_a_little_in_each_exam() -> None:
    known = {image.tobytes() for part in images.load("digits", None, np.random.default_rng(0)) for image in part.x}
    for seed in (1, 2):
        for samples in examiner("SelfClassifyingDigits").sample(seed)[:2]:
            drawn = np.rint(samples.states[..., -1] * 255).astype(np.uint8)
            assert drawn.max() > 200
            assert 0.2 < samples.weights.mean() < 0.5
            middle = drawn[:, 2:10, 2:10]  # whatever the place, no picture is one that is known
            assert not {image.tobytes() for image in middle} & known


def test_held_out_digits_are_not_among_the_training_digits() -> None:
    training, held_out = images.load("digits", None, np.random.default_rng(0))
    assert len(training) == 1198
    assert len(held_out) == 599
    assert training.x.max() == held_out.x.max() == 255
    known = {image.tobytes() for image in training.x}
    assert sum(image.tobytes() in known for image in held_out.x) <= 5  # digits that occur twice
    assert len(np.unique(training.y)) == 10


def test_half_of_the_pixels_are_missing_and_the_known_ones_are_right() -> None:
    samples = examiner("DigitsInpainting").sample(0)[0]
    inside, known = samples.weights > 0, samples.states[..., -1] > 0
    assert inside.sum(axis=(1, 2)).tolist() == [64] * len(inside)
    assert known[inside].mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(samples.states[..., -2][known], samples.targets[..., 0][known])
    assert not samples.states[..., :-1][~known].any()


def test_matrices_are_what_the_operation_says() -> None:
    samples = examiner("MatrixOperations").sample(0)[0]
    inputs = samples.states[..., -7:]
    for number in range(8):
        inside = inputs[number, ..., 2] > 0
        side = int(inside.sum() ** 0.5)
        a, b, wanted = (
            plane[inside].reshape(side, side)
            for plane in (inputs[number, ..., 0], inputs[number, ..., 1], samples.targets[number, ..., 0])
        )
        operation = MatrixOperations.OPERATIONS[int(inputs[number, 0, 0, 3:].argmax())]
        expected = {"transpose": a.T, "negate": -a, "add": (a + b) / 2**0.5, "multiply": a @ b * (3 / side) ** 0.5}
        np.testing.assert_allclose(wanted, expected[operation], atol=1e-6)
    kinds = inputs[:, 0, 0, 3:].argmax(axis=1)
    squares = (samples.targets[..., 0] ** 2).sum(axis=(1, 2)) / samples.weights.sum(axis=(1, 2))
    np.testing.assert_allclose([squares[kinds == kind].mean() for kind in range(4)], 1 / 3, rtol=0.1)


def test_steady_temperatures_solve_the_equation() -> None:
    generator = np.random.default_rng(0)
    held = generator.random((20, 9, 9)) < 0.1
    held[0] = False
    values = np.where(held, generator.normal(size=held.shape), 0.0)
    u = steady_state(values, held, 0.05)
    neighbours = sum(np.roll(u, shift, axis) for axis in (1, 2) for shift in (-1, 1)) / 4
    np.testing.assert_allclose(np.where(held, u, 1.05 * u), np.where(held, values, neighbours), atol=1e-6)


@pytest.mark.parametrize("dataset", ["MNISTInpainting", "SelfClassifyingMNIST"])
def test_mnist_is_read_from_its_published_files(tmp_path: Path, dataset: str) -> None:
    published_files.mnist(tmp_path)
    names = [file.name for file in DOMAIN.specification.datasets[dataset].to_fetch]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    exam_ = examiner(dataset)
    with pytest.raises(FileNotFoundError, match="have not been fetched"):
        exam_.training_data(0)
    exam_.data = tmp_path
    assert exam_.training_data(0)["states"].shape == (500, 28, 28, exam_.config["CHANNELS"])
    assert np.isfinite(exam_.floor(0)["log10_loss"])
    assert exam_.training_data(0)["states"].max() == 1.0


def test_the_hidden_file_is_the_only_copy_of_the_digits() -> None:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    copies = [str(path.relative_to(package.parent)) for path in package.rglob("*digits*") if path.suffix == ".gz"]
    assert copies == DOMAIN.specification.hidden_packages
