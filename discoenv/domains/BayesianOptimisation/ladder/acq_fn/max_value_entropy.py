"""Max-value entropy search: what a value would say about the height of the maximum. Wang and Jegelka 2017."""

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jax.scipy.stats import norm

#: Number of maxima that are sampled, of points that their distribution follows from, and of levels to read it at.
SAMPLES, POINTS, LEVELS = 10, 256, 100


def acq_fn(queries, posterior, observations, key, config):
    """Information gained about the maximum, float64[M]: mean over samples of z φ(z) / (2 Φ(z)) − log Φ(z)."""
    mean, variance = posterior(queries)
    maxima = sample_maxima(posterior, observations, key, config)
    z = (maxima[:, None] - mean) / jnp.sqrt(variance)
    log_cdf = log_ndtr(z)
    return jnp.mean(0.5 * z * jnp.exp(norm.logpdf(z) - log_cdf) - log_cdf, axis=0)


def sample_maxima(posterior, observations, key, config):
    """Draws of the maximum, float64[SAMPLES], from a Gumbel distribution with the quartiles of independent normals."""
    points_key, sample_key = jax.random.split(key)
    points = jax.random.uniform(points_key, (POINTS, config["DIMENSION"]))
    mean, variance = posterior(jnp.concatenate([points, observations.x]))
    std = jnp.sqrt(variance)
    levels = jnp.linspace(jnp.max(mean - 5 * std), jnp.max(mean + 5 * std), LEVELS)
    below = jnp.exp(jnp.sum(log_ndtr((levels[:, None] - mean) / std), axis=1))
    low, median, high = jnp.interp(jnp.array([0.25, 0.5, 0.75]), below, levels)
    scale = (high - low) / (jnp.log(jnp.log(4.0)) - jnp.log(jnp.log(4.0 / 3.0)))
    location = median + scale * jnp.log(jnp.log(2.0))
    uniform = jax.random.uniform(sample_key, (SAMPLES,), minval=1e-9, maxval=1 - 1e-9)
    maxima = location - scale * jnp.log(-jnp.log(uniform))
    best = jnp.max(observations.y, where=observations.mask, initial=-jnp.inf)
    return jax.lax.stop_gradient(jnp.maximum(maxima, best))
