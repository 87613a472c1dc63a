"""ContinualLearning's fixed files keep their word to the modules, and the modules follow their formulas."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ContinualLearning.studies.comparison import FINE_TUNING, learner
from discoenv.domains.ContinualLearning.tests.conftest import DOMAIN, SHORT, config_of, handed_over, learned, short
from discoenv.testing import import_learner

torch = pytest.importorskip("torch")

CANDIDATES = FINE_TUNING.parent


# --- the fixed files --------------------------------------------------------------------------------------------------


def test_all_of_the_head_is_the_optimisers_from_the_start_and_learns(code: Any) -> None:
    model = learner(code, short().config, 0)
    held = {id(p) for group in model.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.network.parameters()}
    before = model.parameters()
    first = short().experiences(0)[0]
    model.learn(first.train.x, first.train.y, first.validation.x, first.validation.y)
    after = model.parameters()
    assert all((before[name] != after[name]).any() for name in before)


def test_each_experience_prints_how_its_training_goes(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = learned(code, short(EPOCHS=4, TRAIN_SAMPLES=70, BATCH=32))
    head, *lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert head == ["experience", "epoch", "training", "loss", "validation", "accuracy", "on", "memory"]
    rows = [line for line in lines if line != head]
    assert [row[:2] for row in rows] == [[str(t), str(e)] for t in range(1, model.task + 2) for e in (2, 4)]
    assert [row[4] == "–" for row in rows] == [row[0] == "1" for row in rows]
    assert all(np.isfinite(float(row[2])) and 0 <= float(row[3]) <= 1 for row in rows)


def test_the_scheduler_is_told_the_number_of_steps_that_are_taken(code: Any) -> None:
    exam_ = short(EPOCHS=2, TRAIN_SAMPLES=70, BATCH=32)
    model = learned(code, exam_)
    assert model.step == model.total_steps == 3 * model.steps_per_experience == 3 * 2 * 3


def test_the_learning_rate_warms_up_from_the_first_step_and_ends_low(code: Any) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    scheduler = code.scheduler.create_scheduler(optimizer, 100, 10, {"WARM_UP": 0.1, "LR_DECAY": 0.1})
    rates = []
    for step in range(100):
        scheduler.step(step, step // 10)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.2)
    assert 1.9 < max(rates) <= 2.0
    assert rates[-1] == pytest.approx(0.2, rel=0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_memory_never_holds_more_than_its_bytes(code: Any) -> None:
    exam_ = short(MEMORY_BYTES=1000)  # 14 items of 64 + 4 bytes
    assert learned(code, exam_).memory.capacity == 14
    state = handed_over(code, exam_)[-1][1]
    memory = exam_.carried_state(state, 0, 2)["memory"]
    assert len(memory["labels"]) == 14
    assert set(memory["tasks"].tolist()) == {0, 1, 2}
    assert memory["images"].nbytes + 4 * len(memory["labels"]) <= 1000
    for image, label, task in zip(*memory.values(), strict=True):
        train = exam_.experiences(0)[int(task)].train
        rows = (train.x == image).all(axis=(1, 2, 3))
        assert int(label) in train.y[rows]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (range(15), "chose 15 items; 14 fit"),
        ([3, 3], "more than once"),
        ([64], "of 64 items"),
        ([0.5], "must be integers"),
    ],
)
def test_a_replay_module_that_wants_more_is_refused(code: Any, rows: Any, message: str) -> None:
    exam_ = short(MEMORY_BYTES=1000)
    model = learner(code, exam_.config, 0)
    model.replay.select = lambda stored, incoming, capacity: torch.tensor(list(rows))
    first = exam_.experiences(0)[0]
    with pytest.raises(ValueError, match=message):
        model.learn(first.train.x, first.train.y, first.validation.x, first.validation.y)


@pytest.mark.parametrize("count", [0, 65])
def test_a_sampler_that_composes_no_batch_or_too_large_a_one_is_refused(code: Any, count: int) -> None:
    exam_ = short()
    model = learner(code, exam_.config, 0)
    model.sampler.compose = lambda current, stored, draw: (torch.zeros(count, dtype=torch.int64), [], None)
    first = exam_.experiences(0)[0]
    with pytest.raises(ValueError, match="1 to 64 are allowed"):
        model.learn(first.train.x, first.train.y, first.validation.x, first.validation.y)


def test_the_memory_is_a_uniform_sample_of_what_was_seen(code: Any) -> None:
    replay = code.replay.Replay({}, 0)
    stored = torch.zeros(0, dtype=torch.int64)
    for task in range(8):
        tasks = torch.cat([stored, torch.full((100,), task)])
        items = [code.views.Items(part, part, None) for part in (stored, tasks[len(stored) :])]
        rows = replay.select(*items, 80)
        assert len(rows.unique()) == len(rows) == 80
        stored = tasks[rows]
        if task:
            counts = torch.bincount(stored, minlength=task + 1)
            assert counts.min() > 0.1 * 80 / (task + 1)
    assert counts.float().mean() == 10


def test_modules_get_copies_of_parameters(code: Any) -> None:
    """A penalty that overwrites all that it is given changes nothing but what it returns."""
    exam_ = short()

    def parameters(vandal: bool) -> Any:
        class Vandal:
            def begin_experience(self, task: int, params: Any) -> None:
                self.wreck(params)

            def penalty(self, step: Any) -> Any:
                with torch.no_grad():
                    self.wreck(step.params)
                    step.labels.zero_()
                return 0.0

            def after_step(self, step: int, gradients: Any, params: Any) -> None:
                self.wreck(gradients)
                self.wreck(params)

            def end_experience(self, task: int, params: Any, finished: Any) -> None:
                self.wreck(params)

            def wreck(self, tensors: Any) -> None:
                for tensor in tensors.values():
                    tensor.data.fill_(9.0)

        class Idle(Vandal):
            def penalty(self, step: Any) -> Any:
                return 0.0

            def wreck(self, tensors: Any) -> None:
                pass

        def prepare(model: Any) -> None:
            assert model.regularizer is not None
            model.regularizer = Vandal() if vandal else Idle()
            model.modules["regularizer"] = code.carrying.Module.of("regularizer.py", model.regularizer)

        return handed_over(code, exam_, 2, prepare)[-1][0].parameters()

    wrecked, idle = parameters(True), parameters(False)
    assert all(torch.equal(wrecked[name], idle[name]) for name in idle)


def test_a_penalty_acts_on_the_network(code: Any) -> None:
    exam_ = short()

    def length(strength: float) -> float:
        model = learner(code, exam_.config, 0)
        model.regularizer.penalty = lambda step: strength * sum((p**2).sum() for p in step.params.values())
        first = exam_.experiences(0)[0]
        model.learn(first.train.x, first.train.y, first.validation.x, first.validation.y)
        return float(sum((p**2).sum() for p in model.parameters().values()))

    assert length(100.0) < length(0.0)


def test_the_importance_is_the_mean_square_of_gradients_and_does_not_shrink(code: Any) -> None:
    config = MappingProxyType({"FISHER_SAMPLES": 4, "EWC_DECAY": 1.0, "EWC_STRENGTH": 3.0})
    regularizer = code.regularizer.Regularizer(config, 0)
    params = {"w": torch.tensor([1.0, -1.0])}
    gradients = [torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.0])]

    class Finished:
        def gradients(self, count: int, of: str) -> Any:
            return ({"w": gradients[number % 2]} for number in range(count))

    once = np.mean([g.numpy() ** 2 for g in gradients], axis=0)
    for task in range(3):
        kept, regularizer = regularizer.state_dict(), code.regularizer.Regularizer(config, task)
        regularizer.load_state_dict(kept)
        regularizer.begin_experience(task, params)
        regularizer.end_experience(task, params, Finished())
        np.testing.assert_allclose(regularizer.importance["w"].numpy(), (task + 1) * once)
    step = type("Step", (), {"params": {"w": torch.tensor([2.0, -1.5])}})
    assert float(regularizer.penalty(step)) == pytest.approx(0.5 * 3.0 * (3 * once * [1.0, 0.25]).sum())


@pytest.mark.parametrize("of", ["label", "sampled", "norm"])
def test_gradients_at_validation_images_are_right(code: Any, of: str) -> None:
    exam_ = short()
    model = learned(code, exam_, 1)
    network, validation = model.network, exam_.experiences(0)[0].validation
    finished = code.views.Finished(
        network, 0, torch.from_numpy(validation.x.copy()), torch.from_numpy(validation.y.copy()), model.generator
    )
    inputs = code.views.as_input(torch.from_numpy(validation.x.copy()), model.device)
    tasks = torch.zeros(len(inputs), dtype=torch.int64)
    candidates = []
    for row in range(len(inputs)):
        logits = network(inputs[row : row + 1], tasks[:1])[0][0]
        values = {
            "label": [logits.log_softmax(0)[int(validation.y[row])]],
            "norm": [(logits[network.seen] ** 2).sum()],
            "sampled": list(logits.log_softmax(0)),
        }[of]
        candidates += [torch.autograd.grad(value, network.head.bias, retain_graph=True)[0].numpy() for value in values]
    for found in finished.gradients(4, of):
        assert set(found) == set(model.parameters())
        assert min(np.abs(found["head.bias"].numpy() - each).max() for each in candidates) < 1e-5
    with pytest.raises(ValueError, match="one of 'label'"):
        next(finished.gradients(1, "loss"))


def test_the_previous_network_is_the_one_at_the_end_of_the_last_experience(code: Any) -> None:
    exam_ = short()
    seen: list[Any] = []

    def penalty(step: Any) -> float:
        seen.append((step.task, step.previous(), step.logits.detach()))
        return 0.0

    handed_over(code, exam_, 2, lambda model: setattr(model.regularizer, "penalty", penalty))
    assert all(previous is None for task, previous, _ in seen if task == 0)
    second = [(previous, logits) for task, previous, logits in seen if task == 1]
    assert torch.equal(second[0][0][0], second[0][1])  # nothing has changed yet
    assert not torch.equal(second[-1][0][0], second[-1][1])
    assert not second[-1][0][0].requires_grad


def test_classes_to_come_are_not_predicted(code: Any) -> None:
    exam_ = short("SplitGlyphs", TASKS=4)
    [(_, state)] = handed_over(code, exam_, 1)
    known = set(exam_.experiences(0)[0].train.y.tolist())
    answers = code.answer.make(exam_.config, state.tree)
    assert set(answers.predict(exam_.experiences(0)[3].test.x).tolist()) <= known


@pytest.mark.parametrize("dataset", ["PermutedDigits", "SplitGlyphs"])
def test_a_head_learns_only_from_items_of_its_own_experience(dataset: str) -> None:
    with import_learner(DOMAIN, backend="parameter_isolation", modules=FINE_TUNING) as code:
        changes: dict[str, Any] = {"TASKS": 4} if dataset == "SplitGlyphs" else {}
        exam_ = short(dataset, **changes)
        history: list[Any] = []

        def prepare(model: Any) -> None:
            history.append(model.parameters())
            # Momentum, weight decay and a penalty on all parameters would move a head that had a gradient, be it zero.
            model.regularizer.penalty = lambda step: sum((p**2).sum() for p in step.params.values())

        models = [model for model, _ in handed_over(code, exam_, 3, prepare)]
    assert len(models[0].network.heads) == exam_.config["TASKS"]
    for task, (before, model) in enumerate(zip(history, models, strict=True)):
        after = model.parameters()
        for name in before:
            changed = not torch.equal(before[name], after[name])
            assert changed == (name.startswith(f"heads.{task}.") or name.startswith("trunk.")), (task, name)


def test_the_surest_head_answers_and_the_experience_is_not_told() -> None:
    with import_learner(DOMAIN, backend="parameter_isolation") as code:
        config = config_of("SplitGlyphs", **SHORT) | {"TASKS": 2, "CLASSES_PER_TASK": 2, "CLASSES": 4}
        network = code.network.Network(config)
        network.begin_experience(0, torch.tensor([1, 3]))
        network.begin_experience(1, torch.tensor([0, 2]))
        features = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-1.0, 4.0]])
        network.trunk = torch.nn.Identity()
        for head, weight in zip(
            network.heads.values(), ([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]), strict=True
        ):
            head.weight = torch.nn.Parameter(torch.tensor(weight))
            head.bias = torch.nn.Parameter(torch.zeros(2))
        assert network.predict(features).tolist() == [1, 2, 2]
        logits, _ = network(features, torch.tensor([0, 1, 0]))
        assert (logits > network.UNKNOWN).tolist() == [[False, True] * 2, [True, False] * 2, [False, True] * 2]
        assert logits[1, 2] == 1.0


# --- stubs and candidates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    with (
        import_learner(DOMAIN, stubs=[module]) as code,
        pytest.raises(NotImplementedError, match=rf"{module}\.py: .* is not"),
    ):
        learned(code, short(), 1)


@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
@pytest.mark.parametrize("backend", DOMAIN.backends)
def test_candidates_train(candidate: str, backend: str) -> None:
    with import_learner(DOMAIN, backend=backend, modules=CANDIDATES / candidate) as code:
        model = learned(code, short())
    assert all(torch.isfinite(value).all() for value in model.parameters().values())
