"""A batch point by point, each time imagining the mean as the last one's value. Ginsbourger et al. 2010."""

import jax
import jax.numpy as jnp
from acq_fn import acq_fn
from acq_optimizer import maximise
from observations import Observations


def next_queries(candidates, values, posterior, observations, key, config):
    """The best candidate, then in turn the best point given the values that the surrogate expects of those before."""
    first = candidates[jnp.argmax(jnp.nan_to_num(values, nan=-jnp.inf))]
    count = observations.mask.sum()

    def pick(carry, step):
        known, point = carry
        slot, key = step
        lie = posterior(point[None], known)[0][0]
        row = count + slot
        known = Observations(known.x.at[row].set(point), known.y.at[row].set(lie), known.mask.at[row].set(True))

        def acquisition(queries):
            return acq_fn(queries, lambda queries: posterior(queries, known), known, key, config)

        found, worth = maximise(acquisition, known, key, config)
        point = found[jnp.argmax(jnp.nan_to_num(worth, nan=-jnp.inf))]
        return (known, point), point

    rest = config["BATCH_SIZE"] - 1
    _, points = jax.lax.scan(pick, (observations, first), (jnp.arange(rest), jax.random.split(key, rest)))
    return jnp.concatenate([first[None], points])
