"""The best candidate, and the least certain points of where the maximum may be. Contal et al. 2013."""

import jax
import jax.numpy as jnp
from observations import Observations

#: Width of confidence bounds in standard deviations, and number of random points to choose from.
KAPPA, POINTS = 2.0, 1024


def next_queries(candidates, values, posterior, observations, key, config):
    """Points float64[BATCH_SIZE, DIMENSION]; all but the first maximise the variance given those before."""
    first = candidates[jnp.argmax(jnp.nan_to_num(values, nan=-jnp.inf))]
    pool = jnp.concatenate([candidates, jax.random.uniform(key, (POINTS, config["DIMENSION"]))])
    mean, variance = posterior(pool)
    std = jnp.sqrt(variance)
    relevant = mean + 2 * KAPPA * std >= jnp.max(mean - KAPPA * std)
    count = observations.mask.sum()

    def pick(carry, slot):
        known, point = carry
        row = count + slot
        # The variance does not depend on what is imagined to be the value.
        known = Observations(known.x.at[row].set(point), known.y, known.mask.at[row].set(True))
        point = pool[jnp.argmax(jnp.where(relevant, posterior(pool, known)[1], -jnp.inf))]
        return (known, point), point

    _, points = jax.lax.scan(pick, (observations, first), jnp.arange(config["BATCH_SIZE"] - 1))
    return jnp.concatenate([first[None], points])
