"""The loop of Bayesian optimisation: what the examiner questions. One round is one compiled function."""

import jax

# Before the modules are imported, which may make arrays: a kernel matrix in single precision is soon not positive.
jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from acq_fn import acq_fn  # noqa: E402
from acq_optimizer import maximise  # noqa: E402
from next_queries import next_queries  # noqa: E402
from observations import Observations  # noqa: E402
from sampler import initial_design  # noqa: E402
from surrogate import init_params, neg_log_likelihood, predict  # noqa: E402
from surrogate_optimizer import fit  # noqa: E402


def make_suggest(config):
    """The round ``suggest(params, observations, key) -> (params, queries)``.

    ``params`` are the surrogate's of the round before, then those of this one; queries are float64[BATCH_SIZE,
    DIMENSION], clipped to the unit box.
    """

    def suggest(params, observations, key):
        fit_key, acquisition_key, optimizer_key, query_key = jax.random.split(key, 4)
        observations = standardised(observations)

        def loss(params):
            return neg_log_likelihood(params, observations, config)

        params = fit(loss, params, fit_key, config)

        def posterior(queries, observations=observations):
            return predict(params, queries, observations, config)

        def acquisition(queries):
            return acq_fn(queries, posterior, observations, acquisition_key, config)

        candidates, values = maximise(acquisition, observations, optimizer_key, config)
        queries = next_queries(candidates, values, posterior, observations, query_key, config)
        return params, jnp.clip(queries, 0.0, 1.0)

    return suggest


def standardised(observations):
    """The observations with values of mean 0 and standard deviation 1."""
    x, y, mask = observations
    count = jnp.maximum(mask.sum(), 1)
    centred = jnp.where(mask, y - jnp.sum(y, where=mask) / count, 0.0)
    scale = jnp.sqrt(jnp.sum(centred**2) / count)
    return Observations(x, centred / jnp.where(scale > 0, scale, 1.0), mask)


class Optimiser:
    """Maximises one function after another.

    Args:
        config: dict, the dataset's config.yaml.
        seed: int, of everything random.
    """

    def __init__(self, config, seed):
        self._config = config
        self._seed = np.random.SeedSequence(seed)
        self._key = jax.random.key(seed)
        self._suggest = jax.jit(make_suggest(config))
        self._functions = 0

    def start(self):
        """Forget the function before, whatever was known of it; a new one begins."""
        config = self._config
        self._functions += 1
        self._design = np.clip(initial_design(int(self._seed.spawn(1)[0].generate_state(1)[0]), config), 0.0, 1.0)
        if self._design.shape != (config["INITIAL_SAMPLES"], config["DIMENSION"]):
            raise ValueError(f"sampler.py: initial_design gave an array of shape {self._design.shape}")
        self._params = init_params(config)
        self._x = np.zeros((config["BUDGET"], config["DIMENSION"]))
        self._y = np.zeros(config["BUDGET"])
        self._count = 0

    def ask(self):
        """The next points to evaluate: float64[BATCH_SIZE, DIMENSION], in the unit box."""
        after = self._count + self._config["BATCH_SIZE"]
        if after <= len(self._design):
            return self._design[self._count : after]
        self._key, key = jax.random.split(self._key)
        mask = np.arange(len(self._y)) < self._count
        self._params, queries = self._suggest(self._params, Observations(self._x, self._y, mask), key)
        return np.asarray(queries)

    def tell(self, x, y):
        """The values float64[BATCH_SIZE] of the points x, float64[BATCH_SIZE, DIMENSION]; more is better."""
        rows = slice(self._count, self._count + len(y))
        self._x[rows], self._y[rows] = x, y
        self._count += len(y)
        if self._count == len(self._y):
            counts = np.unique(np.linspace(len(self._design), self._count, 5).astype(int))
            best = ", ".join(f"{self._y[:count].max():.4g} after {count}" for count in counts)
            print(f"function {self._functions}: best value {best} evaluations")

    def rehearse(self):
        """One round on an invented function: compiles everything, and shows mistakes before the exam begins."""
        self.start()
        while self._count <= len(self._design):
            x = self.ask()
            self.tell(x, -np.sum((x - 0.3) ** 2, axis=1))
        self._functions = 0
