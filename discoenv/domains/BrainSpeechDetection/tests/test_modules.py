"""Base modules and known methods: formulas, what they may not do, and that they train."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BrainSpeechDetection.examiner import BrainSpeechDetectionExaminer
from discoenv.tasks.domain import Domain
from discoenv.testing import examined, import_learner

torch = pytest.importorskip("torch")

LADDER = Path(__file__).parents[1] / "ladder"
METHODS = sorted(path.relative_to(LADDER).as_posix() for path in LADDER.glob("*/*.py"))


def config_of(domain: Domain, **changes: Any) -> dict[str, Any]:
    return {**domain.config("Book1", "tiny"), "CHANNELS": 23, "LENGTH": 80, "TOTAL_STEPS": 50, **changes}


def test_the_loss_is_the_cross_entropy(code: Any) -> None:
    logits, labels = torch.randn(9), torch.tensor([0, 1, 1, 0, 1, 0.5, 1, 1, 0])
    p = 1.0 / (1.0 + np.exp(-logits.double().numpy()))
    y = labels.double().numpy()
    expected = -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))
    assert float(code.loss.compute_loss(logits, labels, {})) == pytest.approx(expected, rel=1e-5)


def test_the_network_is_a_convolution_and_a_gru(code: Any, domain: Domain) -> None:
    torch.manual_seed(0)
    config = config_of(domain)
    model = code.networks.Model(config).eval()
    windows = torch.randn(3, 23, 80)
    with torch.no_grad():
        found = model(windows)
        torch.testing.assert_close(model(windows[1:2]), found[1:2])
    parameters = {name: values.detach().double().numpy() for name, values in model.named_parameters()}
    padded = np.pad(windows[0].double().numpy(), ((0, 0), (2, 2)))
    hidden = np.zeros(config["HIDDEN"])

    def sigmoid(x: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-x))

    for step in range(40):
        part = padded[:, 2 * step : 2 * step + 5]
        feature = np.maximum(
            0.0, (parameters["convolution.weight"] * part).sum(axis=(1, 2)) + parameters["convolution.bias"]
        )
        inner = parameters["recurrent.weight_ih_l0"] @ feature + parameters["recurrent.bias_ih_l0"]
        outer = parameters["recurrent.weight_hh_l0"] @ hidden + parameters["recurrent.bias_hh_l0"]
        (ir, iz, inn), (hr, hz, hn) = np.split(inner, 3), np.split(outer, 3)
        z = sigmoid(iz + hz)
        hidden = (1.0 - z) * np.tanh(inn + sigmoid(ir + hr) * hn) + z * hidden
    expected = parameters["head.weight"][0] @ hidden + parameters["head.bias"][0]
    assert float(found[0]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_learning_rate_rises_and_falls_along_a_cosine(code: Any) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    config = {"TOTAL_STEPS": 50, "WARMUP": 0.1}
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    scheduler = code.optim.create_scheduler(optimizer, config)
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    expected = [0.3 * (k + 1) / 5 for k in range(5)]
    expected += [0.15 * (1 + np.cos(np.pi * (k - 5) / 45)) for k in range(5, 50)]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def test_sensors_are_standardised_with_the_training_windows_alone(code: Any) -> None:
    generator = np.random.default_rng(0)
    train = generator.normal(size=(30, 4, 20)) * np.array([1.0, 5.0, 0.1, 2.0])[:, None] + 3.0
    other = generator.normal(size=(5, 4, 20)) * 1e3
    config = {"CLIP": 10.0}
    fitted = code.preprocess.fit(torch.tensor(train).float(), torch.ones(30), torch.zeros(30), config)
    found = code.preprocess.transform(torch.tensor(other).float(), fitted, config)
    mean, std = train.mean(axis=(0, 2)), train.std(axis=(0, 2), ddof=1)
    expected = ((other - mean[:, None]) / std[:, None]).clip(-10.0, 10.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_windows_are_moved_and_noise_is_added(code: Any) -> None:
    windows, labels = torch.randn(50, 3, 20), torch.ones(50)
    moved, same = code.augment.augment(windows, labels, torch.Generator().manual_seed(1), {"SHIFT": 2, "NOISE": 0.0})
    assert same is labels
    padded = np.pad(windows.numpy(), ((0, 0), (0, 0), (2, 2)), mode="edge")
    found = set()
    for row in range(50):
        (shift,) = [k for k in range(5) if np.array_equal(padded[row, :, k : k + 20], moved[row].numpy())]
        found.add(shift)
    assert found == set(range(5))
    noisy, _ = code.augment.augment(windows, labels, torch.Generator().manual_seed(1), {"SHIFT": 2, "NOISE": 0.3})
    assert float((noisy - moved).std()) == pytest.approx(0.3, rel=0.05)


def test_training_is_repeatable_and_keeps_the_best_epoch(code: Any, domain: Domain) -> None:
    config = {**domain.config("Book1", "tiny"), "WINDOWS": 80, "TRAIN_SESSIONS": 2, "EPOCHS": 2}
    data = BrainSpeechDetectionExaminer("Book1", "tiny", config).training_data(0)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        one, same = (code.main.train(config, data, torch.device("cpu"), 5) for _ in range(2))
        other = code.main.train(config, data, torch.device("cpu"), 6)
    for name, values in one["model"].items():
        np.testing.assert_array_equal(values, same["model"][name])
    assert any((one["model"][name] != other["model"][name]).any() for name in one["model"])
    assert one["threshold"] == same["threshold"]
    assert len([line for line in printed.getvalue().splitlines() if line.strip()[:1].isdigit()]) == 3 * 3
    model = code.answer.make(config, one)
    held = data["validation_windows"].astype(np.float32)
    found = model.probabilities(held)
    np.testing.assert_allclose(model.probabilities(held[3:5]), found[3:5], atol=1e-6)
    assert code.main.best_threshold(found, data["validation_labels"])[0] == pytest.approx(one["threshold"], abs=1e-6)


def test_models_that_are_too_large_end_training(code: Any, domain: Domain) -> None:
    config = {**domain.config("Book1", "tiny"), "WINDOWS": 20, "TRAIN_SESSIONS": 1}
    data = BrainSpeechDetectionExaminer("Book1", "tiny", config).training_data(0)
    for key, message in (("MAX_PARAMETERS", "MAX_PARAMETERS allows 10"), ("MAX_FITTED", "MAX_FITTED allows 10")):
        with pytest.raises(ValueError, match=message):
            code.main.train({**config, key: 10}, data, torch.device("cpu"), 0)


@pytest.mark.parametrize("method", METHODS)
def test_known_methods_run_and_answer_for_each_window_alone(method: str, domain: Domain, tmp_path: Path) -> None:
    module, _, name = method.partition("/")
    (tmp_path / f"{module}.py").write_text((LADDER / method).read_text(encoding="utf-8"), encoding="utf-8")
    config = {**domain.config("Book5", "small"), "WINDOWS": 60, "TRAIN_SESSIONS": 2, "EXAM_SESSIONS": 2, "EPOCHS": 1}
    exam_ = BrainSpeechDetectionExaminer("Book5", "small", config)
    with import_learner(domain, modules=tmp_path) as code, contextlib.redirect_stdout(io.StringIO()):
        torch.set_num_threads(1)
        state = code.main.train(config, exam_.training_data(0), torch.device("cpu"), 1)
        assert 0.0 < examined(exam_, code.answer, state, 0)["macro_f1"] < 1.0, name
        windows = exam_.windows(0, "test")[0][:40].astype(np.float32)
        model = code.answer.make(config, state)
        np.testing.assert_allclose(model.probabilities(windows[7:9]), model.probabilities(windows)[7:9], atol=1e-5)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_known_methods_learn(method: str, domain: Domain, tmp_path: Path) -> None:
    module, _, name = method.partition("/")
    (tmp_path / f"{module}.py").write_text((LADDER / method).read_text(encoding="utf-8"), encoding="utf-8")
    config = domain.config("Book1", "tiny")
    exam_ = BrainSpeechDetectionExaminer("Book1", "tiny", config)
    with import_learner(domain, modules=tmp_path) as code, contextlib.redirect_stdout(io.StringIO()):
        torch.set_num_threads(1)
        state = code.main.train(dict(config), exam_.training_data(0), torch.device("cpu"), 1)
        assert examined(exam_, code.answer, state, 0)["auroc"] > 0.52, name
