"""Which of the candidates are evaluated next."""

import jax
import jax.numpy as jnp


def next_queries(candidates, values, posterior, observations, key, config):
    """The points of one round.

    Args:
        candidates: float64[C, DIMENSION], in the unit box, C at least BATCH_SIZE.
        values: float64[C], their acquisition values.
        posterior: ``posterior(queries, observations) -> (mean, variance)``, float64[M] each; ``observations`` may be
            left out, or be Observations that contain imagined values as well.
        observations: Observations (see observations.py). At least BATCH_SIZE rows are not used yet.
        key: jax.random key.
        config: dict, the dataset's config.yaml: BATCH_SIZE, BUDGET, DIMENSION.

    Returns:
        float64[BATCH_SIZE, DIMENSION], finite. Traced: no Python branches on values.
    """
    # <solution>
    # The best candidates, none of which is closer to another, or to a point known already, than a thousandth of the
    # box's width (if there are not enough of them, the best again).
    closest = 1e-3
    known = jnp.concatenate([observations.x, jnp.zeros((config["BATCH_SIZE"], config["DIMENSION"]))])
    used = jnp.concatenate([observations.mask, jnp.zeros(config["BATCH_SIZE"], bool)])

    def pick(carry, slot):
        known, used = carry
        distance = jnp.abs(candidates[:, None, :] - known[None, :, :]).max(axis=2)
        near = jnp.any((distance < closest) & used, axis=1)
        # Ranks instead of values, so that what is penalised stays behind all others.
        ranks = jnp.argsort(jnp.argsort(jnp.nan_to_num(values, nan=-jnp.inf)))
        chosen = candidates[jnp.argmax(ranks - near * len(candidates))]
        row = len(observations.mask) + slot
        return (known.at[row].set(chosen), used.at[row].set(True)), chosen

    _, queries = jax.lax.scan(pick, (known, used), jnp.arange(config["BATCH_SIZE"]))
    return queries
    # </solution>
