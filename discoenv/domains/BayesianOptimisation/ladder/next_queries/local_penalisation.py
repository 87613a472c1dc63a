"""A batch point by point, the acquisition made small where the last ones rule the maximum out. González et al. 2016."""

import jax
import jax.numpy as jnp
from acq_fn import acq_fn
from acq_optimizer import maximise
from jax.scipy.special import ndtr

#: Number of random points at which the slope of the mean is looked at.
POINTS = 512


def next_queries(candidates, values, posterior, observations, key, config):
    """The best candidate, then in turn the maximum of the acquisition times the penalties of those before."""
    size = config["BATCH_SIZE"]
    values = jnp.nan_to_num(values, nan=-jnp.inf)
    first = candidates[jnp.argmax(values)]
    is_positive = jnp.min(values) >= 0
    best = jnp.max(observations.y, where=observations.mask, initial=-jnp.inf)
    slope_key, acquisition_key, key = jax.random.split(key, 3)
    lipschitz = steepest(posterior, jax.random.uniform(slope_key, (POINTS, config["DIMENSION"])))

    def pick(chosen, step):
        slot, key = step
        mean, variance = posterior(chosen)

        def penalised(queries):
            plain = acq_fn(queries, posterior, observations, acquisition_key, config)
            positive = jnp.where(is_positive, plain, jax.nn.softplus(plain))
            return positive * penalty(queries, chosen, mean, jnp.sqrt(variance), lipschitz, best, slot)

        found, worth = maximise(penalised, observations, key, config)
        return chosen.at[slot].set(found[jnp.argmax(jnp.nan_to_num(worth, nan=-jnp.inf))]), None

    chosen = jnp.zeros((size, config["DIMENSION"])).at[0].set(first)
    chosen, _ = jax.lax.scan(pick, chosen, (jnp.arange(1, size), jax.random.split(key, size - 1)))
    return chosen


def steepest(posterior, points):
    """The largest norm of the mean's gradient at points float64[M, DIMENSION], float64[]: a Lipschitz constant."""
    gradient = jax.grad(lambda points: posterior(points)[0].sum())(points)
    return jnp.maximum(jnp.sqrt(jnp.sum(gradient**2, axis=1)).max(), 1e-7)


def penalty(queries, chosen, mean, std, lipschitz, best, count):
    """Probability that no ball around one of the first ``count`` chosen points holds a query, float64[M].

    The maximum is in no ball. A ball's radius is (best − f(chosen)) / lipschitz; f(chosen) is normal.
    """
    distance = jnp.sqrt(jnp.sum((queries[:, None] - chosen) ** 2, axis=-1) + 1e-20)
    outside = ndtr((lipschitz * distance - best + mean) / std)
    return jnp.prod(jnp.where(jnp.arange(len(chosen)) < count, outside, 1.0), axis=1)
