"""Thompson sampling (Thompson 1933), with deviations from the mean that vary smoothly from point to point."""

import jax
import jax.numpy as jnp

FEATURES = 256
LENGTHSCALE = 0.2


def acq_fn(queries, posterior, observations, key, config):
    """A value drawn from each point's posterior, the same function all round long."""
    mean, variance = posterior(queries)
    keys = jax.random.split(key, 3)
    frequencies = jax.random.normal(keys[0], (FEATURES, config["DIMENSION"])) / LENGTHSCALE
    phases = jax.random.uniform(keys[1], (FEATURES,), maxval=2 * jnp.pi)
    weights = jax.random.normal(keys[2], (FEATURES,))
    # A draw from a Gaussian process of unit variance (Rahimi and Recht 2007).
    deviation = jnp.sqrt(2 / FEATURES) * jnp.cos(queries @ frequencies.T + phases) @ weights
    return mean + jnp.sqrt(variance) * deviation
