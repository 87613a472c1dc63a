"""A batch point by point, each time imagining that the last one's value is what the surrogate expects of it."""

import jax
import jax.numpy as jnp
from acq_fn import acq_fn
from observations import Observations


def next_queries(candidates, values, posterior, observations, key, config):
    """The best candidate, then the best given that (Ginsbourger, Le Riche and Carraro 2010, "Kriging believer")."""
    first = jnp.argmax(jnp.nan_to_num(values, nan=-jnp.inf))
    count = observations.mask.sum()

    def pick(carry, slot):
        known, chosen = carry
        point = candidates[chosen]
        mean, _ = posterior(point[None], known)
        row = count + slot
        known = Observations(known.x.at[row].set(point), known.y.at[row].set(mean[0]), known.mask.at[row].set(True))
        given = acq_fn(candidates, lambda queries: posterior(queries, known), known, key, config)
        return (known, jnp.argmax(jnp.nan_to_num(given, nan=-jnp.inf))), point

    _, queries = jax.lax.scan(pick, (observations, first), jnp.arange(config["BATCH_SIZE"]))
    return queries
