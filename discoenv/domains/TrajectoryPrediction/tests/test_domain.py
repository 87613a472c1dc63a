"""TrajectoryPrediction: formulas against plain NumPy, the examiner's rules, training, and tiny exams."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from discoenv.exams.examiner import OwnCode, ProtocolError, RuleBroken
from discoenv.exams.examiner_process import load_domain_file
from discoenv.exams.host import Host
from discoenv.exams.state import checked
from discoenv.scoring import baselines
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner, import_learner

torch = pytest.importorskip("torch")

from discoenv.domains.TrajectoryPrediction import references  # noqa: E402
from discoenv.domains.TrajectoryPrediction.examiner import (  # noqa: E402
    LEAST_QUESTION,
    MOST_QUESTION,
    TrajectoryPredictionExaminer,
    metrics,
)

DOMAIN = Domain(BUILTIN / "TrajectoryPrediction")
CANDIDATES = Path(__file__).parents[1] / "candidates"
LADDER = Path(__file__).parents[1] / "ladder"
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]
METHODS = [
    (module, method)
    for module, entry in yaml.safe_load((LADDER / "ladder.yaml").read_text(encoding="utf-8")).items()
    for method in entry["methods"]
]


def config_of(dataset: str = "Roundabouts", scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "Roundabouts", scale: str = "tiny", **changes: Any) -> TrajectoryPredictionExaminer:
    return TrajectoryPredictionExaminer(dataset, scale, config_of(dataset, scale, **changes))


@functools.cache
def small(dataset: str = "Roundabouts") -> TrajectoryPredictionExaminer:
    """One with few scenes, which are drawn once."""
    return examiner(dataset, TRAIN_SCENES=48, VALIDATION_SCENES=16, EXAM_SCENES=60, EPOCHS=1)


@contextlib.contextmanager
def on_one_thread(**settings: Any) -> Iterator[Any]:
    """The learner's code; torch has its own number of threads again afterwards."""
    with import_learner(DOMAIN, **settings) as modules:
        torch.set_num_threads(1)
        yield modules


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with on_one_thread() as modules:
        yield modules


def trained(code: Any, exam_: TrajectoryPredictionExaminer, seed: int = 5, **changes: Any) -> Any:
    return code.main.train({**exam_.config, **changes}, exam_.training_data(0), torch.device("cpu"), seed)


STATE = {"model": {"weight": np.zeros(10, np.float32)}, "modes": {"anchors": np.zeros((6, 30, 2), np.float32)}}


class Predictor:
    """Answers ``predict`` by a function of the scenes' histories, and keeps what it was asked."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def predict(self, agents: Any, agents_mask: Any, lanes: Any, lanes_mask: Any) -> Any:
        self.asked.append(agents)
        return self.answer(agents)


def straight(agents: Any, shift: float = 0.0) -> Any:
    step = agents[:, 0, -1].astype(float) - agents[:, 0, -2]
    ahead = (step[:, None] * np.arange(1, 31)[:, None])[:, None]
    modes = np.concatenate([ahead * (0.7 + 0.1 * k) for k in range(6)], axis=1) + shift
    return modes, np.tile(np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.1]), (len(agents), 1))


def predicting(answer: Callable[[Any], Any] = straight) -> InProcessLearner:
    return InProcessLearner(Predictor(answer), state=STATE)


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_metrics_are_their_formulas() -> None:
    draw = np.random.default_rng(0)
    modes, chances = draw.normal(size=(40, 6, 9, 2)) * 3, draw.dirichlet(np.ones(6), size=40)
    future, known = draw.normal(size=(40, 9, 2)), draw.random((40, 9)) < 0.7
    known[:, 4] = True
    found = metrics(modes, chances, future, known)
    ade, fde, miss, brier = [], [], [], []
    for b in range(40):
        times = [t for t in range(9) if known[b, t]]
        far = [[float(np.hypot(*(modes[b, k, t] - future[b, t]))) for t in times] for k in range(6)]
        ade.append(min(np.mean(each) for each in far))
        best = min(range(6), key=lambda k: far[k][-1])
        fde.append(far[best][-1])
        miss.append(far[best][-1] > 2.0)
        brier.append(far[best][-1] + (1 - chances[b, best]) ** 2)
    values = [float(np.mean(each)) for each in (ade, fde, miss, brier)]
    assert found == pytest.approx(dict(zip(("minADE", "minFDE", "miss_rate", "brier_minFDE"), values, strict=True)))


def test_the_loss_is_the_laplace_likelihood_of_the_winner_and_a_cross_entropy(code: Any) -> None:
    draw = np.random.default_rng(1)
    modes, scales = draw.normal(size=(5, 4, 7, 2)), draw.uniform(0.3, 2.0, (5, 4, 7, 2))
    logits, future, known = draw.normal(size=(5, 4)), draw.normal(size=(5, 7, 2)), draw.random((5, 7)) < 0.6
    known[:, 0] = True
    total = 0.0
    for b in range(5):
        error = [
            np.mean([np.hypot(*(modes[b, k, t] - future[b, t])) for t in range(7) if known[b, t]]) for k in range(4)
        ]
        k = int(np.argmin(error))
        apart = np.abs(modes[b, k] - future[b])
        density = -np.log(2 * scales[b, k]) - apart / scales[b, k]
        total += -density.sum(axis=-1)[known[b]].mean() - logits[b, k] + np.log(np.exp(logits[b]).sum())
    arrays = {"trajectories": modes, "scales": scales, "logits": logits}
    outputs = {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}
    loss = code.loss.compute_loss(outputs, torch.tensor(future, dtype=torch.float32), torch.tensor(known), {})
    assert float(loss) == pytest.approx(total / 5, rel=1e-5)


def test_the_most_probable_trajectories_are_chosen(code: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    outputs = {
        "trajectories": torch.randn(3, 9, 30, 2, generator=draw),
        "logits": torch.randn(3, 9, generator=draw),
    }
    modes, chances = code.modes.choose(outputs, {"MODES": 6})
    for b in range(3):
        order = np.argsort(-outputs["logits"][b].numpy())[:6]
        np.testing.assert_array_equal(modes[b], outputs["trajectories"][b, order.tolist()])
        weight = np.exp(outputs["logits"][b].numpy()[order])
        np.testing.assert_allclose(chances[b], weight / weight.sum(), rtol=1e-5)
    few = {name: values[:, :2] for name, values in outputs.items()}
    modes, chances = code.modes.choose(few, {"MODES": 6})
    assert modes.shape == (3, 6, 30, 2)
    assert not chances[:, 2:].any()
    assert not code.modes.make_anchors({"future": torch.ones(5, 30, 2)}, {"MODES": 6, "FUTURE": 30}, draw).any()


def test_weights_decay_and_biases_do_not_and_the_rate_is_a_cosine(code: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    config = {"LR": 0.3, "WEIGHT_DECAY": 0.02, "TOTAL_STEPS": 50, "WARMUP": 0.1}
    optimizer = code.optim.create_optimizer(model, config)
    decays = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert decays[id(model[0].weight)] == 0.02
    assert {decays[id(each)] for each in (model[0].bias, model[1].weight, model[1].bias)} == {0.0}
    scheduler, rates = code.optim.create_scheduler(optimizer, config), []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    expected = [0.3 * (k + 1) / 5 for k in range(5)]
    expected += [0.15 * (1 + np.cos(np.pi * (k - 5) / 45)) for k in range(5, 50)]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def scene_of(exam_: TrajectoryPredictionExaminer, rows: Any = slice(None)) -> dict[str, Any]:
    return {name: torch.tensor(values) for name, values in exam_.part(0, "test").take(rows).shown.items()}


@pytest.mark.parametrize("dataset", ["Roundabouts", "MixedShortHistory", "PedestrianPlaza"])
def test_the_network_says_of_a_scene_what_it_says_of_it_alone(code: Any, dataset: str) -> None:
    exam_ = small(dataset)
    torch.manual_seed(0)
    model = code.networks.Model(exam_.config, torch.zeros(6, 30, 2)).eval()
    with torch.no_grad():
        whole = model(scene_of(exam_))
        alone = model(scene_of(exam_, slice(7, 9)))
    assert whole["trajectories"].shape == (60, 6, 30, 2)
    assert (whole["scales"] > 0).all()
    for name in ("trajectories", "scales", "logits"):
        torch.testing.assert_close(whole[name][7:9], alone[name], rtol=1e-4, atol=1e-4)
    assert sum(each.numel() for each in model.parameters()) <= exam_.config["MAX_PARAMETERS"]


def test_the_network_does_not_read_what_was_not_seen(code: Any) -> None:
    exam_ = small("MixedShortHistory")
    torch.manual_seed(0)
    model = code.networks.Model(exam_.config, torch.zeros(6, 30, 2)).eval()
    scene = scene_of(exam_)
    moved = dict(scene)
    for name in ("agents", "lanes"):
        moved[name] = torch.where(scene[f"{name}_mask"][..., None], scene[name], torch.randn_like(scene[name]))
    with torch.no_grad():
        one = model(scene)["trajectories"]
        # Positions that were not seen reach the tokens of their times alone, which attention leaves out.
        two = model(moved)["trajectories"]
        other = dict(scene) | {"agents": scene["agents"] * 1.1}
        assert not torch.allclose(one, model(other)["trajectories"], atol=1e-3)
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_the_network_starts_from_constant_velocity_and_the_anchors(code: Any) -> None:
    exam_ = small()
    anchors = torch.cumsum(torch.randn(4, 30, 2), dim=1)
    model = code.networks.Model(exam_.config, anchors).eval()
    torch.nn.init.zeros_(model.head[-1].weight)
    torch.nn.init.zeros_(model.head[-1].bias)
    part = exam_.part(0, "test").take(slice(5))
    straight_ = references.constant_velocity(part.agents, part.agents_mask, 30)
    with torch.no_grad():
        found = model(scene_of(exam_, slice(5)))["trajectories"]
    np.testing.assert_allclose(found, straight_[:, None] + anchors.numpy(), rtol=1e-3, atol=1e-3)


# --- references -------------------------------------------------------------------------------------------------------


def test_references_are_exact_on_motion_of_their_kind() -> None:
    t = np.arange(-10, 31) * 0.2
    line = np.stack([5.0 * t, 0.0 * t], axis=-1)
    radius = 20.0
    circle = np.stack([radius * np.sin(5.0 * t / radius), radius * (1 - np.cos(5.0 * t / radius))], axis=-1)
    agents = np.stack([line[:11], circle[:11]])[:, None]
    mask = np.ones((2, 1, 11), bool)
    straight_ = references.constant_velocity(agents, mask, 30)
    np.testing.assert_allclose(straight_[0], line[11:], atol=1e-9)
    turning = references.constant_turn_rate(agents, mask, 30)
    np.testing.assert_allclose(turning[0], line[11:], atol=1e-9)
    assert np.linalg.norm(turning[1] - circle[11:], axis=-1).max() < 0.5
    assert np.linalg.norm(straight_[1] - circle[11:], axis=-1).max() > 10.0
    one, share = references.k_means(np.repeat(circle[None, 11:], 9, axis=0), 2, np.random.default_rng(0))
    np.testing.assert_allclose(one[0], circle[11:])
    assert share.sum() == 1.0


@pytest.mark.parametrize("dataset", ["Roundabouts", "ArterialTurns"])
def test_who_follows_lanes_is_nearer_than_who_goes_straight_on(dataset: str) -> None:
    exam_ = small(dataset)
    test = exam_.part(0, "test")
    rows = references.rows(exam_.part(0, "train"), test, 6, np.random.default_rng(0))
    assert list(rows) == ["constant velocity", "constant turn rate", "lane following", "K-means anchors"]
    found = {name: metrics(*row, test.future, test.future_mask)["minADE"] for name, row in rows.items()}
    assert found["lane following"] < 0.85 * found["constant velocity"]
    assert exam_.floor(0)["minADE"] == pytest.approx(found["constant velocity"])


# --- the examiner -----------------------------------------------------------------------------------------------------


def test_the_learner_gets_scenes_to_train_on_and_none_that_are_held_out() -> None:
    exam_ = small()
    data = exam_.training_data(0)
    names = ["agents", "agents_mask", "lanes", "lanes_mask", "future", "future_mask"]
    assert list(data) == [f"{part}_{name}" for part in ("train", "validation") for name in names]
    held_out = exam_.part(0, "test")
    given = {x.tobytes() for part in ("train", "validation") for x in data[f"{part}_lanes"]}
    assert not given & {x.tobytes() for x in held_out.lanes}  # not even the roads are the same
    assert not {x.tobytes() for x in data["train_future"]} & {x.tobytes() for x in held_out.future}


def test_questions_are_small_in_random_order_and_never_hold_the_future() -> None:
    exam_ = small()
    learner = Predictor(straight)
    exam_.examine(InProcessLearner(learner, state=STATE), 0)
    sizes = [len(agents) for agents in learner.asked]
    assert max(sizes) <= MOST_QUESTION
    assert min(sizes[:-1]) >= LEAST_QUESTION
    shown = [agents.round(1).tobytes() for each in learner.asked for agents in each]
    exact = [agents.tobytes() for each in learner.asked for agents in each]
    assert len(exact) > 66
    assert len(set(exact)) < len(exact)
    test = exam_.part(0, "test")
    assert set(map(np.ndarray.tobytes, test.agents)) <= set(exact)
    first = [shown.index(each.round(1).tobytes()) for each in test.agents]
    assert first != sorted(first)
    assert list(test.shown) == ["agents", "agents_mask", "lanes", "lanes_mask"]


def test_a_seed_fixes_what_is_drawn_and_another_seed_draws_others() -> None:
    one, same, other = (examiner(EXAM_SCENES=20).part(seed, "test") for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.future, same.future)
    assert not {x.tobytes() for x in one.lanes} & {x.tobytes() for x in other.lanes}


def test_who_knows_the_future_is_scored_by_it() -> None:
    exam_ = small()
    test = exam_.part(0, "test")
    known = {agents[0].round(0).tobytes(): future for agents, future in zip(test.agents, test.future, strict=True)}

    def nearest(agents: Any) -> Any:
        far = np.abs(agents[:, None] - test.agents[None]).max(axis=(2, 3, 4))
        modes = np.repeat(test.future[far.argmin(axis=1)][:, None], 6, axis=1)
        return modes, np.eye(6)[np.zeros(len(agents), int)]

    assert known
    found = exam_.examine(predicting(nearest), 0)
    assert found["minADE"] == pytest.approx(0.0, abs=1e-6)
    assert found["miss_rate"] == 0.0
    assert found["parameter_count"] == 10
    floor = exam_.floor(0)
    assert floor["minADE"] > 1.0
    assert floor["brier_minFDE"] == floor["minFDE"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a: (np.zeros((len(a), 7, 30, 2)), np.full((len(a), 7), 1 / 7)), "of shape"),
        (lambda a: (np.zeros((len(a), 5, 30, 2)), np.full((len(a), 5), 1 / 5)), "of shape"),
        (lambda a: (np.zeros((len(a), 6, 29, 2)), np.full((len(a), 6), 1 / 6)), "of shape"),
        (lambda a: (np.full((len(a), 6, 30, 2), np.nan), np.full((len(a), 6), 1 / 6)), "NaN"),
        (lambda a: (np.zeros((len(a), 6, 30, 2)), np.full((len(a), 6), np.nan)), "NaN"),
        (lambda a: (np.full((len(a), 6, 30, 2), 1e9), np.full((len(a), 6), 1 / 6)), "expected -10000"),
        (lambda a: (np.zeros((len(a), 6, 30, 2)), np.ones((len(a), 6))), "have the sum 6; it must be 1"),
        (lambda a: (np.zeros((len(a), 6, 30, 2)), np.zeros((len(a), 6))), "have the sum 0; it must be 1"),
        (lambda a: (np.zeros((len(a), 6, 30, 2)), np.tile([2.0, -1.0, 0, 0, 0, 0], (len(a), 1))), "expected 0"),
        (lambda a: np.zeros((len(a), 6, 30, 2)), "must answer 2 values"),
    ],
)
def test_other_answers_than_six_trajectories_with_probabilities_end_the_exam(answer: Any, message: str) -> None:
    with pytest.raises((ProtocolError, RuleBroken), match=message):
        small().examine(predicting(answer), 0)


def test_who_remembers_or_looks_at_other_scenes_breaks_a_rule() -> None:
    count = [0]

    def drifting(agents: Any) -> Any:
        count[0] += 1
        return straight(agents, 0.2 * count[0])

    def company(agents: Any) -> Any:
        modes, chances = straight(agents)
        return modes + 0.1 * modes.mean(axis=0), chances

    def order(agents: Any) -> Any:
        modes, chances = straight(agents)
        return modes + np.arange(len(agents))[:, None, None, None], chances

    for answer in (drifting, company, order):
        with pytest.raises(RuleBroken, match="they must depend on that scene alone"):
            small().examine(predicting(answer), 0)


def test_who_recognises_exact_scenes_and_adapts_is_found_where_positions_were_moved() -> None:
    said: dict[bytes, Any] = {}

    def adapting(agents: Any) -> Any:
        modes, chances = straight(agents)
        for row, each in enumerate(agents):
            modes[row] = said.setdefault(each.tobytes(), modes[row] + 0.2 * len(said))
        return modes, chances

    with pytest.raises(RuleBroken, match="positions moved by up to 2 mm"):
        small().examine(predicting(adapting), 0)


def test_a_witness_finds_who_recognises_similar_scenes() -> None:
    def learner(offset: float) -> InProcessLearner:
        found = predicting(lambda agents: straight(agents, offset))
        return found

    one = learner(0.0)
    one.witness = learner(0.0)
    assert small().examine(one, 0)["minADE"] > 0
    one.witness = learner(3.0)
    with pytest.raises(RuleBroken, match="a learner that was shown other scenes says something else"):
        small().examine(one, 0)


def test_states_that_are_not_allowed_are_refused() -> None:
    exam_ = examiner(MAX_PARAMETERS=1000)
    anchors = {"anchors": np.zeros((64, 30, 2), np.float32)}
    exam_.check_state(checked({"model": {"w": np.zeros(1000)}, "modes": anchors}))
    many = {"anchors": np.zeros((65, 30, 2), np.float32)}
    for state, message in (
        (
            {"model": {"w": np.zeros(1001)}, "modes": anchors},
            "1,001 parameters and buffers; the configuration allows 1,000",
        ),
        ({"model": {"w": np.zeros(9)}, "modes": many}, "3,900 numbers in anchors; the configuration allows 3,840"),
        ({"model": {"w": np.zeros(9)}, "modes": {"anchors": np.zeros((6, 30, 2))}}, "'modes/anchors' is float64"),
        ({"model": {"w": np.zeros(9)}, "modes": anchors | {"x": np.zeros(1)}}, "'modes/"),
        ({"model": {"w": np.zeros(9)}}, "lacks 'modes'"),
        ({"model": np.zeros(9), "modes": anchors}, "expected a dict of arrays"),
    ):
        with pytest.raises((ProtocolError, RuleBroken), match=message):
            exam_.check_state(checked(state))


def test_our_own_code_says_what_a_learner_says(code: Any) -> None:
    exam_ = small()
    state = trained(code, exam_)
    own = exam_.examine(OwnCode(code.answer, exam_.config, checked(state)), 0)
    asked = exam_.examine(InProcessLearner(code.answer.make(dict(exam_.config), state), state=state), 0)
    assert asked == pytest.approx(own, rel=1e-4)


def test_pictures_show_the_worst_scenes(tmp_path: Path) -> None:
    from discoenv.examiners.plotting import ExamArtifacts

    exam_ = small()
    exam_.examine(predicting(), 0)
    assert exam_.artifacts["agents"].shape[0] == 12
    path = tmp_path / "exam.npz"
    np.savez(path, **exam_.artifacts)  # type: ignore[arg-type]
    assert path.stat().st_size < 400_000
    saved = ExamArtifacts(step=0, side="meta_train", dataset="Roundabouts", number=0, path=path)
    paths = load_domain_file(DOMAIN.directory, "pictures").plot([saved], tmp_path)
    assert sorted(each.name for each in paths) == ["errors_Roundabouts.png", "scenes_Roundabouts.png"]
    assert all(each.stat().st_size > 5000 for each in paths)


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_trains_the_same_bits(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    one, same, other = (trained(code, small(), seed)["model"] for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)
    assert "validation minADE" in capsys.readouterr().out


def test_the_best_epoch_is_kept(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    errors, seen = iter([3.0, 2.0, 2.5]), []

    def validation_error(model: Any, *_: Any) -> float:
        seen.append(model.head[-1].bias.detach().clone().numpy())
        return next(errors)

    monkeypatch.setattr(code.train, "validation_error", validation_error)
    state = trained(code, small(), EPOCHS=3)["model"]
    np.testing.assert_array_equal(state["head.2.bias"], seen[1])
    assert not np.array_equal(seen[1], seen[2])


def test_more_parameters_or_anchors_than_allowed_end_training_with_a_reason(
    code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"networks\.py: [\d,]+ parameters; MAX_PARAMETERS allows 100"):
        trained(code, small(), MAX_PARAMETERS=100)
    for shape in ((65, 30, 2), (0, 30, 2), (6, 29, 2)):
        monkeypatch.setattr(code.main, "make_anchors", lambda *_, shape=shape: torch.zeros(shape))
        with pytest.raises(ValueError, match=r"modes\.py: anchors of shape"):
            trained(code, small())


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    with (
        on_one_thread(stubs=[module]) as modules,
        pytest.raises(NotImplementedError, match=rf"{module}\.py: [\w.]+ is not implemented"),
    ):
        trained(modules, small())


@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
def test_candidates_train(candidate: str) -> None:
    with on_one_thread(modules=CANDIDATES / candidate) as modules:
        state = trained(modules, small())
        small().check_state(checked(state))
        found = small().examine(InProcessLearner(modules.answer.make(dict(small().config), state), state=state), 0)
    assert np.isfinite(list(found.values())).all()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("module", "method"), METHODS)
def test_methods_of_the_ladder_train(module: str, method: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text((LADDER / module / f"{method}.py").read_text(encoding="utf-8"))
    exam_ = examiner("PedestrianPlaza", TRAIN_SCENES=96, VALIDATION_SCENES=32, EXAM_SCENES=60, EPOCHS=2)
    with on_one_thread(modules=tmp_path) as modules:
        state = trained(modules, exam_)
        exam_.check_state(checked(state))
        found = exam_.examine(InProcessLearner(modules.answer.make(dict(exam_.config), state), state=state), 0)
    assert found["minADE"] < 5.0


def test_the_ladder_names_its_files() -> None:
    ladder = yaml.safe_load((LADDER / "ladder.yaml").read_text(encoding="utf-8"))
    assert list(ladder) == DOMAIN.modules
    for module, entry in ladder.items():
        assert sorted(entry["order"]) == sorted(["base", *entry["methods"]])
        assert {path.stem for path in (LADDER / module).glob("*.py")} == set(entry["methods"])


# --- exams in the sandbox ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["Roundabouts"])
def test_a_tiny_exam_in_the_sandbox_is_better_than_the_floor(dataset: str) -> None:
    entry = calibrate(Host(), Setting(DOMAIN, "default", dataset, "tiny"), seeds=[11])
    assert entry.baseline.mean < 0.7 * entry.floor.mean


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_the_baseline_is_far_better_than_constant_velocity(dataset: str, scale: Scale) -> None:
    entry = baselines.entry(Setting(DOMAIN, "default", dataset, scale))
    assert entry.baseline.mean < 0.75 * entry.floor.mean
