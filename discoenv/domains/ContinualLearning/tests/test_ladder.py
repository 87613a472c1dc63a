"""The known methods of ContinualLearning: each learns a tiny stream, and formulas against plain NumPy."""

from __future__ import annotations

import functools
import importlib.util
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ContinualLearning.studies.comparison import examined
from discoenv.domains.ContinualLearning.tests.conftest import DOMAIN, config_of, examiner, short
from discoenv.tasks.ladder import method_text, methods_of
from discoenv.testing import import_learner

torch = pytest.importorskip("torch")

METHODS = list(methods_of(DOMAIN, "default"))
CONFIG = config_of("PermutedDigits")


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
    return examiner("PermutedDigits")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), METHODS)
def test_each_method_learns_a_tiny_stream(module: str, name: str) -> None:
    with import_learner(DOMAIN, dataset="PermutedDigits", modules={module: method_text(DOMAIN, module, name)}) as code:
        found = examined(code, tiny(), 0)
    assert all(math.isfinite(value) for value in found.values())
    assert found["average_accuracy"] > 0.2  # the floor is 0.1


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["transformer", "parameter_isolation"])
def test_methods_follow_the_interface_of_other_backends(backend: str) -> None:
    exam_ = short("SplitGlyphs", CLASSES=30)
    for module, name in methods_of(DOMAIN, backend):
        with import_learner(DOMAIN, backend=backend, modules={module: method_text(DOMAIN, module, name)}) as code:
            found = examined(code, exam_, 0)
        assert all(math.isfinite(value) for value in found.values()), (module, name)


# --- penalties --------------------------------------------------------------------------------------------------------


def step_of(logits: Any, labels: Any, replayed: Any, before: Any = None, **changes: Any) -> SimpleNamespace:
    """A step of which penalties see logits, labels and what the previous network answered."""
    tensor = torch.tensor(logits, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(tensor, torch.tensor(labels), reduction="none")
    return SimpleNamespace(
        logits=tensor,
        losses=losses,
        labels=torch.tensor(labels),
        replayed=torch.tensor(replayed),
        previous=lambda: None if before is None else (torch.tensor(before), None),
        **changes,
    )


def softmax(logits: Any) -> Any:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def penalty_of(name: str, step: Any) -> Any:
    return method("regularizer", name).Regularizer(CONFIG, 0).penalty(step)


def test_distillation_is_its_formula_over_the_classes_that_were_known() -> None:
    rng = np.random.default_rng(0)
    logits, before = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    before[:, 3:] = -1e4
    replayed = np.array([False] * 4 + [True] * 2)
    step = step_of(logits, [3, 4, 3, 4, 0, 1], replayed, before)
    wanted, found = softmax(before[:4, :3] / 2), softmax(logits[:4, :3] / 2)
    divergence = (wanted * np.log(wanted / found)).sum(1)
    assert float(penalty_of("learning_without_forgetting", step)) == pytest.approx(4 * divergence.sum() / 6)
    error = (logits[4:, :3] - before[4:, :3]) ** 2
    assert float(penalty_of("dark_replay", step)) == pytest.approx(0.5 * error.mean())
    for name in ("learning_without_forgetting", "dark_replay", "none"):
        assert penalty_of(name, step_of(logits, [0] * 6, replayed)) == 0.0


def test_asymmetric_cross_entropy_leaves_old_classes_out_for_new_images() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 5)), np.array([3, 4, 3, 4, 0, 1])
    step = step_of(logits, labels, [False] * 4 + [True] * 2)
    total = float((step.losses.mean() + penalty_of("asymmetric_cross_entropy", step)).detach())
    new, old = softmax(logits[:4, 3:]), softmax(logits[4:])
    expected = [*-np.log(new[range(4), labels[:4] - 3]), *-np.log(old[range(2), labels[4:]])]
    assert total == pytest.approx(np.mean(expected))


def test_synaptic_intelligence_is_a_path_integral_of_the_loss_without_the_penalty() -> None:
    module = method("regularizer", "synaptic_intelligence")
    regularizer = module.Regularizer(CONFIG, 0)
    curvature = np.array([4.0, 1.0, 0.0])
    importance = np.zeros(3)
    x = np.array([1.0, -2.0, 0.5])
    for task, optimum in enumerate((np.zeros(3), np.array([1.0, 1.0, 1.0]))):
        anchor = x.copy()
        regularizer.begin_experience(task, {"x": torch.tensor(x)})
        for number in range(2000):
            value = torch.tensor(x, requires_grad=True)
            penalty = regularizer.penalty(SimpleNamespace(params={"x": value}))
            loss = (torch.tensor(curvature) / 2 * (value - torch.tensor(optimum)) ** 2).sum() + penalty
            loss.backward()
            assert value.grad is not None
            x = x - 1e-3 * value.grad.numpy()
            regularizer.after_step(number, {"x": value.grad}, {"x": torch.tensor(x)})
        # The integral of the gradient is the fall of the loss, for each parameter since they do not interact.
        fall = curvature / 2 * ((anchor - optimum) ** 2 - (x - optimum) ** 2)
        importance += fall.clip(0) / ((x - anchor) ** 2 + module.DAMPING)
        regularizer.end_experience(task, {"x": torch.tensor(x)}, None)
        np.testing.assert_allclose(regularizer.state_dict()["importance"]["x"], importance, rtol=0.02)


def test_memory_aware_synapses_average_absolute_gradients() -> None:
    module = method("regularizer", "memory_aware_synapses")
    regularizer = module.Regularizer({"FISHER_SAMPLES": 4}, 0)
    gradients = np.random.default_rng(0).normal(size=(4, 3))

    def found(count: int, of: str) -> Any:
        assert (count, of) == (4, "norm")
        return ({"x": torch.tensor(row)} for row in gradients)

    for task in range(2):
        regularizer.begin_experience(task, {"x": torch.zeros(3)})
        regularizer.end_experience(task, {}, SimpleNamespace(gradients=found))
    expected = 2 * np.abs(gradients).mean(0)
    np.testing.assert_allclose(regularizer.state_dict()["importance"]["x"], expected)
    penalty = regularizer.penalty(SimpleNamespace(params={"x": torch.tensor([1.0, 2.0, 3.0])}))
    assert float(penalty) == pytest.approx((expected * [1, 4, 9]).sum())


# --- memory and batches -----------------------------------------------------------------------------------------------


class Things:
    """Items with labels, experiences, features and logits that are given."""

    def __init__(self, labels: Any, tasks: Any, features: Any = None) -> None:
        self.labels, self.tasks = torch.tensor(labels, dtype=torch.int64), torch.tensor(tasks, dtype=torch.int64)
        self._features = torch.zeros(len(self.labels), 3) if features is None else torch.tensor(features).float()

    def __len__(self) -> int:
        return len(self.labels)

    def features(self) -> Any:
        return self._features

    logits = features

    def losses(self) -> Any:
        return self._features[:, 0]


def test_every_memory_is_filled_and_equal_shares_are_equal() -> None:
    rng = np.random.default_rng(0)
    for name in [name for module, name in METHODS if module == "replay"]:
        labels, tasks = np.zeros(0, int), np.zeros(0, int)
        features = np.zeros((0, 3))
        state: dict[str, Any] = {}
        for task in range(4):
            incoming = rng.permutation(np.repeat(np.arange(3), 20)), np.full(60, task), rng.normal(size=(60, 3))
            replay = method("replay", name).Replay(CONFIG, task)
            if state:
                replay.load_state_dict(state)
            rows = np.asarray(replay.select(Things(labels, tasks, features), Things(*incoming), 36))
            assert len(rows) == 36 == len(set(rows.tolist())) and rows.min() >= 0
            state = replay.state_dict() if hasattr(replay, "state_dict") else {}
            labels, tasks, features = (
                np.concatenate([old, new])[rows] for old, new in zip((labels, tasks, features), incoming, strict=True)
            )
            drawn = replay.draw(Things(labels, tasks, np.abs(features)), 7)
            assert drawn.shape == (7,) and 0 <= int(drawn.min()) <= int(drawn.max()) < 36
        counts = np.bincount(tasks, minlength=4)
        if name == "recent":
            assert counts.tolist() == [0, 0, 0, 36]
        elif name in ("ring", "herding", "rainbow"):
            assert np.bincount(3 * tasks + labels).tolist() == [3] * 12
        else:
            assert counts.min() > 0


def test_herding_brings_the_mean_of_each_share_closest_to_that_of_all() -> None:
    features = np.random.default_rng(0).normal(size=(30, 4)) + 1
    chosen = method("replay", "herding").herded(torch.tensor(features).float(), 5)
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    taken: list[int] = []
    for _ in range(5):
        left = [row for row in range(30) if row not in taken]
        taken.append(min(left, key=lambda row: np.linalg.norm(units.mean(0) - units[[*taken, row]].mean(0))))
    assert chosen == taken
    replay = method("replay", "herding").Replay(CONFIG, 0)
    kept = replay.select(Things([], [], np.zeros((0, 4))), Things([0] * 30, [0] * 30, features), 5)
    assert kept.tolist() == taken
    again = replay.select(Things([0] * 5, [0] * 5, features[taken]), Things([1] * 30, [1] * 30, features), 6)
    assert sorted(again.tolist())[:3] == [0, 1, 2]  # the first of those that were stored


def test_rainbow_spreads_over_certainty() -> None:
    logits = np.stack([np.arange(9), np.zeros(9), np.zeros(9)], axis=1)
    found = method("replay", "rainbow").Replay(CONFIG, 0).select(Things([], []), Things([0] * 9, [0] * 9, logits), 3)
    assert found.tolist() == [0, 4, 8]


def test_items_with_a_high_loss_are_drawn_more_often() -> None:
    losses = np.array([0.1, 1.0, 4.0])
    stored = Things([0] * 3, [0] * 3, losses[:, None])
    found = method("replay", "prioritised").Replay(CONFIG, 0).draw(stored, 20000)
    expected = (losses + 1e-3) ** 0.6
    np.testing.assert_allclose(np.bincount(found) / 20000, expected / expected.sum(), atol=0.015)


def test_batches_have_the_weights_and_the_items_that_they_should() -> None:
    current = Things([7] * 20 + [8] * 12, [2] * 32)
    stored = Things([0, 1, 2, 3] * 10, [0, 0, 1, 1] * 10, np.arange(40)[:, None])

    def draw(count: int) -> Any:
        return torch.arange(count) % 40

    found = {
        name: method("sampler", name).Sampler(CONFIG, 0).compose(current, stored, draw)
        for module, name in METHODS
        if module == "sampler"
    }
    assert len(found["current_only"][1]) == 0
    for name in ("task_weights", "class_weights"):
        rows, replayed, weights = found[name]
        assert (len(rows), len(replayed)) == (32, 32)
        assert float(weights.mean()) == pytest.approx(1.0)
        labels = torch.cat([current.labels, stored.labels[replayed]])
        if name == "class_weights":
            sums = torch.bincount(labels, weights=weights)[[0, 1, 2, 3, 7, 8]]
            np.testing.assert_allclose(sums, 64 / 6, rtol=1e-5)
        else:
            assert float(weights[:32].sum()) == pytest.approx(64 / 3)
    assert sorted(found["hard_replay"][1].tolist()) == sorted([*range(24, 40), *range(16, 24), *range(16, 24)])
    assert len(found["balanced_tail"][0]) == 32
    sampler = method("sampler", "balanced_tail").Sampler(CONFIG, 0)
    sizes = [len(sampler.compose(current, stored, draw)[0]) for _ in range(13)]  # steps of a tiny experience
    assert sizes == [32] * 7 + [21] * 6


# --- optimisers and schedules -----------------------------------------------------------------------------------------


def test_the_trunk_is_slower_from_the_second_experience_on() -> None:
    module = method("optim", "slow_trunk")
    for experiences, slower in ((0, 1.0), (1, 0.1)):
        named = [("trunk.a", torch.nn.Parameter(torch.ones(2))), ("heads.0.b", torch.nn.Parameter(torch.ones(2)))]
        optimizer = module.create_optimizer(named, CONFIG | {"WEIGHT_DECAY": 0.0})
        if experiences:
            module.load_state_dict(optimizer, {"experiences": experiences})
        for _, parameter in named:
            parameter.grad = torch.ones(2)
        optimizer.step()
        moved = [1 - float(parameter[0]) for _, parameter in named]
        assert moved[1] == pytest.approx(CONFIG["LR"], rel=1e-3)
        assert moved[0] == pytest.approx(slower * CONFIG["LR"], rel=1e-3)
        assert [group["lr"] for group in optimizer.param_groups] == [CONFIG["LR"]] * 2
        assert module.state_dict(optimizer) == {"experiences": experiences + 1}


def test_schedules_are_what_they_are_called() -> None:
    found = {}
    for name in [name for module, name in METHODS if module == "scheduler"]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
        scheduler = method("scheduler", name).create_scheduler(optimizer, 200, 50, CONFIG)
        rates = []
        for step in range(200):
            scheduler.step(step, step // 50)
            rates.append(optimizer.param_groups[0]["lr"] / 2)
        found[name] = np.array(rates)
    assert (found["constant"] == 1).all()
    np.testing.assert_allclose(found["task_decay"], np.repeat(0.8 ** np.arange(4), 50))
    for name in ("restarts", "rewarming"):
        experiences = found[name].reshape(4, 50)
        np.testing.assert_allclose(experiences, np.tile(experiences[0], (4, 1)))
        assert experiences[0].max() == 1 and 0.1 <= experiences[0, -1] < 0.11
        assert int(experiences[0].argmax()) == {"restarts": 0, "rewarming": 4}[name]
    stable = found["warmup_stable_decay"]
    np.testing.assert_allclose(stable[:4], [0.25, 0.5, 0.75, 1.0])
    assert (stable[4:180] == 1).all() and stable[199] == pytest.approx(0.1 + 0.9 / 20)
