"""The acquisition function: how much a point is worth being evaluated next."""

import jax.numpy as jnp
from jax.scipy.stats import norm


def acq_fn(queries, posterior, observations, key, config):
    """Acquisition values.

    Args:
        queries: float64[M, DIMENSION], in the unit box.
        posterior: ``posterior(queries) -> (mean, variance)``, float64[M] each, of the noise-free function at each
            point, given all observations; in the same units as ``observations.y``.
        observations: Observations (see observations.py); ``y`` is standardised, and more is better.
        key: jax.random key, the same in all calls of one round.
        config: dict, the dataset's config.yaml: BUDGET, BATCH_SIZE, DIMENSION. How many evaluations are left follows
            from ``observations.mask``.

    Returns:
        float64[M], more is better; finite, and differentiable in ``queries`` if the optimiser of acquisition functions
        uses gradients.
    """
    # <solution>
    # Expected improvement (Jones, Schonlau and Welch 1998, eq. 15) over the best value seen.
    mean, variance = posterior(queries)
    std = jnp.sqrt(variance)
    improvement = mean - jnp.max(observations.y, where=observations.mask, initial=-jnp.inf)
    z = improvement / std
    return improvement * norm.cdf(z) + std * norm.pdf(z)
    # </solution>
