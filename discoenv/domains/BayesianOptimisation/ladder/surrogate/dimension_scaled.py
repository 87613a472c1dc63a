"""A Gaussian process that expects longer length scales in more dimensions. Hvarfner, Hellsten and Nardi 2024."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl

#: The log length scale's prior is normal with this mean, to which half the log of the dimension is added, and spread.
LOCATION, SPREAD = 2.0**0.5, 3.0**0.5


def init_params(config):
    """Unconstrained parameters before anything is fitted."""
    mode = LOCATION + 0.5 * jnp.log(config["DIMENSION"]) - SPREAD**2
    return {"log_lengthscales": jnp.full(config["DIMENSION"], mode), "log_noise": jnp.log(jnp.array(1e-2))}


def neg_log_likelihood(params, observations, config):
    """Negative log marginal likelihood of ``y`` minus the log prior of the parameters, float64[]."""
    cholesky = factor(params, observations)
    whitened = jsl.solve_triangular(cholesky, observations.y, lower=True)
    count = observations.mask.sum()
    likelihood = -0.5 * whitened @ whitened - jnp.sum(jnp.log(jnp.diag(cholesky))) - 0.5 * count * jnp.log(2 * jnp.pi)
    return -likelihood - log_prior(params, config)


def log_prior(params, config):
    """Log density of the parameters up to a constant, float64[]."""
    # Log-normal length scales: the density of the length scale, not of its logarithm.
    scales = params["log_lengthscales"]
    z = (scales - LOCATION - 0.5 * jnp.log(config["DIMENSION"])) / SPREAD
    return -jnp.sum(scales + 0.5 * z**2) - 0.5 * ((params["log_noise"] - jnp.log(1e-2)) / 1.5) ** 2


def predict(params, queries, observations, config):
    """Posterior (mean, variance) of the noise-free function at queries float64[M, DIMENSION], float64[M] each."""
    cholesky = factor(params, observations)
    cross = jnp.where(observations.mask[:, None], kernel(params, observations.x, queries), 0.0)
    whitened = jsl.solve_triangular(cholesky, cross, lower=True)
    mean = whitened.T @ jsl.solve_triangular(cholesky, observations.y, lower=True)
    amplitude = 1.0
    return mean, jnp.maximum(amplitude - jnp.sum(whitened**2, axis=0), 1e-12 * amplitude)


def kernel(params, a, b):
    """Matérn-5/2 covariance of unit variance with one length scale per dimension, float64[N, M]."""
    scales = jnp.exp(params["log_lengthscales"])
    difference = a[:, None, :] / scales - b[None, :, :] / scales
    distance = jnp.sqrt(5 * jnp.sum(difference**2, axis=-1) + 1e-20)
    return (1 + distance + distance**2 / 3) * jnp.exp(-distance)


def factor(params, observations):
    """Cholesky factor of the covariance of ``y``, float64[BUDGET, BUDGET]; unused rows are those of the identity."""
    x, _, mask = observations
    used = mask[:, None] & mask[None, :]
    noise = jnp.where(mask, jnp.exp(2 * params["log_noise"]) + 1e-8, 1.0)
    return jnp.linalg.cholesky(jnp.where(used, kernel(params, x, x), 0.0) + jnp.diag(noise))
