"""Image sets have the bits that they are known to have, keep their promises, and survive a damaged cache."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from discoenv.data.generated import (
    DIGESTS,
    GENERATORS,
    Images,
    Split,
    WrongData,
    corruptions,
    glyphs,
    load,
    long_tail,
    store,
)
from discoenv.data.generated.exact import Draws, angle, cosine, sine, smooth, to_bytes

#: Their generation takes a second or two each.
QUICK = ("digits", "digits_lt", "digits_c", "glyphs100", "flowers60", "textures200")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imagesets")


@pytest.mark.parametrize("name", GENERATORS)
def test_a_set_has_the_same_bits_everywhere(name: str, root: Path) -> None:
    images = load(name, root)  # raises if they are others
    assert (images.name, images.digest()) == (name, DIGESTS[name])
    for split in (images.train, images.validation, images.test):
        assert set(np.unique(split.y)) == set(range(images.classes))
        assert not (np.sort(split.y) == split.y).all()
        assert not split.x.flags.writeable
    assert images.shape == images.test.x.shape[1:]


def test_the_bits_do_not_depend_on_the_processors_instructions(root: Path) -> None:
    """NumPy with its wide instructions switched off generates the same."""
    code = (
        "from discoenv.data.generated import DIGESTS, GENERATORS\n"
        "for name in ('digits_c', 'glyphs100'):\n"
        "    assert GENERATORS[name]().digest() == DIGESTS[name], name\n"
    )
    features = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F AVX512_SKX"  # names of NumPy 2.4 and before
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": features},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", QUICK)
def test_no_image_is_in_two_parts(name: str, root: Path) -> None:
    images = load(name, root)
    parts = [{x.tobytes() for x in split.x} for split in (images.train, images.validation, images.test)]
    for one in range(3):
        for other in range(one):
            shared = len(parts[one] & parts[other])
            assert shared <= (2 if name.startswith("digits") else 0)  # two people may write the same 64 pixels


def test_digits_are_balanced_and_their_variants_share_what_is_held_out(root: Path) -> None:
    digits, tail, corrupted = (load(name, root) for name in ("digits", "digits_lt", "digits_c"))
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1000, 297, 500)
    assert (np.bincount(digits.train.y) == 100).all()
    np.testing.assert_array_equal(tail.test.x, digits.test.x)
    np.testing.assert_array_equal(corrupted.train.x, digits.train.x)
    held_out = {x.tobytes() for x in digits.test.x}
    rare = {x.tobytes() for x in tail.train.x}
    assert rare <= {x.tobytes() for x in digits.train.x}
    assert not rare & held_out
    assert np.bincount(tail.train.y).tolist() == [100, 77, 60, 46, 36, 28, 22, 17, 13, 10]


def test_the_profile_is_exponential() -> None:
    counts = long_tail.profile(5000, 10, 10)
    assert (counts[0], counts[-1], sum(counts)) == (5000, 500, 20434)
    ratios = [one / other for one, other in itertools.pairwise(counts)]
    assert max(ratios) - min(ratios) < 0.01


@pytest.mark.parametrize("corrupt", corruptions.CORRUPTIONS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3)])
def test_a_corruption_changes_images_more_as_it_grows_severe(
    corrupt: corruptions.Corruption, shape: tuple[int, ...]
) -> None:
    x = np.zeros((20, *shape))
    x[:, 2:6, 1:7] = Draws("test").uniform(100.0, 255.0, 20, 4, 6, shape[2])
    before = x.copy()
    changes = []
    for severity in range(corruptions.SEVERITIES):
        changed = corrupt(x, Draws("noise"), severity)
        assert changed.shape == x.shape
        changes.append(np.abs(to_bytes(changed).astype(float) - to_bytes(x)).mean())
    np.testing.assert_array_equal(x, before)
    assert 0 < changes[0] <= changes[1] <= changes[2]
    assert changes[0] < changes[2]


def test_fractional_places_are_interpolated() -> None:
    x = Draws("test").uniform(0.0, 255.0, 1, 5, 6, 2)
    found = corruptions.sampled(x, np.full((1, 1, 1), 2.25), np.full((1, 1, 1), 3.5))
    expected = 0.75 * (x[0, 2, 3] + x[0, 2, 4]) / 2 + 0.25 * (x[0, 3, 3] + x[0, 3, 4]) / 2
    np.testing.assert_allclose(found[0, 0, 0], expected)


def test_held_out_glyphs_are_by_other_hands() -> None:
    assert np.abs(glyphs.strokes(3) - glyphs.strokes(3)).max() == 0
    assert not any(np.array_equal(glyphs.strokes(3), glyphs.strokes(other)) for other in range(3))
    train, test = (Draws("glyphs100", part, "hands").normal(5) for part in ("train", "test"))
    assert not np.isclose(train[:, None], test[None]).any()


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_functions_of_angles_are_near_the_true_ones() -> None:
    turns = np.linspace(-3, 3, 2001)
    np.testing.assert_allclose(sine(turns), np.sin(2 * np.pi * turns), atol=5e-6)
    np.testing.assert_allclose(cosine(turns), np.cos(2 * np.pi * turns), atol=5e-6)
    inside = np.linspace(0.001, 0.999, 997)
    found = angle(3 * np.sin(2 * np.pi * inside), 3 * np.cos(2 * np.pi * inside))
    np.testing.assert_allclose(found, inside, atol=1e-5)
    assert angle(np.zeros(1), np.zeros(1)) == 0


def test_draws_are_fixed_by_their_words_and_distributed_as_they_say() -> None:
    first = Draws("a", 1).uniform(0.0, 1.0, 3)
    np.testing.assert_array_equal(first, Draws("a", 1).uniform(0.0, 1.0, 3))
    assert not np.isclose(first, Draws("a", 2).uniform(0.0, 1.0, 3)).any()
    assert not np.isclose(first, Draws("b", 1).uniform(0.0, 1.0, 3)).any()
    draws = Draws("many")
    normal = draws.normal(20000)
    assert abs(normal.mean()) < 4 / math.sqrt(20000)
    assert abs(normal.std() - 1) < 0.03
    assert np.bincount(draws.integers(4, 4000), minlength=4).min() > 850
    assert sorted(draws.order(50).tolist()) == list(range(50))
    assert draws.order(50).tolist() != list(range(50))


def test_smoothing_keeps_the_mean_and_rounding_is_to_the_nearest() -> None:
    point = np.zeros((1, 9, 9))
    point[0, 4, 4] = 16.0
    np.testing.assert_array_equal(smooth(point)[0, 3:6, 3:6], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert to_bytes(np.array([-3.0, 0.49, 0.5, 254.7, 300.0])).tolist() == [0, 0, 1, 255, 255]


# --- the cache --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Images:
    """A set of six images, known under the name ``small``."""
    x = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    splits = [Split(x[rows].copy(), np.array([0, 1])) for rows in (slice(0, 2), slice(2, 4), slice(4, 6))]
    images = Images("small", 2, *splits)
    calls: list[int] = []

    def generate() -> Images:
        calls.append(1)
        return images

    monkeypatch.setitem(store.GENERATORS, "small", generate)
    monkeypatch.setitem(store.DIGESTS, "small", images.digest())
    monkeypatch.setattr(store, "calls", calls, raising=False)
    return images


def calls() -> int:
    return len(store.calls)  # type: ignore[attr-defined]


def test_a_set_is_generated_once_and_then_read(small: Images, tmp_path: Path) -> None:
    for _ in range(2):
        load.cache_clear()
        assert load("small", tmp_path).digest() == small.digest()
    assert calls() == 1
    (kept,) = tmp_path.iterdir()
    for damage in (b"", b"nonsense", kept.read_bytes()[:-40]):
        kept.write_bytes(damage)
        load.cache_clear()
        assert load("small", tmp_path).digest() == small.digest()
    assert calls() == 4


def test_a_set_that_was_changed_in_the_cache_is_generated_again(small: Images, tmp_path: Path) -> None:
    load("small", tmp_path)
    (kept,) = tmp_path.iterdir()
    with np.load(kept) as arrays:
        changed = dict(arrays)
    changed["test_x"] = changed["test_x"] + np.uint8(1)
    np.savez(kept, **changed)
    load.cache_clear()
    assert load("small", tmp_path).digest() == small.digest()
    assert calls() == 2


def test_other_images_than_expected_are_refused(small: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.DIGESTS, "small", "0" * 64)
    load.cache_clear()
    with pytest.raises(WrongData, match=f"small has the digest {small.digest()} here, not 0000"):
        load("small", tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_done_without(small: Images, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    load.cache_clear()
    assert load("small", tmp_path / "file").digest() == small.digest()


def test_an_unknown_set_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no image set 'digit'; there are digits, digits_lt"):
        load("digit")


def test_only_labelled_images_make_a_split() -> None:
    with pytest.raises(ValueError, match="no images: float64"):
        Split(np.zeros((2, 4, 4, 1)), np.zeros(2, np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no images"):
        Split(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64))


# --- contact sheets ---------------------------------------------------------------------------------------------------


def test_a_sheet_shows_each_class_in_a_column(tmp_path: Path, small: Images) -> None:
    image = pytest.importorskip("PIL.Image")
    from discoenv.data import contact_sheets

    pixels = contact_sheets.sheet(small.train, each=1, scale=3)
    assert pixels.shape == (2 * 3, 5 * 3, 3)
    np.testing.assert_array_equal(pixels[::3, ::3][:, :2, 0], small.train.x[0, ..., 0])
    np.testing.assert_array_equal(pixels[::3, ::3][:, 3:, 2], small.train.x[1, ..., 0])
    dataset = tmp_path / "Small"
    dataset.mkdir()
    (dataset / "config.yaml").write_text("all: {IMAGES: digits}\ntiny: {}\n")
    assert contact_sheets.write_all(tmp_path) == [dataset / "samples.png"]
    with image.open(dataset / "samples.png") as opened:
        assert opened.size[0] > 50
    assert (dataset / "samples.png").stat().st_size < 30_000
