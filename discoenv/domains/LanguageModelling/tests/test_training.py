"""LanguageModelling: templates against plain formulas, training, candidates and the ladder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml

from discoenv.domains.LanguageModelling.tests.learners import DOMAIN, OFFLINE, config_of, examiner, state_of
from discoenv.exams.examiner import ProtocolError
from discoenv.exams.examiner_process import load_domain_file
from discoenv.exams.host import Host
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.task import Setting
from discoenv.testing import examined, import_learner

torch = pytest.importorskip("torch")

LADDER = DOMAIN.directory / "ladder"
CANDIDATES = DOMAIN.directory / "candidates"
#: Less than a second of training.
SHORT: Mapping[str, Any] = MappingProxyType(
    {"STEPS": 12, "TRAIN_TOKENS": 20_000, "EXAM_ROWS": 16, "VALIDATION_TOKENS": 650}
)


@contextlib.contextmanager
def on_one_thread(**settings: Any) -> Iterator[Any]:
    """The learner's code; torch computes on one thread."""
    with import_learner(DOMAIN, **settings) as modules:
        torch.set_num_threads(1)
        yield modules


@pytest.fixture(scope="module", params=["default", "ssm"])
def code(request: pytest.FixtureRequest) -> Iterator[Any]:
    with on_one_thread(backend=request.param) as modules:
        yield modules


def trained(code: Any, exam_: Any, seed: int = 5) -> Any:
    return code.main.train(dict(exam_.config), exam_.training_data(0), torch.device("cpu"), seed)


def model_of(code: Any, **changes: Any) -> Any:
    """A network whose parameters are all at random, so that no part of it is zero."""
    torch.manual_seed(0)
    model = code.networks.Model(config_of(**changes)).eval()
    with torch.no_grad():
        for each in model.parameters():
            each.add_(0.3 * torch.randn_like(each))
    return model


# --- networks ---------------------------------------------------------------------------------------------------------


def test_the_network_is_causal_and_treats_rows_alone(code: Any) -> None:
    model = model_of(code)
    tokens = torch.randint(256, (4, 64))
    other = tokens.clone()
    other[:, 40:] = torch.randint(256, (4, 24))
    with torch.no_grad():
        found, changed = model(tokens), model(other)
        torch.testing.assert_close(found[:, :40], changed[:, :40], rtol=0, atol=0)
        assert not torch.allclose(found[:, 40:], changed[:, 40:])
        torch.testing.assert_close(model(tokens[1:2]), found[1:2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model(tokens[:, :30]), found[:, :30], rtol=1e-4, atol=1e-4)


def test_nothing_but_parameters_is_handed_over(code: Any) -> None:
    model = model_of(code)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
    assert not list(model.buffers())


def normed(x: Any) -> Any:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + np.finfo(np.float32).eps)


def softmax(x: Any) -> Any:
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def test_the_decoder_is_its_formulas() -> None:
    with on_one_thread() as code:
        model = model_of(code, WIDTH=8, LAYERS=1, HEADS=2)
        tokens = torch.randint(256, (1, 6))
        with torch.no_grad():
            found = model(tokens).numpy()[0]
    weights = {name: values.double().numpy() for name, values in model.state_dict().items()}
    x = normed(weights["embed.weight"][tokens[0].numpy()])
    block = {name.split(".")[2]: values for name, values in weights.items() if name.startswith("blocks.0")}
    inner = normed(x)
    heads = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        query, key, value = (inner @ block[name].T[:, part] for name in ("query", "key", "value"))
        turned = []
        for vectors in (normed(query), normed(key)):
            angles = np.arange(6)[:, None] * 10_000.0 ** (-np.arange(2) / 2)
            pairs = (vectors[:, :2] + 1j * vectors[:, 2:]) * np.exp(1j * angles)
            turned.append(np.concatenate([pairs.real, pairs.imag], axis=1))
        scores = turned[0] @ turned[1].T / np.sqrt(4)
        scores[np.triu_indices(6, 1)] = -np.inf
        heads.append(softmax(scores) @ value)
    x = x + np.concatenate(heads, axis=1) @ block["out"].T
    x = x + np.maximum(normed(x) @ block["up"].T, 0) ** 2 @ block["down"].T
    np.testing.assert_allclose(found, normed(x) @ weights["head.weight"].T, rtol=1e-4, atol=1e-4)


def test_the_parallel_scan_is_the_recurrence() -> None:
    with on_one_thread(backend="ssm") as code:
        log_a, b = -torch.rand(2, 37, 5), torch.randn(2, 37, 5)
        found = code.networks._scan(log_a, b).numpy()
    state, a = np.zeros((2, 5)), log_a.double().exp().numpy()
    for place in range(37):
        state = a[:, place] * state + b[:, place].numpy()
        np.testing.assert_allclose(found[:, place], state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_the_base_model_is_within_the_cap(code: Any, dataset: str, scale: str) -> None:
    config = config_of(dataset, scale)
    with torch.device("meta"):
        count = code.main.count_parameters(code.networks.Model(config))
    assert 0.5 * config["MAX_PARAMETERS"] < count <= config["MAX_PARAMETERS"]


# --- the other modules ------------------------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy(code: Any) -> None:
    logits, targets = torch.randn(3, 4, 7), torch.randint(7, (3, 4))
    chances = softmax(logits.double().numpy())
    expected = -np.log([chances[b, t, targets[b, t]] for b in range(3) for t in range(4)]).mean()
    assert float(code.loss.compute_loss(logits, targets, {})) == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_is_a_trapezoid(code: Any) -> None:
    config = {"STEPS": 200, "WARM_UP": 0.1, "COOL_DOWN": 0.5}
    rates = np.array([code.schedule.learning_rate(step, config) for step in range(200)])
    np.testing.assert_allclose(rates[:20], (np.arange(20) + 0.5) / 20)
    np.testing.assert_allclose(rates[20:100], 1.0)
    np.testing.assert_allclose(rates[100:], 1 - (np.arange(100) + 0.5) / 100)


def test_windows_do_not_overlap_within_a_round(code: Any) -> None:
    config = {"STEPS": 5, "BATCH": 4, "CONTEXT": 10}
    tokens = np.zeros(151, np.uint8)
    starts = code.data_order.choose_windows(tokens, config, np.random.default_rng(0))
    assert starts.shape == (5, 4)
    assert starts.min() >= 0
    assert starts.max() <= 140
    first = np.sort(starts.ravel()[:14])
    assert (np.diff(first) == 10).all()
    again = code.data_order.choose_windows(tokens, config, np.random.default_rng(0))
    np.testing.assert_array_equal(starts, again)


def test_muon_takes_the_matrices_and_adam_the_rest(code: Any) -> None:
    model = model_of(code)
    adam, muon = code.optim.create_optimizers(model, config_of())
    held = [id(each) for optimizer in (adam, muon) for group in optimizer.param_groups for each in group["params"]]
    assert sorted(held) == sorted(id(each) for each in model.parameters())
    matrices = [each for group in muon.param_groups for each in group["params"]]
    assert {each.ndim for each in matrices} == {2}
    assert not any(256 in each.shape for each in matrices)
    assert id(model.embed.weight) not in {id(each) for each in matrices}


def test_muon_follows_the_orthogonal_factor_of_its_momentum(code: Any) -> None:
    matrix = torch.nn.Parameter(torch.randn(12, 5))
    model = torch.nn.Module()
    model.matrix = matrix
    model.other = torch.nn.Parameter(torch.randn(256, 5))
    _, muon = code.optim.create_optimizers(model, {**config_of(), "MATRIX_LR": 0.5, "WEIGHT_DECAY": 0.2})
    before, gradient = matrix.detach().clone().double().numpy(), torch.randn(12, 5)
    matrix.grad = gradient
    muon.step()
    u, _, v = np.linalg.svd(gradient.double().numpy(), full_matrices=False)
    moved = (before * (1 - 0.5 * 0.2) - matrix.detach().double().numpy()) / (0.5 * np.sqrt(12 / 5))
    values = np.linalg.svd(u.T @ moved @ v.T)[1]
    assert 0.6 < values.min() <= values.max() < 1.3
    np.testing.assert_allclose(np.linalg.svd(moved)[1][:5], np.linalg.svd(u.T @ moved @ v.T)[1], rtol=1e-4)


def test_what_adds_to_the_stream_starts_at_zero(code: Any) -> None:
    model = code.networks.Model(config_of())
    code.init.initialise(model, config_of())
    zero = {name.split(".")[-2] for name, each in model.named_parameters() if not each.abs().any()}
    assert zero == {"out", "down", "head"}
    assert float(model.embed.weight.std()) == pytest.approx(1.0, abs=0.05)


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_trains_the_same_bits(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    exam_ = examiner(**SHORT)
    one, same, other = (trained(code, exam_, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(one["model"][name], same["model"][name]) for name in one["model"])
    assert not all(np.array_equal(one["model"][name], other["model"][name]) for name in one["model"])
    assert int(one["tokens"]) == 12 * 16 * 64
    assert one["curve"].shape == (6, 3)
    assert "validation bits" in capsys.readouterr().out
    found = examined(exam_, code.answer, one, 0)
    assert 0 < found["bits_per_byte"] < exam_.floor(0)["bits_per_byte"] + 1.0
    assert found["training_tokens"] == 12 * 16 * 64


def test_a_model_over_the_cap_ends_training_with_a_reason(code: Any) -> None:
    with pytest.raises(ValueError, match=r"networks\.py: [\d,]+ parameters; MAX_PARAMETERS allows 100"):
        trained(code, examiner(**SHORT, MAX_PARAMETERS=100))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *given: np.zeros((3, 3), np.int64), r"choose_windows returned int64\(3, 3\), not integers \(12, 16\)"),
        (lambda *given: np.zeros((12, 16)), "choose_windows returned float64"),
        (lambda *given: np.full((12, 16), 19_936), "windows begin at 19936 to 19936; expected 0 to 19935"),
    ],
)
def test_windows_outside_of_the_text_end_training(
    code: Any, monkeypatch: pytest.MonkeyPatch, answer: Any, message: str
) -> None:
    monkeypatch.setattr(code.main, "choose_windows", answer)
    with pytest.raises(ValueError, match=message):
        trained(code, examiner(**SHORT))


def test_the_state_of_another_network_is_refused_where_ours_is_applied(code: Any) -> None:
    exam_ = examiner(**SHORT)
    with pytest.raises(ProtocolError, match="the state cannot be used"):
        examined(exam_, code.answer, state_of(), 0)


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    with (
        on_one_thread(stubs=[module]) as modules,
        pytest.raises(NotImplementedError, match=rf"{module}\.py: [\w.]+ is not implemented"),
    ):
        trained(modules, examiner(**SHORT))


def test_pictures_show_curves_text_and_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from discoenv.examiners.plotting import ExamArtifacts

    exam_ = examiner(**SHORT)
    with on_one_thread() as modules:
        examined(exam_, modules.answer, trained(modules, exam_), 0)
    path = tmp_path / "exam.npz"
    np.savez(path, **exam_.artifacts)  # type: ignore[arg-type]
    exams = [ExamArtifacts(step=1, side="meta_train", dataset="LogLines", number=0, path=path)]
    paths = load_domain_file(DOMAIN.directory, "pictures").plot(exams, tmp_path)
    assert [path.name for path in paths] == ["curves.png", "text_LogLines.png"]
    assert all(path.stat().st_size > 5000 for path in paths)


# --- the ladder and candidates ----------------------------------------------------------------------------------------


def methods() -> list[tuple[str, str]]:
    listed = yaml.safe_load((LADDER / "ladder.yaml").read_text(encoding="utf-8"))
    return [(module, method) for module, entry in listed.items() for method in entry["methods"]]


def test_the_ladder_lists_its_files_and_cites_papers() -> None:
    listed = yaml.safe_load((LADDER / "ladder.yaml").read_text(encoding="utf-8"))
    assert set(listed) == set(DOMAIN.modules)
    for module, entry in listed.items():
        assert sorted(path.stem for path in (LADDER / module).glob("*.py")) == sorted(entry["methods"])
        assert sorted(entry["order"]) == sorted([*entry["methods"], "base"])
        assert 3 <= len(entry["methods"]) <= 6
        assert all(method["title"] and method["paper"] for method in entry["methods"].values())


@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
def test_candidates_train(candidate: str) -> None:
    exam_ = examiner("PackageCode", **SHORT)
    with on_one_thread(modules=CANDIDATES / candidate) as modules:
        found = examined(exam_, modules.answer, trained(modules, exam_), 0)
    assert np.isfinite(list(found.values())).all()


SEEDS = (0, 1, 2)


def bits(modules: Path | None) -> Any:
    """Bits per byte after a tiny training, float64[SEEDS]; texts and seeds are the same whatever the modules are."""
    exam_, found = examiner("StoryGrammar", EXAM_ROWS=1024), []
    with on_one_thread(modules=modules) as code:
        for seed in SEEDS:
            state = code.main.train(dict(exam_.config), exam_.training_data(seed), torch.device("cpu"), seed)
            found.append(examined(exam_, code.answer, state, seed)["bits_per_byte"])
    return np.array(found)


@pytest.fixture(scope="module")
def base_bits() -> Any:
    return bits(None)


@pytest.mark.slow
@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
def test_of_each_module_a_known_help_helps_and_a_known_harm_harms(candidate: str, base_bits: Any) -> None:
    gained = base_bits - bits(CANDIDATES / candidate)
    better = int(candidate[:2]) % 2 == 0
    error = gained.std(ddof=1) / np.sqrt(len(SEEDS))
    assert (gained.mean() if better else -gained.mean()) > 2 * error


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("module", "method"), methods())
def test_each_method_of_the_ladder_trains(module: str, method: str) -> None:
    exam_ = examiner("StoryGrammar", **SHORT)
    text = (LADDER / module / f"{method}.py").read_text(encoding="utf-8")
    with on_one_thread(modules={module: text}) as modules:
        found = examined(exam_, modules.answer, trained(modules, exam_), 0)
    assert found["bits_per_byte"] < 8.5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["default", "ssm"])
def test_a_tiny_exam_in_the_sandbox_is_better_than_the_floor(backend: str) -> None:
    entry = calibrate(Host(), Setting(DOMAIN, backend, "LogLines", "tiny"), seeds=[11])
    assert entry.baseline.mean < entry.floor.mean - 2.0
