"""BayesianOptimisation: its functions and disguises, its formulas against plain NumPy, its contracts, and its exams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.exams.examiner import ProtocolError
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner, import_learner, import_workspace

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("optax")
scipy_stats = pytest.importorskip("scipy.stats")

from discoenv.domains.BayesianOptimisation import pictures, problems  # noqa: E402
from discoenv.domains.BayesianOptimisation.examiner import (  # noqa: E402
    RESOLUTION,
    BayesianOptimisationExaminer,
    metrics_of,
)
from discoenv.domains.BayesianOptimisation.studies.comparison import SobolSearch, table  # noqa: E402
from discoenv.domains.BayesianOptimisation.textbook import TEXTBOOK  # noqa: E402
from discoenv.examiners.plotting import ExamArtifacts  # noqa: E402

DOMAIN = Domain(BUILTIN / "BayesianOptimisation")
CANDIDATES = sorted((Path(__file__).parents[1] / "candidates").glob("[0-9]*"))
CONFIG = {**DOMAIN.config("Branin2d", "tiny"), "BATCH_SIZE": 2, "BUDGET": 12, "INITIAL_SAMPLES": 4}


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def observations(code: Any, used: int, rows: int = 12, dimension: int = 2, seed: int = 0) -> Any:
    """Observations whose unused rows hold rubbish."""
    rng = np.random.default_rng(seed)
    x, y = rng.random((rows, dimension)), rng.normal(size=rows)
    mask = np.arange(rows) < used
    return code.observations.Observations(jnp.asarray(x), jnp.asarray(np.where(mask, y, 0.0)), jnp.asarray(mask))


PARAMS = {"log_lengthscales": np.log([0.3, 0.5]), "log_amplitude": np.array(0.2), "log_noise": np.log(0.1)}


def matern(a: Any, b: Any) -> Any:
    """The Matérn-5/2 kernel of PARAMS, entry by entry."""
    scales, variance = np.exp(PARAMS["log_lengthscales"]), np.exp(2 * PARAMS["log_amplitude"])
    entries = np.empty((len(a), len(b)))
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            r = np.linalg.norm((p - q) / scales)
            entries[i, j] = variance * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    return entries


def examiner(dataset: str, scale: str = "tiny", **changes: Any) -> BayesianOptimisationExaminer:
    return BayesianOptimisationExaminer(dataset, scale, {**DOMAIN.config(dataset, scale), **changes})


class Fixed:
    """Asks for the same points of every function, whatever their values."""

    def __init__(self, points: Any, batch_size: int) -> None:
        self._points, self._batch_size = np.asarray(points), batch_size

    def start(self) -> None:
        self._next = 0

    def ask(self) -> Any:
        rows = np.arange(self._next, self._next + self._batch_size) % len(self._points)
        self._next += self._batch_size
        return self._points[rows]

    def tell(self, points: Any, values: Any) -> None:
        pass


# --- functions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_function_has_the_maximum_of_the_book_and_no_higher_value(name: str) -> None:
    function = TEXTBOOK[name]
    np.testing.assert_allclose(function.value(function.maximisers), function.maximum, atol=1e-6)
    assert ((function.low <= function.maximisers) & (function.maximisers <= function.high)).all()
    rng = np.random.default_rng(0)
    width = function.high - function.low
    outside = 0.0 if function.bounded else 1.0
    points = function.low + width * rng.uniform(-outside, 1 + outside, (100_000, function.dimension))
    nearby = function.maximisers[0] + 1e-3 * width * rng.normal(size=(10_000, function.dimension))
    nearby = nearby.clip(function.low, function.high)
    assert function.value(np.concatenate([points, nearby])).max() <= function.maximum + 1e-6


def test_textbook_values_at_known_points() -> None:
    expected = {
        "Ackley1d": ([1.0], 20 * np.exp(-0.2) + np.e - 20 - np.e),
        "Branin2d": ([0.0, 0.0], -55.602113),
        "Bukin2d": ([-15.0, 3.0], -(100 * np.sqrt(0.75) + 0.05)),
        "Cosine8d": ([1.0] * 8, -8.8),
        "DropWave2d": ([np.pi / 6, 0.0], 2 / (np.pi**2 / 72 + 2)),
        "EggHolder2d": ([0.0, 0.0], 47 * np.sin(np.sqrt(47))),
        "Griewank5d": ([0.0, 0.0, 0.0, 0.0, 20.0], -(0.1 - np.cos(20 / np.sqrt(5)) + 1)),
        "Hartmann6d": ([0.0] * 6, 0.00508911),
        "HolderTable2d": ([np.pi / 2, 0.0], np.exp(0.5)),
        "Levy6d": ([1.0] * 5 + [5.0], -1.0),
    }
    for name, (point, value) in expected.items():
        assert TEXTBOOK[name].value(np.array([point]))[0] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("name", DOMAIN.datasets)
def test_the_maximum_of_a_problem_lies_in_the_box_and_is_never_exceeded(name: str) -> None:
    rng = np.random.default_rng(1)
    problem = problems.draw(name, rng)
    assert problem.dimension == DOMAIN.config(name, "small")["DIMENSION"]
    points = rng.random((10_000, problem.dimension))
    values = problem.value(points)
    scale = problem.maximum - problem.typical
    assert scale > 0
    assert values.max() <= problem.maximum + 1e-6 * scale
    # Climbing from the best of these points comes close to it, so it is not a height that no point has.
    best, height = points[np.argmax(values)], -np.inf
    for width in np.geomspace(0.3, 1e-3, 30):
        cloud = (best + width * rng.normal(size=(200, problem.dimension))).clip(0, 1)
        heights = problem.value(cloud)
        if heights.max() > height:
            best, height = cloud[np.argmax(heights)], heights.max()
    assert problem.regret(np.array([height]))[0] < 0.5


def test_disguises_differ_and_hide_place_and_height() -> None:
    function = TEXTBOOK["Branin2d"]
    drawn = [problems.disguise(function, np.random.default_rng(seed)) for seed in range(20)]
    assert len({round(problem.maximum, 6) for problem in drawn}) == 20
    book = (function.maximisers - function.low) / (function.high - function.low)
    regrets = np.array([problem.regret(problem.value(book)).min() for problem in drawn])
    assert np.median(regrets) > 0.1


def test_a_disguise_has_its_maximum_inside_the_box() -> None:
    for name in ("Ackley2d", "EggHolder2d", "HolderTable2d", "Bukin2d"):
        for seed in range(3):
            problem = problems.disguise(TEXTBOOK[name], np.random.default_rng(seed))
            side = np.linspace(0, 1, 601)
            grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
            assert problem.regret(problem.value(grid)).min() < 0.2, (name, seed)


def test_a_gaussian_process_draw_has_its_kernel() -> None:
    rng, scales = np.random.default_rng(0), np.array([0.2, 0.4])
    pair = np.array([[0.5, 0.5], [0.6, 0.45]])
    values = np.array([problems.random_features(rng, scales)(pair) for _ in range(4000)])
    r = np.linalg.norm((pair[0] - pair[1]) / scales)
    expected = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    np.testing.assert_allclose(np.mean(values[:, :, None] * values[:, None, :], axis=0)[0], [1.0, expected], atol=0.07)


# --- the surrogate ----------------------------------------------------------------------------------------------------


def test_the_posterior_is_that_of_gaussian_conditioning(code: Any) -> None:
    known = observations(code, used=7)
    queries = np.random.default_rng(1).random((5, 2))
    mean, variance = code.surrogate.predict(PARAMS, jnp.asarray(queries), known, CONFIG)
    x, y = np.asarray(known.x)[:7], np.asarray(known.y)[:7]
    covariance = matern(x, x) + np.exp(2 * PARAMS["log_noise"]) * np.eye(7)
    cross = matern(x, queries)
    np.testing.assert_allclose(mean, cross.T @ np.linalg.inv(covariance) @ y, atol=1e-6)
    expected = np.diag(matern(queries, queries) - cross.T @ np.linalg.inv(covariance) @ cross)
    np.testing.assert_allclose(variance, expected, atol=1e-6)


def test_the_loss_is_the_marginal_likelihood_up_to_the_priors(code: Any) -> None:
    def without_priors(known: Any) -> float:
        nobody = observations(code, used=0)
        loss = code.surrogate.neg_log_likelihood
        return float(loss(PARAMS, known, CONFIG) - loss(PARAMS, nobody, CONFIG))

    known = observations(code, used=7)
    x, y = np.asarray(known.x)[:7], np.asarray(known.y)[:7]
    covariance = matern(x, x) + np.exp(2 * PARAMS["log_noise"]) * np.eye(7)
    expected = -scipy_stats.multivariate_normal(np.zeros(7), covariance).logpdf(y)
    assert without_priors(known) == pytest.approx(expected, rel=1e-6)


def test_rows_that_are_not_used_have_no_influence(code: Any) -> None:
    few, many = observations(code, used=7, rows=12), observations(code, used=7, rows=12)
    many = code.observations.Observations(many.x.at[7:].set(0.77), many.y, many.mask)
    loss = code.surrogate.neg_log_likelihood
    assert float(loss(PARAMS, few, CONFIG)) == float(loss(PARAMS, many, CONFIG))
    queries = jnp.array([[0.2, 0.9], [0.77, 0.77]])
    for one, other in zip(*(code.surrogate.predict(PARAMS, queries, o, CONFIG) for o in (few, many)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_surrogate_survives_equal_points_and_no_noise(code: Any) -> None:
    x = jnp.tile(jnp.array([[0.3, 0.4]]), (12, 1))
    known = code.observations.Observations(x, jnp.zeros(12), jnp.ones(12, bool))
    params = {**PARAMS, "log_noise": jnp.log(1e-6)}
    value, gradient = jax.value_and_grad(code.surrogate.neg_log_likelihood)(params, known, CONFIG)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((value, gradient)))
    mean, variance = code.surrogate.predict(params, x[:2], known, CONFIG)
    assert bool((variance > 0).all()) and bool(jnp.isfinite(mean).all())


def test_fitting_finds_a_better_likelihood_and_never_a_worse_one(code: Any) -> None:
    known = observations(code, used=12)
    start = code.surrogate.init_params(CONFIG)

    def loss(params: Any) -> Any:
        return code.surrogate.neg_log_likelihood(params, known, CONFIG)

    key = jax.random.key(0)
    fitted = code.surrogate_optimizer.fit(loss, start, key, {**CONFIG, "FIT_STEPS": 100})
    assert float(loss(fitted)) < float(loss(start)) - 0.1
    wild = {**CONFIG, "FIT_STEPS": 5, "FIT_LEARNING_RATE": 1e3}
    assert float(loss(code.surrogate_optimizer.fit(loss, start, key, wild))) <= float(loss(start))


# --- acquisition ------------------------------------------------------------------------------------------------------


def acquisition_of(candidate: str, code: Any, mean: Any, variance: Any, best: float, key: Any) -> Any:
    """Acquisition values for a posterior that is simply given."""
    known = code.observations.Observations(jnp.zeros((3, 2)), jnp.array([best, best - 1, 9.0]), jnp.arange(3) < 2)
    queries = jnp.asarray(np.random.default_rng(0).random((len(mean), 2)))

    def posterior(queries: Any) -> Any:
        return jnp.asarray(mean), jnp.asarray(variance)

    if candidate == "base":
        return code.acq_fn.acq_fn(queries, posterior, known, key, CONFIG)
    (folder,) = (path for path in CANDIDATES if path.name == candidate)
    with import_workspace(folder, "acq_fn") as modules:
        jax.config.update("jax_enable_x64", True)
        return modules.acq_fn.acq_fn(queries, posterior, known, key, CONFIG)


MEAN = np.array([0.0, 0.5, -1.0, 2.0, -3.0])
VARIANCE = np.array([1.0, 0.25, 4.0, 0.01, 1.0])


def test_improvements_agree_with_closed_forms_and_samples(code: Any) -> None:
    best, std = 0.4, np.sqrt(VARIANCE)
    samples = MEAN + std * np.random.default_rng(0).normal(size=(200_000, 5))
    z = (MEAN - best) / std
    expected = (MEAN - best) * scipy_stats.norm.cdf(z) + std * scipy_stats.norm.pdf(z)
    found = {
        name: np.asarray(acquisition_of(name, code, MEAN, VARIANCE, best, jax.random.key(0)))
        for name in ("base", "01_probability_of_improvement", "02_upper_confidence_bound", "04_log_improvement")
    }
    np.testing.assert_allclose(found["base"], expected, atol=1e-6)
    np.testing.assert_allclose(found["base"], np.maximum(samples - best, 0).mean(0), atol=1e-2)
    np.testing.assert_allclose(np.exp(found["04_log_improvement"]), expected, atol=1e-6)
    np.testing.assert_allclose(found["04_log_improvement"], np.log(expected), rtol=1e-6)
    probability = found["01_probability_of_improvement"]
    np.testing.assert_allclose(probability, scipy_stats.norm.cdf(z), atol=1e-6)
    np.testing.assert_allclose(probability, (samples > best).mean(0), atol=1e-2)
    np.testing.assert_allclose(found["02_upper_confidence_bound"], MEAN + 2 * std, atol=1e-6)


def test_log_improvement_is_finite_where_improvement_is_not_seen_any_more(code: Any) -> None:
    mean = -np.array([5.0, 30.0, 99.0, 101.0, 1e4])
    values = np.asarray(acquisition_of("04_log_improvement", code, mean, np.ones(5), 0.0, jax.random.key(0)))
    assert np.isfinite(values).all() and (np.diff(values) < 0).all()
    # The expansion of φ(z) + z Φ(z) by Mills' ratio: φ(z) / z² (1 − 3 / z² + 15 / z⁴ …).
    expected = scipy_stats.norm.logpdf(mean) - 2 * np.log(-mean) + np.log1p(-3 / mean**2 + 15 / mean**4)
    np.testing.assert_allclose(values[1:], expected[1:], rtol=1e-6)


def test_thompson_samples_have_mean_and_variance_of_the_posterior(code: Any) -> None:
    (folder,) = (path for path in CANDIDATES if path.name == "03_thompson_sampling")
    queries = jnp.asarray(np.random.default_rng(0).random((5, 2)))
    with import_workspace(folder, "acq_fn") as modules:
        jax.config.update("jax_enable_x64", True)
        known = observations(code, used=3)
        keys = jax.random.split(jax.random.key(0), 10_000)
        samples = np.asarray(
            jax.lax.map(
                lambda key: modules.acq_fn.acq_fn(
                    queries, lambda _: (jnp.asarray(MEAN), jnp.asarray(VARIANCE)), known, key, CONFIG
                ),
                keys,
                batch_size=500,
            )
        )
    standard_errors = np.sqrt(VARIANCE / len(keys))
    assert (np.abs(samples.mean(0) - MEAN) < 4 * standard_errors).all()
    np.testing.assert_allclose(samples.var(0) / VARIANCE, 1.0, atol=0.05)


def test_the_optimiser_of_acquisition_finds_the_top_of_a_hill(code: Any) -> None:
    top = jnp.array([0.31, 1.0])  # on a face of the box
    config = {**CONFIG, "ASCENT_STEPS": 60}
    points, values = code.acq_optimizer.maximise(
        lambda x: jnp.exp(-20 * jnp.sum((x - top) ** 2, axis=1)), observations(code, 3), jax.random.key(0), config
    )
    assert len(points) >= config["BATCH_SIZE"]
    assert bool(((points >= 0) & (points <= 1)).all())
    np.testing.assert_allclose(points[jnp.argmax(values)], top, atol=2e-3)
    assert float(values.max()) > 0.999


def test_next_queries_are_the_best_but_neither_equal_nor_known(code: Any) -> None:
    known = observations(code, used=3)
    candidates = jnp.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [0.2, 0.2]]).at[3].set(known.x[1])
    values = jnp.array([3.0, 2.9, 1.0, 9.0])
    queries = code.next_queries.next_queries(candidates, values, None, known, jax.random.key(0), CONFIG)
    np.testing.assert_array_equal(queries, [[0.5, 0.5], [0.9, 0.1]])
    values = jnp.array([jnp.nan, jnp.nan, 1.0, jnp.nan])
    queries = code.next_queries.next_queries(candidates, values, None, known, jax.random.key(0), CONFIG)
    np.testing.assert_array_equal(queries[0], [0.9, 0.1])


def test_the_initial_design_fills_the_box_and_depends_on_its_seed(code: Any) -> None:
    config = {**CONFIG, "INITIAL_SAMPLES": 8, "DIMENSION": 3}
    design = code.sampler.initial_design(3, config)
    assert design.shape == (8, 3) and (design >= 0).all() and (design <= 1).all()
    for column in design.T:  # one point in each eighth
        assert sorted(np.floor(8 * column)) == list(range(8))
    np.testing.assert_array_equal(design, code.sampler.initial_design(3, config))
    assert (design != code.sampler.initial_design(4, config)).any()


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_a_whole_exam_is_compiled_once_and_is_better_than_the_floor(code: Any) -> None:
    config = DOMAIN.config("Branin2d", "tiny")
    optimiser = code.optimiser.Optimiser(config, 0)
    optimiser.rehearse()
    learner = InProcessLearner(optimiser)
    judge = examiner("Branin2d")
    metrics = judge.examine(learner, 0)
    assert optimiser._suggest._cache_size() == 1
    batches = config["BUDGET"] // config["BATCH_SIZE"]
    assert learner.questions == config["DRAWS"] * (1 + 2 * batches)  # start(), and ask() and tell() for each batch
    assert metrics["log_regret"] < judge.floor(0)["log_regret"]
    assert set(metrics) == {DOMAIN.specification.metric.name, *DOMAIN.specification.other_metrics}


def test_values_are_standardised_over_the_rows_in_use(code: Any) -> None:
    y = jnp.array([1e6, 3e6, 5e6, 0.0])
    known = code.observations.Observations(jnp.zeros((4, 1)), y, jnp.arange(4) < 3)
    np.testing.assert_allclose(code.optimiser.standardised(known).y, [-(1.5**0.5), 0, 1.5**0.5, 0], atol=1e-9)
    same = known._replace(y=jnp.full(4, 7.0))
    np.testing.assert_array_equal(code.optimiser.standardised(same).y, 0)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda path: path.name)
def test_candidates_keep_the_interfaces(candidate: Path) -> None:
    with import_learner(DOMAIN, modules=candidate) as code:
        params = code.surrogate.init_params(CONFIG)
        known = observations(code, used=5)
        suggest = code.optimiser.make_suggest(CONFIG)
        fitted, queries = jax.eval_shape(suggest, params, known, jax.random.key(0))
        assert queries.shape == (CONFIG["BATCH_SIZE"], CONFIG["DIMENSION"])
        assert jax.tree.structure(fitted) == jax.tree.structure(params)


def test_stubs_import_cleanly_and_refuse_to_run() -> None:
    with import_learner(DOMAIN, stubs=DOMAIN.modules) as stub:
        calls: dict[str, Callable[[], Any]] = {
            "acq_fn": lambda: stub.acq_fn.acq_fn(None, None, None, None, CONFIG),
            "acq_optimizer": lambda: stub.acq_optimizer.maximise(None, None, None, CONFIG),
            "sampler": lambda: stub.sampler.initial_design(0, CONFIG),
            "next_queries": lambda: stub.next_queries.next_queries(None, None, None, None, None, CONFIG),
            "surrogate": lambda: stub.surrogate.init_params(CONFIG),
            "surrogate_optimizer": lambda: stub.surrogate_optimizer.fit(None, {}, None, CONFIG),
        }
        assert set(calls) == set(DOMAIN.modules)
        for module, call in calls.items():
            with pytest.raises(NotImplementedError, match=f"{module}.py"):
                call()


# --- the examiner -----------------------------------------------------------------------------------------------------


def test_metrics_of_a_curve() -> None:
    curves = np.array([[1.0, 0.1, 0.1], [1.0, 1.0, 0.0]])
    metrics = metrics_of(curves)
    assert metrics["log_regret"] == pytest.approx((0.75 + 0.0) / 2)
    assert metrics["simple_regret"] == pytest.approx(0.05)
    assert metrics["regret_area"] == pytest.approx((1 + 0.75 + 0.75 + 1 + 1 + 0) / 6)
    assert metrics_of(np.array([[RESOLUTION / 10]]))["log_regret"] == 0.0


def test_who_knows_the_maximum_has_no_regret_and_a_constant_has_much() -> None:
    judge = examiner("Ackley2d")

    class Clairvoyant(Fixed):
        def __init__(self) -> None:
            super().__init__(np.zeros((1, 2)), 1)
            self._drawn = iter(judge.problems(0))

        def start(self) -> None:
            super().start()
            problem, rng = next(self._drawn), np.random.default_rng(0)
            best = rng.random(2)
            for width in np.geomspace(0.5, 1e-7, 200):
                cloud = np.concatenate([best[None], (best + width * rng.normal(size=(200, 2))).clip(0, 1)])
                best = cloud[np.argmax(problem.value(cloud))]
            self._points = best[None]

    assert judge.examine(InProcessLearner(Clairvoyant()), 0)["log_regret"] < 0.05
    assert judge.examine(InProcessLearner(Fixed(np.zeros((1, 2)), 1)), 0)["log_regret"] > judge.floor(0)["log_regret"]


def test_an_exam_is_fixed_by_its_seed() -> None:
    judge = examiner("NoisyGaussianProcess2d", DRAWS=1)
    told: list[Any] = []

    class Listening(Fixed):
        def tell(self, points: Any, values: Any) -> None:
            told.append(values)

    learner = InProcessLearner(Listening(np.random.default_rng(0).random((12, 2)), 1))
    assert judge.examine(learner, 0) == judge.examine(learner, 0) != judge.examine(learner, 1)
    first, again, _ = np.array(told).reshape(3, -1)
    np.testing.assert_array_equal(first, again)
    assert judge.floor(0) == judge.floor(0) != judge.floor(1)


def test_noise_is_told_but_does_not_count() -> None:
    judge = examiner("NoisyGaussianProcess2d", DRAWS=1, BUDGET=200)
    (problem,) = judge.problems(0)
    told: list[float] = []

    class Listening(Fixed):
        def tell(self, points: Any, values: Any) -> None:
            told.extend(values)

    metrics = judge.examine(InProcessLearner(Listening(np.full((1, 2), 0.5), 1)), 0)
    value = problem.value(np.full((1, 2), 0.5))
    assert np.std(told) == pytest.approx(problem.noise, rel=0.2)
    assert np.mean(told) == pytest.approx(value[0], abs=5 * problem.noise / np.sqrt(200))
    assert metrics["simple_regret"] == pytest.approx(problem.regret(value)[0])


@pytest.mark.parametrize(
    "answer", [np.full((1, 2), 1.01), np.full((1, 2), -0.1), np.zeros((2, 2)), np.full((1, 2), np.nan)]
)
def test_answers_that_are_not_points_of_the_box_end_the_exam(answer: Any) -> None:
    model = SimpleNamespace(start=lambda: None, ask=lambda: answer, tell=lambda x, y: None)
    with pytest.raises(ProtocolError, match="ask"):
        examiner("Branin2d").examine(InProcessLearner(model), 0)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_asking_for_the_optimum_of_the_textbook_is_no_better_than_random_search(name: str) -> None:
    """All maximisers of the book, and the midpoint, exactly and slightly moved: as many points as are allowed."""
    function = TEXTBOOK[name]
    judge = examiner(name, "small")
    book = np.vstack(
        [(function.maximisers - function.low) / (function.high - function.low), np.full(len(function.low), 0.5)]
    )
    rng = np.random.default_rng(0)
    moved = book[rng.integers(len(book), size=judge.config["BUDGET"])]
    points = (moved + 0.02 * rng.normal(size=moved.shape)).clip(0, 1)
    points[: len(book)] = book
    learner = InProcessLearner(Fixed(points, judge.config["BATCH_SIZE"]))
    gains = np.array(
        [judge.floor(seed)["log_regret"] - judge.examine(learner, seed)["log_regret"] for seed in range(5)]
    )
    assert gains.mean() < 2 * gains.std(ddof=1) / np.sqrt(len(gains))


# --- what is measured -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_the_baseline_is_better_than_the_floor_by_five_standard_errors(dataset: str) -> None:
    entry = baselines.entry(Setting(DOMAIN, "default", dataset, "small"))
    floor, baseline = np.array(entry.floor.values), np.array(entry.baseline.values)
    error = np.std(floor - baseline, ddof=1) / np.sqrt(len(floor))
    assert np.mean(floor - baseline) > 5 * error
    assert entry.baseline.mean > 0.02, "nothing is left to improve"


def test_the_benchmark_counts_who_is_better() -> None:
    judge = examiner("Hartmann6d")
    sobol = judge.play(SobolSearch(dict(judge.config), 0), 0)["log_regret"]
    assert sobol == pytest.approx(judge.floor(0)["log_regret"], abs=0.15)
    values = {
        "Hartmann6d": {"random": np.array([0.9, 0.8]), "sobol": np.array([0.8, 0.7]), "baseline": np.array([0.5, 0.6])},
        "Levy6d": {"random": np.array([0.9, 0.8]), "sobol": np.array([0.3, 0.2]), "baseline": np.array([0.5, 0.6])},
    }
    assert "better than both on 1 of 2" in table("small", values)


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["Ackley1d", "Branin2d", "Hartmann6d"])
def test_pictures_are_drawn_from_what_the_examiner_kept(dataset: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    judge = examiner(dataset)
    rng = np.random.default_rng(0)
    exams = []
    for step in (1, 2):
        points = rng.random((judge.config["BUDGET"], judge.config["DIMENSION"]))
        judge.examine(InProcessLearner(Fixed(points, judge.config["BATCH_SIZE"])), 5)
        path = tmp_path / f"{step}.npz"
        np.savez(path, **judge.artifacts)  # type: ignore[arg-type]
        exams.append(ExamArtifacts(step, "meta_train", dataset, 5, path))
        assert sum(array.nbytes for array in judge.artifacts.values()) < 100_000
    drawn = pictures.plot(exams, tmp_path)
    assert [path.name for path in drawn] == [f"regret_{dataset}.png", f"queries_{dataset}.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
