"""EnvironmentGeneration: the learner's files against the kit, the examiner's rules, ladder, candidates, whole exams."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.EnvironmentGeneration import pictures
from discoenv.domains.EnvironmentGeneration.examiner import EnvironmentGenerationExaminer
from discoenv.domains.EnvironmentGeneration.exploits import EXPLOITS
from discoenv.domains.EnvironmentGeneration.studies.comparison import VARIANTS, table
from discoenv.examiners.plotting import ExamArtifacts
from discoenv.exams.examiner import ProtocolError
from discoenv.kits.quality_diversity.archives import GridArchive
from discoenv.kits.quality_diversity.cma_es import CMAES
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.ladder import ladder_of, method_text
from discoenv.tasks.registry import BUILTIN
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner, import_learner

torch = pytest.importorskip("torch")

DOMAIN = Domain(BUILTIN / "EnvironmentGeneration")
CANDIDATES = sorted(path for path in (DOMAIN.directory / "candidates").iterdir() if path.is_dir())
LADDERS = ladder_of(DOMAIN)
#: Numbers with which an exam takes a second.
SHORT = {
    "BUDGET": 60,
    "INITIAL": 30,
    "ROUND": 20,
    "BATCH_SIZE": 10,
    "INNER_ITERATIONS": 3,
    "EPOCHS": 1,
    "CHANNELS": 4,
    "EPISODES": 2,
}
MAZE, PLATFORMER = "Mazes/WallsPath", "Platformer/SkyJumps"


def config_of(dataset: str, **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, "tiny"), **SHORT, **changes}


def examiner(dataset: str = MAZE, **changes: Any) -> EnvironmentGenerationExaminer:
    return EnvironmentGenerationExaminer(dataset, "tiny", config_of(dataset, **changes))


@pytest.fixture(scope="module", autouse=True)
def _on_one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def examined(code: Any, judge: EnvironmentGenerationExaminer, seed: int = 0) -> dict[str, float]:
    search = code.search.Search(dict(judge.config), judge.training_data(seed), 1)
    return judge.examine(InProcessLearner(search), seed)


class Proposing:
    """Proposes what a function of the number of the question gives, and keeps what it is told."""

    def __init__(self, propose: Any) -> None:
        self._propose, self.told = propose, []  # type: ignore[var-annotated]

    def propose(self) -> Any:
        return self._propose(len(self.told))

    def tell(self, objectives: Any, measures: Any, occupancy: Any) -> None:
        self.told.append((objectives, measures, occupancy))


# --- the learner's files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [MAZE, "LargeMazes/WallsPath", PLATFORMER])
def test_the_learner_sees_the_levels_that_are_simulated(code: Any, dataset: str) -> None:
    judge = examiner(dataset)
    space = code.levels.Space(judge.config, judge.training_data(3))
    solutions = space.draw(40, np.random.default_rng(0))
    ours, theirs = space.levels(solutions), judge.simulator(3).levels(solutions)
    assert ours.shape == (40, judge.config["HEIGHT"], judge.config["WIDTH"])
    assert ours.dtype == np.int8
    assert (ours == theirs).mean() > 0.999, "the generator is float32 here and float64 there"
    assert ours.min() >= 0 and ours.max() < judge.config["TILES"]


def test_the_archive_is_the_kits(code: Any) -> None:
    config, rng = config_of(MAZE), np.random.default_rng(0)
    ours = code.archive.Archive(config, np.int8)
    theirs = GridArchive(64, config["DIMS"], [tuple(each) for each in config["RANGES"]], np.int8)
    for _ in range(20):
        solutions = rng.integers(2, size=(30, 64), dtype=np.int8)
        objectives, measures = rng.integers(4, size=30) / 4, rng.normal(32, 8, (30, 2))
        status, value = ours.add(solutions, objectives, measures)
        added = theirs.add(solutions, objectives, measures, one_by_one=True)
        np.testing.assert_array_equal(status, added.status)
        np.testing.assert_allclose(value[status > 0], added.value[status > 0])
    left, right = ours.elites(), theirs.elites()
    for name in ("solutions", "objectives", "measures", "cells"):
        a, b = (getattr(each, name)[np.argsort(each.cells)] for each in (left, right))
        np.testing.assert_array_equal(a, b)
    assert ours.qd_score() == pytest.approx(theirs.qd_score() / theirs.cells)


def test_cma_es_is_the_kits(code: Any) -> None:
    ours, theirs = code.cma_es.CMAES(np.zeros(5), 0.3, 12), CMAES(np.zeros(5), 0.3, 12)
    theirs._lazy_evals = 0.0  # the learner's decomposes the covariance each time
    for seed in range(5):
        x, y = (each.ask(np.random.default_rng(seed)) for each in (ours, theirs))
        np.testing.assert_allclose(x, y, rtol=1e-9)
        parents = x[np.argsort((x**2).sum(axis=1))][: 2 * seed]
        ours.tell(parents)
        theirs.tell(parents)
    np.testing.assert_allclose(ours.covariance, theirs.covariance)
    assert ours.sigma == pytest.approx(theirs.sigma)


def test_downsampling_takes_one_of_each_block(code: Any) -> None:
    config, rng = config_of(MAZE), np.random.default_rng(0)
    cells = rng.permutation(32 * 40)[:300]
    candidates = code.archive.Elites(np.zeros((300, 64)), np.ones(300), np.zeros((300, 2)), cells)
    rows = code.selection.select(candidates, None, 1000, rng, config)
    rows_of, columns_of = np.unravel_index(cells, (32, 40))
    blocks = (rows_of // 2) * 20 + columns_of // 2
    assert sorted(blocks[rows]) == sorted(set(blocks))
    assert len(code.selection.select(candidates, None, 7, rng, config)) == len("1234567")


def test_the_surrogate_learns(code: Any) -> None:
    judge = examiner(MAZE, CHANNELS=8)
    world, rng = judge.simulator(0), np.random.default_rng(0)
    solutions = rng.random((300, 64)) < rng.random((300, 1))
    result = world.evaluate(solutions.astype(np.int8))
    levels = world.levels(solutions)
    data = code.evaluations.Evaluations(levels, result.objectives, result.measures, result.occupancy)
    surrogate = code.surrogate.Surrogate(dict(judge.config), 0)
    surrogate.fit(data, 12)
    _, measures = surrogate.predict(levels)
    error, spread = np.abs(measures - result.measures).mean(axis=0), result.measures.std(axis=0)
    assert (error < 0.6 * spread).all()


def test_predictions_that_are_no_numbers_are_named(code: Any) -> None:
    with pytest.raises(ValueError, match=r"surrogate\.py"):
        code.evaluations.checked((np.full(3, np.nan), np.zeros((3, 2))), 3)
    with pytest.raises(ValueError, match=r"surrogate\.py"):
        code.evaluations.checked((np.zeros(3), np.zeros((3, 3))), 3)


# --- the examiner -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [MAZE, PLATFORMER])
def test_exams_differ_and_are_fixed_by_their_seeds(dataset: str) -> None:
    judge = examiner(dataset)
    one, same, other = (judge.training_data(seed) for seed in (0, 0, 1))
    name = "fixed" if dataset == MAZE else "first.weight"
    np.testing.assert_array_equal(one[name], same[name])
    assert (one[name] != other[name]).any()
    assert judge.floor(0) == judge.floor(0) != judge.floor(1)


def test_the_plot_decides_some_cells_and_latents_are_rotated() -> None:
    world = examiner(MAZE).simulator(0)
    fixed = world.shown["fixed"]
    assert [(fixed == value).sum() for value in (0, 1, -1)] == [4, 4, 56]
    assert (world.levels(np.ones((1, 64), np.int8))[0] == (fixed != 0)).all()
    one, other = (examiner(PLATFORMER).training_data(seed)["first.weight"] for seed in (0, 1))
    np.testing.assert_allclose(one @ one.T, other @ other.T, atol=1e-3)


def test_a_level_has_one_result_in_an_exam() -> None:
    judge = examiner(MAZE)
    world, fixed = judge.simulator(0), judge.training_data(0)["fixed"].ravel()
    solution = np.random.default_rng(0).integers(2, size=64, dtype=np.int8)
    twin = np.where(fixed >= 0, 1 - solution, solution)
    learner = Proposing(lambda _: np.stack([solution, twin] * 30))
    metrics = judge.examine(InProcessLearner(learner), 0)
    assert metrics["coverage"] == pytest.approx(1 / (32 * 40))
    assert (learner.told[0][1] == learner.told[0][1][0]).all()
    assert (world.evaluate(solution[None]).measures == learner.told[0][1][0]).all()
    assert (judge.simulator(1).evaluate(solution[None]).measures != learner.told[0][1][0]).any()


@pytest.mark.parametrize(
    "answer",
    [
        np.zeros((0, 64), np.int8),
        np.zeros((61, 64), np.int8),
        np.zeros((5, 65), np.int8),
        np.zeros(64, np.int8),
        np.full((5, 64), 2),
        np.full((5, 64), 0.5),
        np.full((5, 64), np.nan),
        (np.zeros((5, 64), np.int8), np.ones(5)),
    ],
)
def test_answers_that_are_no_levels_end_the_exam(answer: Any) -> None:
    with pytest.raises(ProtocolError, match="propose"):
        examiner(MAZE).examine(InProcessLearner(Proposing(lambda _: answer)), 0)


@pytest.mark.parametrize("answer", [np.full((5, 32), 2.1), np.full((5, 32), np.inf)])
def test_latents_are_bounded(answer: Any) -> None:
    with pytest.raises(ProtocolError, match="propose"):
        examiner(PLATFORMER).examine(InProcessLearner(Proposing(lambda _: answer)), 0)


def test_evaluations_are_counted_here() -> None:
    judge, rng = examiner(MAZE), np.random.default_rng(0)
    learner = Proposing(lambda number: rng.integers(2, size=(25 if number < 2 else 10, 64), dtype=np.int8))
    metrics = judge.examine(InProcessLearner(learner), 0)
    assert [len(objectives) for objectives, _, _ in learner.told] == [25, 25, 10]
    cells = GridArchive(64, (32, 40), [(0.0, 64.0), (0.0, 160.0)])
    seen = set(cells.index_of(np.concatenate([measures for _, measures, _ in learner.told])).tolist())
    assert metrics["coverage"] == pytest.approx(len(seen) / 1280)
    assert metrics["qd_score"] == pytest.approx(metrics["coverage"] * metrics["mean_objective"])
    assert 0 < metrics["qd_area"] < metrics["qd_score"]
    with pytest.raises(ProtocolError, match="1 to 10"):
        judge.examine(InProcessLearner(Proposing(lambda _: rng.integers(2, size=(25, 64), dtype=np.int8))), 0)


def test_the_copy_of_the_plot_in_the_exploit_is_true(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the exam's own seed among the guesses it finds the plot."""
    judge = examiner(MAZE)
    found: list[str] = []
    text = next(exploit.code for exploit in EXPLOITS if exploit.name == "plots of guessed seeds")
    for seed in (41, 10**12):
        (tmp_path / "config.yaml").write_text(f"FIXED: {judge.config['FIXED']}\n")
        monkeypatch.chdir(tmp_path)
        exam = SimpleNamespace(seed=lambda: 5, training_data=functools.partial(judge.training_data, seed))
        paths = SimpleNamespace(path=SimpleNamespace(relpath=lambda *_: MAZE), getcwd=lambda: "/")
        exec(text, {"exam": exam, "os": paths, "breach": found.append, "np": np})
    assert found == ["the plot is that of seed 41"]


# --- whole exams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["default", "direct"])
@pytest.mark.parametrize("dataset", [MAZE, PLATFORMER])
def test_base_modules_pass_exams_and_seeds_reproduce(backend: str, dataset: str) -> None:
    judge = examiner(dataset)
    with import_learner(DOMAIN, backend=backend) as code:
        metrics = examined(code, judge)
        if dataset == MAZE:
            assert examined(code, judge) == metrics
    assert set(metrics) == {DOMAIN.specification.metric.name, *DOMAIN.specification.other_metrics}
    assert 0 < metrics["qd_score"] <= metrics["coverage"] < 1


def test_the_base_is_better_than_random_levels(code: Any) -> None:
    judge = examiner(MAZE, BUDGET=240, INITIAL=60, ROUND=90, BATCH_SIZE=40, INNER_ITERATIONS=30, EPOCHS=4, CHANNELS=8)
    assert examined(code, judge)["qd_score"] > 1.1 * judge.floor(0)["qd_score"]


@pytest.mark.parametrize("number", range(max(len(ladder.methods) for ladder in LADDERS.values())))
def test_methods_of_the_ladder_pass_exams(number: int) -> None:
    """The methods with this number, one of each module, make one search; random rounds would leave others out."""
    chosen = {module: list(ladder.methods)[number % len(ladder.methods)] for module, ladder in LADDERS.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    plan = texts.pop("schedule")
    with import_learner(DOMAIN, modules=texts) as code:
        for dataset in (MAZE, PLATFORMER):
            assert examined(code, examiner(dataset, BUDGET=40))["qd_score"] > 0
    with import_learner(DOMAIN, modules={"schedule": plan}) as code:
        assert examined(code, examiner(MAZE))["qd_score"] > 0


@pytest.mark.parametrize("folder", CANDIDATES, ids=lambda folder: folder.name)
def test_candidates_pass_exams(folder: Path) -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    with import_learner(DOMAIN, modules=texts) as code:
        assert examined(code, examiner(PLATFORMER if folder.name[:2] == "04" else MAZE, BUDGET=40))["qd_score"] > 0


@pytest.mark.parametrize("backend", ["default", "direct"])
@pytest.mark.parametrize("scale", ["tiny", "small"])
@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_baselines_are_better_than_floors_by_five_standard_errors(backend: str, scale: Any, dataset: str) -> None:
    entry = baselines.entry(Setting(DOMAIN, backend, dataset, scale))
    gain = np.array(entry.baseline.values) - np.array(entry.floor.values)
    assert gain.mean() > 5 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_pictures_are_plotted_from_what_the_examiner_saved(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    judge, rng, exams = examiner(MAZE), np.random.default_rng(0), []
    for step in (1, 2):
        judge.examine(InProcessLearner(Proposing(lambda _: rng.integers(2, size=(20, 64), dtype=np.int8))), step)
        path = tmp_path / f"{step}.npz"
        np.savez(path, **judge.artifacts)  # type: ignore[arg-type]
        exams.append(ExamArtifacts(step, "meta_train", MAZE, step, path))
        assert sum(array.nbytes for array in judge.artifacts.values()) < 100_000
    plotted = pictures.plot(exams, tmp_path)
    assert [path.name for path in plotted] == [f"{kind}_Mazes-WallsPath.png" for kind in ("archive", "score", "levels")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plotted)


def test_the_table_of_variants_has_a_row_each() -> None:
    values = {MAZE: {name: np.array([0.1, 0.2]) for name in VARIANTS}}
    text = table("tiny", values)
    assert text.count("0.150 ± 0.050") == len(VARIANTS)
