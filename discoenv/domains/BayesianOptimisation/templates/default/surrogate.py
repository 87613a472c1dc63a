"""The surrogate: a probabilistic model of the function, given what is known of it."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl

# Everything is a pure function of arrays with a fixed number of rows: rows of ``observations`` that are not used yet
# must have no influence.


def init_params(config):
    """Parameters before anything is fitted.

    Args:
        config: dict, the dataset's config.yaml: DIMENSION, BUDGET.

    Returns:
        A pytree of float64 arrays, unconstrained: an optimiser may add anything to them.
    """
    # <solution>
    return {
        "log_lengthscales": jnp.full(config["DIMENSION"], jnp.log(0.3)),
        "log_amplitude": jnp.zeros(()),
        "log_noise": jnp.log(jnp.array(1e-2)),
    }
    # </solution>


def neg_log_likelihood(params, observations, config):
    """What the surrogate's parameters are fitted by minimising.

    Args:
        params: as :func:`init_params` returns.
        observations: Observations (see observations.py); ``y`` is standardised.
        config: dict, the dataset's config.yaml.

    Returns:
        float64[], finite and differentiable: the negative log marginal likelihood of ``y``, with or without priors.
    """
    # <solution>
    # Rasmussen and Williams (2006), eq. 2.30, and weak normal priors on the logarithms of the parameters, which decide
    # while there are few observations.
    cholesky = factor(params, observations)
    whitened = jsl.solve_triangular(cholesky, observations.y, lower=True)
    count = observations.mask.sum()
    likelihood = -0.5 * whitened @ whitened - jnp.sum(jnp.log(jnp.diag(cholesky))) - 0.5 * count * jnp.log(2 * jnp.pi)
    prior = -0.5 * jnp.sum((params["log_lengthscales"] - jnp.log(0.4)) ** 2)
    prior += -0.5 * params["log_amplitude"] ** 2 - 0.5 * ((params["log_noise"] - jnp.log(1e-2)) / 1.5) ** 2
    return -likelihood - prior
    # </solution>


def predict(params, queries, observations, config):
    """The posterior of the noise-free function, one point at a time.

    Args:
        params: as :func:`init_params` returns.
        queries: float64[M, DIMENSION], in the unit box.
        observations: Observations (see observations.py); ``y`` is standardised.
        config: dict, the dataset's config.yaml.

    Returns:
        (mean, variance), float64[M] each, differentiable in ``queries``; variances are positive.
    """
    # <solution>
    # Rasmussen and Williams (2006), eqs. 2.25 and 2.26.
    cholesky = factor(params, observations)
    amplitude = jnp.exp(2 * params["log_amplitude"])
    cross = jnp.where(observations.mask[:, None], kernel(params, observations.x, queries), 0.0)
    whitened = jsl.solve_triangular(cholesky, cross, lower=True)
    mean = whitened.T @ jsl.solve_triangular(cholesky, observations.y, lower=True)
    return mean, jnp.maximum(amplitude - jnp.sum(whitened**2, axis=0), 1e-12 * amplitude)
    # </solution>


def kernel(params, a, b):
    """Prior covariance between two sets of points. Only this file uses it: change or drop it as you like.

    Args:
        params: as :func:`init_params` returns.
        a, b: float64[N, DIMENSION] and float64[M, DIMENSION].

    Returns:
        float64[N, M].
    """
    # <solution>
    # Matérn with ν = 5/2 and one length scale per dimension (Rasmussen and Williams 2006, eq. 4.17). The small constant
    # keeps the gradient of the root finite at distance 0.
    scales = jnp.exp(params["log_lengthscales"])
    difference = a[:, None, :] / scales - b[None, :, :] / scales
    distance = jnp.sqrt(5 * jnp.sum(difference**2, axis=-1) + 1e-20)
    return jnp.exp(2 * params["log_amplitude"]) * (1 + distance + distance**2 / 3) * jnp.exp(-distance)
    # </solution>


def factor(params, observations):
    """Cholesky factor of the covariance of ``y``. Only this file uses it: change or drop it as you like.

    Args:
        params: as :func:`init_params` returns.
        observations: Observations (see observations.py).

    Returns:
        float64[BUDGET, BUDGET], lower triangular; rows that are not used yet are those of the identity matrix.
    """
    # <solution>
    x, _, mask = observations
    used = mask[:, None] & mask[None, :]
    jitter = 1e-8 * jnp.exp(2 * params["log_amplitude"])
    noise = jnp.where(mask, jnp.exp(2 * params["log_noise"]) + jitter, 1.0)
    return jnp.linalg.cholesky(jnp.where(used, kernel(params, x, x), 0.0) + jnp.diag(noise))
    # </solution>
