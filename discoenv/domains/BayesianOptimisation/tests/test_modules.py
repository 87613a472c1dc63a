"""BayesianOptimisation's modules: formulas against plain NumPy, and contracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BayesianOptimisation.tests.conftest import DOMAIN
from discoenv.testing import import_learner, import_workspace

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("optax")
scipy_stats = pytest.importorskip("scipy.stats")

CANDIDATES = sorted((Path(__file__).parents[1] / "candidates").glob("[0-9]*"))
CONFIG = {**DOMAIN.config("Branin2d", "tiny"), "BATCH_SIZE": 2, "BUDGET": 12, "INITIAL_SAMPLES": 4}
PARAMS = {"log_lengthscales": np.log([0.3, 0.5]), "log_amplitude": np.array(0.2), "log_noise": np.log(0.1)}


def observations(code: Any, used: int, rows: int = 12, dimension: int = 2, seed: int = 0) -> Any:
    """Observations whose unused rows hold rubbish."""
    rng = np.random.default_rng(seed)
    x, y = rng.random((rows, dimension)), rng.normal(size=rows)
    mask = np.arange(rows) < used
    return code.observations.Observations(jnp.asarray(x), jnp.asarray(np.where(mask, y, 0.0)), jnp.asarray(mask))


def matern(a: Any, b: Any) -> Any:
    """The Matérn-5/2 kernel of PARAMS, entry by entry."""
    scales, variance = np.exp(PARAMS["log_lengthscales"]), np.exp(2 * PARAMS["log_amplitude"])
    entries = np.empty((len(a), len(b)))
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            r = np.linalg.norm((p - q) / scales)
            entries[i, j] = variance * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    return entries


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
        nothing = observations(code, used=0)
        loss = code.surrogate.neg_log_likelihood
        return float(loss(PARAMS, known, CONFIG) - loss(PARAMS, nothing, CONFIG))

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
