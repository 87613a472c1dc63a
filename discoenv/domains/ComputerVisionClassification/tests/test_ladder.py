"""The known methods of ComputerVisionClassification: each trains once at tiny, and formulas against plain NumPy."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ComputerVisionClassification.tests.test_domain import (
    DOMAIN,
    config_of,
    examiner,
    on_one_thread,
    trained,
)
from discoenv.tasks.ladder import method_text, methods_of
from discoenv.testing import examined

torch = pytest.importorskip("torch")

METHODS = list(methods_of(DOMAIN, "default"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def method(module: str, name: str) -> Any:
    """A method's module, imported."""
    path = DOMAIN.directory / "ladder" / module / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"ladder_{module}_{name}", path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@functools.cache
def tiny() -> Any:
    """An examiner whose images are drawn once for all methods."""
    return examiner("Digits")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), METHODS)
def test_each_method_learns_digits(module: str, name: str) -> None:
    with on_one_thread(dataset="Digits", modules={module: method_text(DOMAIN, module, name)}) as code:
        found = examined(tiny(), code.answer, trained(code, tiny()), 0)
    assert all(math.isfinite(value) for value in found.values())
    assert found["accuracy"] > 0.16  # the floor is 0.1
    assert found["parameter_count"] <= tiny().config["MAX_PARAMETERS"]


def test_networks_of_all_sizes_fit() -> None:
    names = [name for module, name in METHODS if module == "networks"]
    for dataset, name in itertools.product(DOMAIN.datasets, names):
        for scale in DOMAIN.scales(dataset):
            config = config_of(dataset, scale)
            with torch.device("meta"):
                model = method("networks", name).Model(config)
            count = sum(each.numel() for each in [*model.parameters(), *model.buffers()])
            assert count <= config["MAX_PARAMETERS"], (name, dataset, scale)


# --- losses -----------------------------------------------------------------------------------------------------------


def test_losses_are_their_formulas() -> None:
    generator = np.random.default_rng(0)
    counts = np.array([500, 50, 5, 1])
    logits, labels = generator.normal(size=(20, 4)).astype(np.float32), generator.integers(4, size=20)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = np.arange(20)
    p = chances[rows, labels]
    onehot = np.eye(4)[labels]
    weights = 1 / (1 - 0.999**counts)
    adjusted = chances * counts / (chances * counts).sum(1, keepdims=True)
    expected = {
        "squared_error": ((logits - onehot) ** 2).sum(1),
        "focal": -((1 - p) ** 2) * np.log(p),
        "label_smoothing": -((0.9 * onehot + 0.1 / 4) * np.log(chances)).sum(1),
        "class_balanced": -(weights / weights.mean())[labels] * np.log(p),
        "logit_adjustment": -np.log(adjusted[rows, labels]),
    }
    config = {"NUM_CLASSES": 4, "CLASS_COUNTS": counts.tolist()}
    for name, values in expected.items():
        found = method("loss", name).compute_loss(torch.tensor(logits), torch.tensor(labels), config)
        assert float(found) == pytest.approx(values.mean(), rel=1e-5), name


# --- optimisers -------------------------------------------------------------------------------------------------------


def test_muon_moves_the_singular_values_close_to_one() -> None:
    for shape in ((8, 20), (20, 8)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        found = method("optim", "muon").orthogonal(matrix)
        assert found.shape == shape
        singular = np.linalg.svd(np.asarray(found), compute_uv=False)
        assert singular.min() > 0.6 and singular.max() < 1.3
        u, _, v = np.linalg.svd(np.asarray(matrix), full_matrices=False)
        assert np.sum(u @ v * np.asarray(found)) > 0.95 * np.linalg.norm(u @ v) * np.linalg.norm(found)


def test_muon_treats_all_but_kernels_as_adamw_does() -> None:
    config = config_of("Digits") | {"TOTAL_STEPS": 5}
    start = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    rest = [name for name, _ in start.named_parameters() if name != "0.weight"]
    ends = []
    for module in (method("optim", "muon"), None):
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        model.load_state_dict(start.state_dict())
        if module is None:
            parameters = dict(model.named_parameters())
            groups = [
                {"params": [parameters[name]], "weight_decay": config["WEIGHT_DECAY"] if "weight" in name else 0.0}
                for name in rest
            ]
            optimizer: Any = torch.optim.AdamW(groups, lr=config["LR"])
        else:
            optimizer = module.create_optimizer(model, config)
        for step in range(3):
            for number, each in enumerate(model.parameters()):
                each.grad = torch.randn(each.shape, generator=torch.Generator().manual_seed(10 * step + number))
            optimizer.step()
        ends.append(model.state_dict())
    for name in rest:
        torch.testing.assert_close(ends[0][name], ends[1][name], rtol=1e-4, atol=1e-6)
    moved = ends[0]["0.weight"] - start.state_dict()["0.weight"]
    assert 0.0 < float(moved.abs().max()) < 10 * config["LR"]


def test_lion_moves_by_the_sign_of_its_momentum() -> None:
    module = method("optim", "lion")
    weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = module.Lion([weight], lr=0.1)
    x, m = np.array([1.0, -1.0]), np.zeros(2)
    for gradient in ([1.0, -2.0], [-0.5, 4.0], [3.0, 0.2]):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        g = np.array(gradient)
        x = x - 0.1 * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
        np.testing.assert_allclose(weight.detach(), x, atol=1e-6)


def test_schedules_rise_and_end_near_zero() -> None:
    for name in ("momentum", "lion", "muon"):
        module, model = method("optim", name), torch.nn.Linear(2, 2)
        config = config_of("Digits") | {"TOTAL_STEPS": 50}
        optimizer = module.create_optimizer(model, config)
        peak = optimizer.defaults["lr"]
        scheduler = module.create_scheduler(optimizer, config)
        rates = []
        for _ in range(50):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates[0] == pytest.approx(peak / 5) and max(rates) == pytest.approx(peak)
        assert rates[-1] < 0.01 * peak


# --- augmentation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for module, name in METHODS if module == "preprocess"])
@pytest.mark.parametrize("dataset", ["Digits", "ProcFlowers"])
def test_augmentation_comes_from_the_generator_and_stays_in_range(name: str, dataset: str) -> None:
    config = config_of(dataset)
    channels = config["NUM_CHANNELS"]
    config |= {"MEAN": [0.5] * channels, "STD": [0.25] * channels}
    shape = (64, config["HEIGHT"], config["WIDTH"], channels)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    train, evaluate = method("preprocess", name).build_transforms(config)
    first, again, other = (train(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(images, before)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "none")
    plain = evaluate(images)
    np.testing.assert_allclose(plain, (before.permute(0, 3, 1, 2).double() / 255 - 0.5) / 0.25, atol=1e-5)
    assert first.shape == plain.shape and first.dtype == torch.float32
    assert float(first.abs().max()) <= 2.0 + 1e-5


def test_cutout_hides_squares_of_half_the_side() -> None:
    hidden = method("preprocess", "cutout").hidden(torch.ones(500, 2, 8, 8), torch.Generator().manual_seed(0))
    found = {int((1 - image[0]).sum()) for image in hidden}
    assert max(found) == 16 and min(found) >= 4
    assert torch.equal(hidden[:, 0], hidden[:, 1])


def test_erased_rectangles_have_the_wanted_shares() -> None:
    images = torch.full((2000, 1, 40, 40), 2.0)
    erased = method("preprocess", "random_erasing").erased(images, torch.Generator().manual_seed(0))
    shares = (erased != 2.0).double().mean((1, 2, 3)).numpy()
    assert 0.45 < np.mean(shares > 0) < 0.55
    assert shares[shares > 0].min() > 0.01 and shares.max() < 0.45
    assert np.mean(shares[shares > 0]) == pytest.approx(0.21, abs=0.02)


@pytest.mark.parametrize("name", ["trivial_augment", "augmix"])
def test_operations_are_what_they_are_called(name: str) -> None:
    module = method("preprocess", name)
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    full = torch.ones(2, 1, 1, 1)
    stretched = module.stretched(images, full)
    torch.testing.assert_close(stretched.amin((2, 3)), torch.zeros(2, 3))
    torch.testing.assert_close(stretched.amax((2, 3)), torch.ones(2, 3))
    flat = module.equalised(images, full).flatten(2)
    ranks = images.mul(255).round().flatten(2)
    assert all(
        (np.diff(np.asarray(flat[i, c])[np.argsort(np.asarray(ranks[i, c]))]) >= 0).all()
        for i in range(2)
        for c in range(3)
    )
    torch.testing.assert_close(flat.mean(2), torch.full((2, 3), 0.5), atol=0.02, rtol=0)
    assert torch.equal(module.equalised(torch.full((1, 1, 4, 4), 0.25), full[:1]), torch.full((1, 1, 4, 4), 0.25))
    bits = module.posterised(images, full) * 255
    assert torch.equal(bits, (bits / 16).round() * 16)
    assert torch.equal(module.posterised((images * 255).round() / 255, 0 * full), (images * 255).round() / 255)
    torch.testing.assert_close(module.solarised(images, full), 1 - images)
    assert torch.equal(module.solarised(images, 0 * full), images)
    torch.testing.assert_close(module.rotated(images, 0 * full), images)
    turned = module.affine(images, (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)))
    shifted = module.affine(images, (1.0, 0.0, torch.full((2, 1, 1, 1), 0.5)), (0.0, 1.0, 0.0))
    torch.testing.assert_close(shifted[..., :9], images[..., 3:])
    assert not shifted[..., 9:].any()
