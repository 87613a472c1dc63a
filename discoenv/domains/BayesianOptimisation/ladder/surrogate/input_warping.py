"""A Gaussian process on inputs that are bent by learned monotonic functions. Snoek et al. 2014."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl

#: Variance of the prior of logarithms of the warps' exponents, whose mean is the identity.
WARP_VARIANCE = 0.75


def init_params(config):
    """Unconstrained parameters before anything is fitted."""
    return {
        "log_lengthscales": jnp.full(config["DIMENSION"], jnp.log(0.3)),
        "log_amplitude": jnp.zeros(()),
        "log_warps": jnp.zeros((2, config["DIMENSION"])),
        "log_noise": jnp.log(jnp.array(1e-2)),
    }


def neg_log_likelihood(params, observations, config):
    """Negative log marginal likelihood of ``y`` minus the log prior of the parameters, float64[]."""
    cholesky = factor(params, observations)
    whitened = jsl.solve_triangular(cholesky, observations.y, lower=True)
    count = observations.mask.sum()
    likelihood = -0.5 * whitened @ whitened - jnp.sum(jnp.log(jnp.diag(cholesky))) - 0.5 * count * jnp.log(2 * jnp.pi)
    return -likelihood - log_prior(params, config)


def log_prior(params, config):
    """Log density of the parameters up to a constant, float64[]."""
    prior = -0.5 * jnp.sum((params["log_lengthscales"] - jnp.log(0.4)) ** 2)
    prior -= 0.5 * jnp.sum(params["log_warps"] ** 2) / WARP_VARIANCE
    return prior - 0.5 * params["log_amplitude"] ** 2 - 0.5 * ((params["log_noise"] - jnp.log(1e-2)) / 1.5) ** 2


def predict(params, queries, observations, config):
    """Posterior (mean, variance) of the noise-free function at queries float64[M, DIMENSION], float64[M] each."""
    cholesky = factor(params, observations)
    cross = jnp.where(observations.mask[:, None], kernel(params, observations.x, queries), 0.0)
    whitened = jsl.solve_triangular(cholesky, cross, lower=True)
    mean = whitened.T @ jsl.solve_triangular(cholesky, observations.y, lower=True)
    amplitude = jnp.exp(2 * params["log_amplitude"])
    return mean, jnp.maximum(amplitude - jnp.sum(whitened**2, axis=0), 1e-12 * amplitude)


def kernel(params, a, b):
    """Matérn-5/2 covariance of warped points with one length scale per dimension, float64[N, M]."""
    a, b = warp(params, a), warp(params, b)
    scales = jnp.exp(params["log_lengthscales"])
    difference = a[:, None, :] / scales - b[None, :, :] / scales
    distance = jnp.sqrt(5 * jnp.sum(difference**2, axis=-1) + 1e-20)
    return jnp.exp(2 * params["log_amplitude"]) * (1 + distance + distance**2 / 3) * jnp.exp(-distance)


def warp(params, x):
    """Kumaraswamy's distribution function, 1 − (1 − x^α)^β, in each dimension: float64[N, DIMENSION] of the same."""
    alpha, beta = jnp.exp(params["log_warps"])
    inside = 1e-6 + (1 - 2e-6) * x  # where its slope is finite
    return 1 - (1 - inside**alpha) ** beta


def factor(params, observations):
    """Cholesky factor of the covariance of ``y``, float64[BUDGET, BUDGET]; unused rows are those of the identity."""
    x, _, mask = observations
    used = mask[:, None] & mask[None, :]
    noise = jnp.where(mask, jnp.exp(2 * params["log_noise"]) + 1e-8 * jnp.exp(2 * params["log_amplitude"]), 1.0)
    return jnp.linalg.cholesky(jnp.where(used, kernel(params, x, x), 0.0) + jnp.diag(noise))
