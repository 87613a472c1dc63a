"""ComputerVisionClassification: formulas against plain NumPy, the examiner's rules, training, and tiny exams."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.data import generated
from discoenv.data.altered import altered
from discoenv.data.images import Split
from discoenv.exams.examiner import OwnCode, ProtocolError, RuleBroken
from discoenv.exams.examiner_process import load_domain_file
from discoenv.exams.host import Host
from discoenv.exams.state import checked
from discoenv.scoring import baselines
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner, import_learner

torch = pytest.importorskip("torch")

from discoenv.domains.ComputerVisionClassification.examiner import (  # noqa: E402
    LEAST_QUESTION,
    MOST_QUESTION,
    ComputerVisionClassificationExaminer,
    metrics,
)

DOMAIN = Domain(BUILTIN / "ComputerVisionClassification")
CANDIDATES = Path(__file__).parents[1] / "candidates"
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]


def config_of(dataset: str = "Digits", scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "Digits", scale: str = "tiny", **changes: Any) -> ComputerVisionClassificationExaminer:
    return ComputerVisionClassificationExaminer(dataset, scale, config_of(dataset, scale, **changes))


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


def trained(code: Any, exam_: ComputerVisionClassificationExaminer, seed: int = 5) -> Any:
    return code.main.train(dict(exam_.config), exam_.training_data(0), torch.device("cpu"), seed)


class Classifier:
    """Answers ``logits(images)`` by a function, and keeps what it was asked."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def logits(self, images: Any) -> Any:
        assert images.dtype == np.uint8
        self.asked.append(images)
        return self.answer(images)


def state_of(exam_: ComputerVisionClassificationExaminer, parameters: int = 10) -> dict[str, Any]:
    """A state with so many parameters."""
    channels, classes = exam_.config["NUM_CHANNELS"], exam_.config["NUM_CLASSES"]
    statistics = {"MEAN": np.zeros(channels), "STD": np.ones(channels), "CLASS_COUNTS": np.ones(classes, np.int64)}
    return {"model": {"weight": np.zeros(parameters, np.float32)}, "statistics": statistics}


def classifying(exam_: ComputerVisionClassificationExaminer, answer: Callable[[Any], Any]) -> InProcessLearner:
    return InProcessLearner(Classifier(answer), state=state_of(exam_))


def trained_learner(code: Any, exam_: ComputerVisionClassificationExaminer) -> InProcessLearner:
    """What answer.py makes of a trained state."""
    state = trained(code, exam_)
    return InProcessLearner(code.answer.make(dict(exam_.config), state), state=state)


def knowing(exam_: ComputerVisionClassificationExaminer, seed: int = 0, right: float = 1.0) -> Callable[[Any], Any]:
    """Says the true class of the first ``right`` of the held-out images, and another one of the others.

    It knows an image by all but the lowest bits of its pixels.
    """
    test = exam_.images(seed).test
    labels = {
        (x >> 1).tobytes(): y if row < right * len(test) else (y + 1) % 10
        for row, (x, y) in enumerate(zip(test.x, test.y, strict=True))
    }
    return lambda images: np.eye(exam_.config["NUM_CLASSES"])[[labels[(x >> 1).tobytes()] for x in images]]


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_metrics_are_their_formulas() -> None:
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(50, 9)) * 3, generator.integers(9, size=50)
    found = metrics(logits, labels)
    ranks = [sorted(range(9), key=lambda c: -row[c]).index(y) for row, y in zip(logits, labels, strict=True)]
    losses = [-np.log(np.exp(row[y]) / np.exp(row).sum()) for row, y in zip(logits, labels, strict=True)]
    assert found["accuracy"] == np.mean(np.array(ranks) == 0)
    assert found["top5_accuracy"] == np.mean(np.array(ranks) < 5)
    assert found["log_loss"] == pytest.approx(np.mean(losses))


def test_of_equal_logits_the_first_counts_and_huge_ones_stay_finite() -> None:
    assert metrics(np.zeros((10, 10)), np.arange(10)) == pytest.approx(
        {"accuracy": 0.1, "top5_accuracy": 0.5, "log_loss": np.log(10)}
    )
    found = metrics(np.array([[1e9, -1e9], [1e9, -1e9]]), np.array([0, 1]))
    assert found == pytest.approx({"accuracy": 0.5, "top5_accuracy": 1.0, "log_loss": 1e4})


def test_the_loss_is_the_cross_entropy(code: Any) -> None:
    logits, labels = torch.randn(7, 4, dtype=torch.float32), torch.tensor([0, 1, 2, 3, 3, 2, 1])
    expected = metrics(logits.double().numpy(), labels.numpy())["log_loss"]
    assert float(code.loss.compute_loss(logits, labels, {})) == pytest.approx(expected, rel=1e-5)


def test_the_network_has_the_published_size_and_answers_for_each_image_alone(code: Any) -> None:
    config = {**config_of("ProcFlowers", "full"), "NUM_CLASSES": 10}
    model = code.networks.Model(config)
    assert sum(each.numel() for each in model.parameters()) == 2_741_002
    small = code.networks.Model(config_of("ProcFlowers")).eval()
    images = torch.randn(6, 3, 32, 32)
    with torch.no_grad():
        assert small(images).shape == (6, 60)
        torch.testing.assert_close(small(images[2:4]), small(images)[2:4])


def test_without_residuals_a_block_is_its_convolutions(code: Any) -> None:
    torch.manual_seed(0)
    block = code.networks._Block(2, 3, False).eval()
    x = torch.randn(1, 2, 5, 5)
    kernel = block.first.weight.detach().double().numpy()
    padded = np.pad(x[0].double().numpy(), ((0, 0), (1, 1), (1, 1)))
    first = np.zeros((3, 5, 5))
    for row in range(5):
        for column in range(5):
            first[:, row, column] = (kernel * padded[None, :, row : row + 3, column : column + 3]).sum(axis=(1, 2, 3))
    found = block.first_norm(block.first(x)).detach().numpy()[0]
    np.testing.assert_allclose(found, first / np.sqrt(1 + 1e-5), rtol=1e-4, atol=1e-5)
    same = code.networks._Block(3, 3, True)
    assert isinstance(same.around, torch.nn.Identity)


def test_weights_decay_and_biases_do_not(code: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = code.optim.create_optimizer(model, {"LR": 0.1, "WEIGHT_DECAY": 0.02, "TOTAL_STEPS": 10})
    decays = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert decays[id(model[0].weight)] == 0.02
    assert {decays[id(each)] for each in (model[0].bias, model[1].weight, model[1].bias)} == {0.0}


def test_the_learning_rate_rises_and_falls_along_a_cosine(code: Any) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    config = {"LR": 0.3, "WEIGHT_DECAY": 0.0, "TOTAL_STEPS": 50, "WARMUP": 0.1}
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


def test_images_are_normalised_moved_and_flipped(code: Any) -> None:
    config = {"MEAN": [0.2, 0.4], "STD": [0.5, 0.1], "CROP": 2, "FLIP": 0.5}
    train, evaluate = code.preprocess.build_transforms(config)
    images = torch.randint(0, 256, (40, 6, 7, 2), dtype=torch.uint8)
    plain = evaluate(images)
    expected = (images.numpy().transpose(0, 3, 1, 2) / 255.0 - np.reshape([0.2, 0.4], (2, 1, 1))) / np.reshape(
        [0.5, 0.1], (2, 1, 1)
    )
    np.testing.assert_allclose(plain, expected, rtol=1e-4, atol=1e-5)
    augmented = train(images, torch.Generator().manual_seed(0)).numpy()
    seen = set()
    for before, after in zip(plain.numpy(), augmented, strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)), mode="edge")
        ways = {
            (down, right, flip): padded[:, down : down + 6, right : right + 7][..., :: -1 if flip else 1]
            for down in range(5) for right in range(5) for flip in (False, True)
        }  # fmt: skip
        (way,) = [way for way, picture in ways.items() if np.array_equal(picture, after)]
        seen.add(way)
    assert len(seen) > 15
    again = train(images, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_array_equal(again, augmented)


# --- the examiner -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["Digits", "DigitsLT", "DigitsC", "Glyphs100"])
def test_the_learner_gets_images_to_train_on_and_none_that_are_held_out(dataset: str) -> None:
    exam_ = examiner(dataset)
    data = exam_.training_data(3)
    assert list(data) == ["train_images", "train_labels", "validation_images", "validation_labels"]
    assert data["train_images"].shape[1:] == exam_.images(3).shape
    assert len(data["train_labels"]) <= (exam_.config["TRAIN_SAMPLES"] or 10**6)
    given = {x.tobytes() for name in ("train_images", "validation_images") for x in data[name]}
    blind = Classifier(lambda images: np.zeros((len(images), exam_.config["NUM_CLASSES"])))
    exam_.examine(InProcessLearner(blind, state=state_of(exam_)), 3)
    shown = [x.tobytes() for images in blind.asked for x in images]
    assert not given & set(shown)
    assert len(set(shown)) > 0.98 * exam_.config["EXAM_SAMPLES"]  # a corruption can make two images the same
    assert {x.tobytes() for x in exam_.images(3).test.x} <= set(shown)


def test_a_learner_is_asked_about_few_images_at_a_time_and_about_some_again() -> None:
    exam_ = examiner()
    blind = Classifier(lambda images: np.zeros((len(images), 10)))
    exam_.examine(InProcessLearner(blind, state=state_of(exam_)), 3)
    sizes = [len(images) for images in blind.asked]
    assert max(sizes) <= MOST_QUESTION
    assert min(sizes[:-1]) >= LEAST_QUESTION
    assert len(set(sizes)) > 5
    shown = [(x >> 1).tobytes() for images in blind.asked for x in images]
    assert len(shown) > 1.15 * len(set(shown))
    exact = [x.tobytes() for images in blind.asked for x in images]
    assert len(set(shown)) < len(set(exact)) < len(exact)


def test_a_seed_fixes_what_is_drawn() -> None:
    one, same, other = (examiner().training_data(seed)["train_images"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("dataset", OFFLINE)
def test_no_exam_shows_images_of_another_or_of_the_set_that_is_known(dataset: str) -> None:
    exam_, known = examiner(dataset), generated.load(examiner(dataset).config["IMAGES"])
    one, other = ({x.tobytes() for x in exam_.images(seed).test.x} for seed in (1, 2))
    published = {x.tobytes() for split in (known.train, known.validation, known.test) for x in split.x}
    assert not one & other
    assert not one & published


def nearest(known: Split, asked: Split) -> float:
    """Accuracy of the class of the nearest known image."""
    flat = [split.x.reshape(len(split), -1).astype(np.float32) for split in (known, asked)]
    known_x, asked_x = ((x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1.0) for x in flat)
    return float((known.y[(asked_x @ known_x.T).argmax(axis=1)] == asked.y).mean())


@pytest.mark.parametrize("dataset", ["Glyphs100", "ProcFlowers", "Textures200", "Shapes10"])
def test_the_classes_of_invented_sets_are_those_of_the_exams_training_data_alone(dataset: str) -> None:
    exam_, known = examiner(dataset), generated.load(examiner(dataset).config["IMAGES"])
    images = exam_.images(1)
    test, chance = images.test.take(slice(300)), 1 / images.classes
    guessed = nearest(known.train, test)
    assert guessed < chance + 0.06
    if dataset != "Shapes10":  # its pixels say nothing without the shape
        assert nearest(images.train, test) > max(2 * guessed, chance + 0.04)


def test_what_is_published_is_changed_so_little_that_it_is_still_recognised() -> None:
    images, known = examiner(scale="small").images(1), generated.load("digits")
    assert len(images.test) == 500
    assert nearest(images.train, images.test) > 0.95
    whole = Split(
        np.concatenate([known.train.x, known.validation.x, known.test.x]),
        np.concatenate([known.train.y, known.validation.y, known.test.y]),
    )
    assert nearest(whole, images.test) > 0.98
    dark, bright = (Split(np.full((9, 6, 7, 3), level, np.uint8), np.arange(9)) for level in (0, 255))
    for split, low, high in ((dark, 0, 40), (bright, 185, 255)):
        x = altered(split, np.random.default_rng(0)).x
        assert low <= x.min() <= x.max() <= high
    edge = np.zeros((1, 8, 8, 1), np.uint8)
    edge[:, :, 4:] = 200
    spread = altered(Split(np.repeat(edge, 200, axis=0), np.zeros(200, np.int64)), np.random.default_rng(0)).x
    assert spread[:, :, 4].std() > 20
    assert spread[:, :, 6].std() < spread[:, :, 4].std()


@pytest.mark.parametrize(("right", "low", "high"), [(1.0, 1.0, 1.0), (0.5, 0.35, 0.65), (0.0, 0.0, 0.0)])
def test_who_knows_is_scored_by_what_it_knows(right: float, low: float, high: float) -> None:
    exam_ = examiner()
    found = exam_.examine(classifying(exam_, knowing(exam_, right=right)), 0)
    assert low <= found["accuracy"] <= high
    assert found["parameter_count"] == 10


def test_the_floor_knows_the_frequencies_alone() -> None:
    floor = examiner("DigitsLT", EXAM_SAMPLES=None).floor(0)
    assert floor["accuracy"] == pytest.approx(0.1)
    assert floor["top5_accuracy"] == pytest.approx(0.5)
    assert floor["log_loss"] > np.log(10)


def test_a_model_that_is_too_large_is_refused() -> None:
    exam_ = examiner(MAX_PARAMETERS=1000)
    exam_.check_state(checked(state_of(exam_, 1000)))
    with pytest.raises(RuleBroken, match=r"1,001 parameters and buffers; the configuration allows 1,000"):
        exam_.check_state(checked(state_of(exam_, 1001)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": np.zeros(3)}, "has 'more' too"),
        ({"model": np.zeros(3)}, r"state\['model'\] is an array of float64"),
        ({"statistics": {"MEAN": np.zeros(1)}}, "has no array 'statistics/STD'"),
        (
            {"statistics": state_of(examiner())["statistics"] | {"MEAN": np.zeros(99)}},
            "'statistics/MEAN' is float64.99.",
        ),
    ],
)
def test_a_state_that_holds_anything_else_is_refused(change: dict[str, Any], message: str) -> None:
    exam_ = examiner()
    with pytest.raises(ProtocolError, match=message):
        exam_.check_state(checked(state_of(exam_) | change))


def test_our_own_code_is_asked_about_many_images_and_says_the_same(code: Any) -> None:
    exam_ = examiner(TRAIN_SAMPLES=64, EPOCHS=1)
    state = trained(code, exam_)
    exam_.check_state(checked(state))
    own = OwnCode(code.answer, exam_.config, checked(state))
    found = exam_.examine(own, 0)
    assert own.questions == 1
    asked = exam_.examine(InProcessLearner(code.answer.make(dict(exam_.config), state), state=state), 0)
    assert found == pytest.approx(asked, rel=1e-4)
    del state["model"][next(iter(state["model"]))]
    with pytest.raises(ProtocolError, match="the state cannot be used: RuntimeError"):
        exam_.examine(OwnCode(code.answer, exam_.config, checked(state)), 0)


BATCHES = {
    "the mean of the batch": lambda images: np.eye(10)[images.sum(axis=(1, 2, 3)) % 10] - images.mean(),
    "chance": lambda images: np.random.default_rng().normal(size=(len(images), 10)),
    "the size of the batch": lambda images: np.full((len(images), 10), 1.0 / len(images)),
    "the place in the batch": lambda images: np.eye(10)[np.arange(len(images)) % 10],
}


@pytest.mark.parametrize("what", BATCHES)
def test_logits_that_depend_on_more_than_the_image_are_refused(what: str) -> None:
    with pytest.raises(RuleBroken, match="must depend on that image alone"):
        examiner().examine(classifying(examiner(), BATCHES[what]), 0)


@pytest.mark.parametrize("remembers", [False, True])
def test_who_adapts_to_the_images_that_are_shown_is_found_out(remembers: bool) -> None:
    exam_ = examiner()
    honest, seen, said = knowing(exam_), [np.zeros((1, 10))], dict[bytes, Any]()

    def answer(images: Any) -> Any:
        found = honest(images)
        seen.append(found)
        adapted = found * (1.0 + 0.1 * len(seen))
        return np.stack([said.setdefault(x.tobytes() if remembers else b"", y) if remembers else y
                         for x, y in zip(images, adapted, strict=True)])  # fmt: skip

    with pytest.raises(RuleBroken, match="with another lowest bit" if remembers else "shown again among other images:"):
        exam_.examine(classifying(exam_, answer), 0)


def test_who_adapts_and_recognises_similar_images_disagrees_with_the_witness() -> None:
    exam_ = examiner()
    honest = knowing(exam_)

    def adapting() -> Callable[[Any], Any]:
        questions, known = [0], list[tuple[Any, Any]]()

        def answer(images: Any) -> Any:
            questions[0] += 1
            found = honest(images) * (1.0 + 0.1 * questions[0])
            for row, image in enumerate(images.astype(int)):
                near = [logits for other, logits in known if np.abs(other - image).max() <= 1]
                found[row] = near[0] if near else found[row]
                known.append((image, found[row]))
            return found

        return answer

    alone = classifying(exam_, adapting())
    assert exam_.examine(alone, 0)["accuracy"] == 1.0
    watched = classifying(exam_, adapting())
    watched.witness = classifying(exam_, adapting())
    with pytest.raises(RuleBroken, match="a learner that was shown other images says something else"):
        exam_.examine(watched, 0)
    watched.witness = watched_by = classifying(exam_, honest)
    watched.model = Classifier(honest)
    assert exam_.examine(watched, 0)["accuracy"] == 1.0
    assert watched_by.questions == 2


def test_who_adapts_beside_a_logit_that_hides_it_is_found_out() -> None:
    exam_ = examiner()
    honest = knowing(exam_)

    def adapting(said: dict[bytes, Any] | None) -> Callable[[Any], Any]:
        questions = [0]

        def answer(images: Any) -> Any:
            questions[0] += 1
            found = 1.5 * honest(images)
            found[:, 0] += questions[0]
            found[:, 9] = -1e6  # beside which all else is small
            known = {} if said is None else said
            return np.stack([known.setdefault(x.tobytes(), y) for x, y in zip(images, found, strict=True)])

        return answer

    with pytest.raises(RuleBroken, match="the class of an image changed when it was shown again among other images"):
        exam_.examine(classifying(exam_, adapting(None)), 0)
    watched = classifying(exam_, adapting({}))
    watched.witness = classifying(exam_, adapting({}))
    with pytest.raises(RuleBroken, match="a learner that was shown other images says another class"):
        exam_.examine(watched, 0)


def test_rounding_is_allowed() -> None:
    exam_ = examiner()
    honest = knowing(exam_)
    noise = np.random.default_rng(0)
    learner = classifying(exam_, lambda images: honest(images) + 1e-4 * noise.normal(size=(len(images), 10)))
    found = exam_.examine(learner, 0)
    assert found["accuracy"] == 1.0


@pytest.mark.parametrize("answer", [(3, 0.0), (None, np.nan), (None, 1e30), "cat"])
def test_answers_that_are_no_logits_end_the_exam(answer: Any) -> None:
    with pytest.raises(ProtocolError, match=r"logits\(\) answered"):
        examiner().examine(
            classifying(
                examiner(),
                lambda images: answer if answer == "cat" else np.full((answer[0] or len(images), 10), answer[1]),
            ),
            0,
        )


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_the_base_model_is_within_the_cap(code: Any, dataset: str, scale: str) -> None:
    config = config_of(dataset, scale)
    count = code.main.count_parameters(code.networks.Model(config))
    assert 0.1 * config["MAX_PARAMETERS"] < count <= config["MAX_PARAMETERS"]


def by_first_pixel(rows: Any, images: Any) -> Any:
    return rows[images[:, 0, 0, 0] // 5 % len(rows)]


def test_pictures_show_what_was_confused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from discoenv.examiners.plotting import ExamArtifacts

    saved = []
    for number, dataset in enumerate(("Digits", "ProcFlowers")):
        exam_ = examiner(dataset)
        rows = np.eye(exam_.config["NUM_CLASSES"])
        exam_.examine(classifying(exam_, functools.partial(by_first_pixel, rows)), 0)
        assert exam_.artifacts["confusion"].sum() == exam_.config["EXAM_SAMPLES"]
        assert (exam_.artifacts["labels"] != exam_.artifacts["answers"]).sum() >= 20
        path = tmp_path / f"{dataset}.npz"
        np.savez(path, **exam_.artifacts)  # type: ignore[arg-type]
        assert path.stat().st_size < 200_000
        saved.append(ExamArtifacts(step=number, side="meta_train", dataset=dataset, number=0, path=path))
    paths = load_domain_file(DOMAIN.directory, "pictures").plot(saved, tmp_path)
    assert sorted(path.name for path in paths) == [
        f"{kind}_{dataset}.png" for kind in ("confusion", "mistakes") for dataset in ("Digits", "ProcFlowers")
    ]
    assert all(path.stat().st_size > 5000 for path in paths)


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_trains_the_same_bits(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    exam_ = examiner(TRAIN_SAMPLES=150, EPOCHS=2)
    one, same, other = (trained(code, exam_, seed)["model"] for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)
    assert "validation accuracy" in capsys.readouterr().out


def test_the_model_of_the_best_epoch_is_kept(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.1)])
    seen = []

    def evaluate(model: Any, *arguments: Any) -> Any:
        seen.append(model.layers[-1].bias.detach().clone())
        return next(results)

    monkeypatch.setattr(code.main, "evaluate", evaluate)
    state = trained(code, examiner(TRAIN_SAMPLES=64, EPOCHS=4))
    (bias,) = [values for name, values in state["model"].items() if values.shape == (10,) and name.endswith("bias")]
    assert np.array_equal(bias, seen[2])
    assert not torch.equal(seen[3], seen[2])


def test_modules_hear_of_the_training_images_only(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exam_ = examiner("DigitsLT", TRAIN_SAMPLES=None, EPOCHS=1, BATCH=50)
    heard: list[Any] = []
    honest = code.main.compute_loss

    def listening(logits: Any, labels: Any, config: Any) -> Any:
        heard.append((labels.numpy().copy(), config))
        return honest(logits, labels, config)

    monkeypatch.setattr(code.main, "compute_loss", listening)
    exam_.examine(trained_learner(code, exam_), 0)
    data = exam_.training_data(0)
    labels, configs = zip(*heard, strict=True)
    assert sorted(np.concatenate(labels)) == sorted(data["train_labels"])
    assert configs[0]["CLASS_COUNTS"] == np.bincount(data["train_labels"]).tolist()
    assert configs[0]["TOTAL_STEPS"] == len(heard)
    np.testing.assert_allclose(configs[0]["MEAN"], [data["train_images"].mean() / 255])


def test_a_model_over_the_cap_ends_training_with_a_reason(code: Any) -> None:
    with pytest.raises(ValueError, match=r"networks\.py: [\d,]+ parameters; MAX_PARAMETERS allows 100"):
        trained(code, examiner(MAX_PARAMETERS=100))


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    with (
        on_one_thread(stubs=[module]) as modules,
        pytest.raises(NotImplementedError, match=rf"{module}\.py: [\w.]+ is not implemented"),
    ):
        trained(modules, examiner(TRAIN_SAMPLES=32, EPOCHS=1))


@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
@pytest.mark.parametrize("dataset", ["DigitsLT", "ProcFlowers"])
def test_candidates_train(candidate: str, dataset: str) -> None:
    exam_ = examiner(dataset, TRAIN_SAMPLES=64, EPOCHS=1)
    with on_one_thread(modules=CANDIDATES / candidate) as modules:
        found = exam_.examine(trained_learner(modules, exam_), 0)
    assert np.isfinite(list(found.values())).all()


# --- exams in the sandbox ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["Digits", "Glyphs100"])
def test_a_tiny_exam_in_the_sandbox_is_better_than_the_floor(dataset: str) -> None:
    entry = calibrate(Host(), Setting(DOMAIN, "default", dataset, "tiny"), seeds=[11])
    assert entry.baseline.mean > entry.floor.mean + 0.1


def test_what_makes_a_dataset_hard_shows_in_its_baseline() -> None:
    at = {dataset: baselines.entry(Setting(DOMAIN, "default", dataset, "small")).baseline.mean for dataset in OFFLINE}
    assert at["Digits"] >= 0.97
    assert at["DigitsLT"] < at["Digits"] - 0.02
    assert at["DigitsC"] < at["Digits"] - 0.15
    assert 0.4 < at["Glyphs100"] < 0.95
    assert all(at[dataset] < 0.97 for dataset in OFFLINE if dataset != "Digits")
