"""The ladder of BayesianOptimisation: its methods against plain NumPy, and each of them in an exam."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BayesianOptimisation.tests.conftest import DOMAIN, examiner
from discoenv.tasks.ladder import ladder_of, method_text
from discoenv.testing import InProcessLearner, import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("optax")
scipy_stats = pytest.importorskip("scipy.stats")

LADDERS = ladder_of(DOMAIN)
CONFIG = {**DOMAIN.config("Branin2d", "tiny"), "BATCH_SIZE": 2, "BUDGET": 12, "INITIAL_SAMPLES": 4}


@contextlib.contextmanager
def with_method(module: str, method: str) -> Iterator[Any]:
    """The learner's code, with one module replaced."""
    with import_learner(DOMAIN, modules={module: method_text(DOMAIN, module, method)}) as code:
        yield code


def observations(code: Any, used: int, seed: int = 0) -> Any:
    """Observations of which some rows are used."""
    rng = np.random.default_rng(seed)
    mask = np.arange(CONFIG["BUDGET"]) < used
    x = np.where(mask[:, None], rng.random((len(mask), CONFIG["DIMENSION"])), 0.0)
    y = np.where(mask, rng.normal(size=len(mask)), 0.0)
    return code.observations.Observations(jnp.asarray(x), jnp.asarray(y), jnp.asarray(mask))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("number", range(max(len(ladder.methods) for ladder in LADDERS.values())))
def test_every_method_passes_an_exam(number: int) -> None:
    """The methods with this number, one of each module, make one optimiser."""
    chosen = {module: list(ladder.methods)[number % len(ladder.methods)] for module, ladder in LADDERS.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    with import_learner(DOMAIN, dataset="NeuralNetwork4d", modules=texts) as code:
        optimiser = code.optimiser.Optimiser(DOMAIN.config("NeuralNetwork4d", "tiny"), 0)
        optimiser.rehearse()
        metrics = examiner("NeuralNetwork4d").examine(InProcessLearner(optimiser), 0)
    assert 0 <= metrics["log_regret"] <= 1, chosen


# --- the surrogate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", LADDERS["surrogate"].methods)
def test_posteriors_are_those_of_gaussian_conditioning(method: str) -> None:
    with with_method("surrogate", method) as code:
        surrogate, known = code.surrogate, observations(code, used=7)
        rng = np.random.default_rng(2)
        params = jax.tree.map(lambda x: np.asarray(x) + 0.2 * rng.normal(size=x.shape), surrogate.init_params(CONFIG))
        queries = jnp.asarray(rng.random((5, 2)))
        x, y = known.x[:7], np.asarray(known.y)[:7]

        def everything(params: Any) -> Any:
            kernels = [surrogate.kernel(params, a, b) for a, b in ((x, x), (x, queries), (queries, queries))]
            loss, gradient = jax.value_and_grad(surrogate.neg_log_likelihood)(params, known, CONFIG)
            nothing = surrogate.neg_log_likelihood(params, observations(code, used=0), CONFIG)
            return kernels, surrogate.predict(params, queries, known, CONFIG), loss - nothing, gradient

        found = jax.tree.map(np.asarray, jax.jit(everything)(params))
        (within, cross, prior), (mean, variance), loss, gradient = found
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    covariance = within + np.exp(2 * params["log_noise"]) * np.eye(7)
    np.testing.assert_allclose(mean, cross.T @ np.linalg.solve(covariance, y), atol=1e-5)
    np.testing.assert_allclose(variance, np.diag(prior - cross.T @ np.linalg.solve(covariance, cross)), atol=1e-5)
    expected = -scipy_stats.multivariate_normal(np.zeros(7), covariance).logpdf(y)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_kernels_are_those_of_the_books() -> None:
    a, b = (np.random.default_rng(seed).random((3, 2)) for seed in (0, 1))
    scales = np.array([0.3, 0.5])
    params = {"log_lengthscales": np.log(scales), "log_amplitude": np.array(0.2), "log_lengthscale": np.log(0.3)}
    with with_method("surrogate", "squared_exponential") as code:
        found = code.surrogate.kernel(params, a, b)
    distance = np.linalg.norm((a[:, None] - b) / scales, axis=-1)
    np.testing.assert_allclose(found, np.exp(0.4) * np.exp(-(distance**2) / 2), rtol=1e-6)
    with with_method("surrogate", "isotropic") as code:
        found = code.surrogate.kernel(params, a, b)
    r = np.sqrt(5) * np.linalg.norm(a[:, None] - b, axis=-1) / 0.3
    np.testing.assert_allclose(found, np.exp(0.4) * (1 + r + r**2 / 3) * np.exp(-r), rtol=1e-6)
    with with_method("surrogate", "input_warping") as code:
        warp = code.surrogate.warp
        np.testing.assert_allclose(warp({"log_warps": jnp.zeros((2, 2))}, a), a, atol=1e-5)
        found = warp({"log_warps": jnp.log(jnp.array([[2.0, 3.0], [0.5, 4.0]]))}, a)
    np.testing.assert_allclose(found, 1 - (1 - a ** np.array([2, 3])) ** np.array([0.5, 4]), atol=1e-4)


def test_length_scales_begin_at_the_most_probable_ones_of_the_scaled_prior() -> None:
    with with_method("surrogate", "dimension_scaled") as code:
        surrogate = code.surrogate
        params, known = surrogate.init_params(CONFIG), observations(code, used=0)
        gradient = jax.grad(surrogate.neg_log_likelihood)(params, known, CONFIG)
        scales = np.exp(params["log_lengthscales"])
    # Of a length scale: the density is log-normal, log ℓ having the mean √2 + log √D and the variance 3.
    density = scipy_stats.lognorm(s=np.sqrt(3), scale=np.exp(np.sqrt(2) + np.log(np.sqrt(2)))).pdf
    assert (density(scales) > density(1.02 * scales)).all() and (density(scales) > density(0.98 * scales)).all()
    np.testing.assert_allclose(gradient["log_lengthscales"], 0.0, atol=1e-9)


@pytest.mark.parametrize("method", LADDERS["surrogate_optimizer"].methods)
def test_fits_find_better_parameters_and_never_worse_ones(method: str) -> None:
    values = {"a": np.array([1.0, -2.0]), "b": np.array(0.5)}

    def loss(params: Any) -> Any:
        return jnp.sum((params["a"] - 1.5) ** 2) + 3 * (params["b"] + 0.2) ** 2

    config = {**CONFIG, "FIT_STEPS": 60}
    with with_method("surrogate_optimizer", method) as code:
        fit, start = code.surrogate_optimizer.fit, jax.tree.map(jnp.asarray, values)
        found = fit(loss, start, jax.random.key(0), config)
        wild = fit(loss, start, jax.random.key(0), {**config, "FIT_STEPS": 5, "FIT_LEARNING_RATE": 1e3})
        at_start, at_end, after_wild = (float(loss(params)) for params in (start, found, wild))
    assert jax.tree.structure(found) == jax.tree.structure(values)
    assert after_wild <= at_start
    if method == "fixed":
        assert at_end == at_start
    else:
        assert at_end < 0.3 * at_start
    if method == "l_bfgs":
        assert at_end < 1e-8


# --- acquisition ------------------------------------------------------------------------------------------------------


def test_max_value_entropy_is_the_gain_of_the_paper() -> None:
    mean, variance = np.array([0.0, 1.5, -2.0]), np.array([1.0, 0.3, 2.0])
    queries = jnp.zeros((3, 2))

    def posterior(points: Any) -> Any:
        """Standard normals everywhere but at the queries."""
        if len(points) == 3:
            return jnp.asarray(mean), jnp.asarray(variance)
        return jnp.zeros(len(points)), jnp.ones(len(points))

    with with_method("acq_fn", "max_value_entropy") as code:
        acquisition, known = code.acq_fn, observations(code, used=5)
        key = jax.random.key(0)
        found = acquisition.acq_fn(queries, posterior, known, key, CONFIG)
        maxima = np.asarray(acquisition.sample_maxima(posterior, known, key, CONFIG))
        acquisition.SAMPLES = 20_000
        many = np.asarray(acquisition.sample_maxima(posterior, known, key, CONFIG))
        points = acquisition.POINTS + CONFIG["BUDGET"]
    z = (maxima[:, None] - mean) / np.sqrt(variance)
    norm = scipy_stats.norm
    expected = z * norm.pdf(z) / (2 * norm.cdf(z)) - np.log(norm.cdf(z))
    np.testing.assert_allclose(found, expected.mean(axis=0), rtol=1e-6)
    # The maximum of so many standard normals has these quartiles.
    quartiles = norm.ppf(np.array([0.25, 0.5, 0.75]) ** (1 / points))
    np.testing.assert_allclose(np.quantile(many, [0.25, 0.5, 0.75]), quartiles, atol=0.03)


@pytest.mark.parametrize("method", LADDERS["acq_optimizer"].methods)
def test_optimisers_of_acquisition_find_the_top_of_a_hill(method: str) -> None:
    top = np.array([0.31, 1.0])  # on a face of the box
    config = {**CONFIG, "ASCENT_STEPS": 60}
    with with_method("acq_optimizer", method) as code:
        known = observations(code, used=5)
        # The best point lies near the top, where the trust region is.
        known = known._replace(x=known.x.at[1].set(jnp.array([0.4, 0.8])), y=known.y.at[1].set(9.0))
        points, values = code.acq_optimizer.maximise(
            lambda x: jnp.exp(-20 * jnp.sum((x - top) ** 2, axis=1)), known, jax.random.key(0), config
        )
        points, values = np.asarray(points), np.asarray(values)
    assert len(points) == len(values) >= config["BATCH_SIZE"]
    assert ((points >= 0) & (points <= 1)).all()
    tolerance = 0.1 if method == "random_candidates" else 0.005
    np.testing.assert_allclose(points[np.argmax(values)], top, atol=tolerance)


def test_the_trust_region_grows_with_successes_and_shrinks_with_failures() -> None:
    config = {**CONFIG, "BUDGET": 80, "INITIAL_SAMPLES": 4}
    rng = np.random.default_rng(3)
    with with_method("acq_optimizer", "trust_region") as code:
        side_of, kind = jax.jit(lambda known: code.acq_optimizer.side_of(known, config)), code.observations.Observations
        for used in (4, 10, 18, 40, 80):
            y = rng.normal(size=80) + np.where(np.arange(80) < 16, np.arange(80), 0)
            found = side_of(kind(jnp.zeros((80, 2)), jnp.asarray(y), jnp.arange(80) < used))
            side, successes, failures, best = 0.8, 0, 0, y[:4].max()
            for number in range(2, used // 2):
                this = y[2 * number : 2 * number + 2].max()
                successes, failures = (successes + 1, 0) if this > best else (0, failures + 1)
                best = max(best, this)
                if successes == 3:
                    side, successes = min(2 * side, 1.6), 0
                elif failures == 2:  # four, or the dimension, over the two points of a batch
                    side, failures = side / 2, 0
                    side = 0.8 if side < 0.5**7 else side
            assert float(found) == pytest.approx(side)


# --- batches and designs ----------------------------------------------------------------------------------------------


def test_penalties_are_probabilities_of_lying_outside_of_balls() -> None:
    queries, chosen = np.random.default_rng(0).random((6, 2)), np.random.default_rng(1).random((3, 2))
    mean, std, slope, best = np.array([0.2, -0.5, 9.0]), np.array([0.3, 0.6, 1.0]), 1.7, 0.4
    with with_method("next_queries", "local_penalisation") as code:
        found = code.next_queries.penalty(jnp.asarray(queries), jnp.asarray(chosen), mean, std, slope, best, 2)
    radii = (best - (mean[:2] + std[:2] * np.random.default_rng(2).normal(size=(100_000, 2)))) / slope
    distance = np.linalg.norm(queries[:, None] - chosen[:2], axis=-1)
    expected = np.prod([(distance[:, each] > radii[:, each, None]).mean(axis=0) for each in (0, 1)], axis=0)
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", LADDERS["next_queries"].methods)
def test_batches_begin_with_the_best_candidate_and_spread(method: str) -> None:
    config = {**CONFIG, "BATCH_SIZE": 3, "NUM_CANDIDATES": 256, "ASCENT_STEPS": 20}
    with with_method("next_queries", method) as code:
        known, key = observations(code, used=6), jax.random.key(0)
        params = code.surrogate.init_params(config)

        def posterior(queries: Any, known: Any = known) -> Any:
            return code.surrogate.predict(params, queries, known, config)

        def acquisition(queries: Any) -> Any:
            return code.acq_fn.acq_fn(queries, posterior, known, key, config)

        def chosen_of(size: int) -> Any:
            candidates, values = code.acq_optimizer.maximise(acquisition, known, key, config)
            of_size = {**config, "BATCH_SIZE": size}
            chosen = code.next_queries.next_queries(candidates, values, posterior, known, key, of_size)
            return candidates[jnp.argmax(values)], chosen

        (best, chosen), (_, single) = (map(np.asarray, jax.jit(chosen_of, static_argnums=0)(size)) for size in (3, 1))
    assert chosen.shape == (3, 2) and np.isfinite(chosen).all()
    np.testing.assert_array_equal(chosen[0], best)
    np.testing.assert_allclose(single, chosen[:1], atol=1e-6)
    apart = min(np.linalg.norm(a - b) for a, b in itertools.combinations(chosen, 2))
    assert (apart > 0.02) == (method != "top_values")


@pytest.mark.parametrize("method", LADDERS["sampler"].methods)
def test_designs_lie_in_the_box_and_depend_on_their_seed(method: str) -> None:
    config = {**CONFIG, "INITIAL_SAMPLES": 8, "DIMENSION": 3}
    with with_method("sampler", method) as code:
        design, same, other = (code.sampler.initial_design(seed, config) for seed in (3, 3, 4))
    assert design.shape == (8, 3) and (design >= 0).all() and (design <= 1).all()
    np.testing.assert_array_equal(design, same)
    assert (design != other).any()
    is_latin = all(sorted(np.floor(8 * column)) == list(range(8)) for column in design.T)
    assert is_latin == ("latin" in method)
