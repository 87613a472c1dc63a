"""One step of training."""

import jax
import jax.numpy as jnp
import optax
from loss import compute_loss, compute_sample_loss
from pool import choose, draw, put, take


def damage(states, key):
    """``states`` float32[N, H, W, C] with one disc of each grid set to zero."""
    # <solution>
    count, height, width, _ = states.shape
    key_row, key_column, key_radius = jax.random.split(key, 3)
    shape = (count, 1, 1)
    radius = jax.random.uniform(key_radius, shape, minval=0.1, maxval=0.3) * height
    rows = jnp.arange(height)[:, None] - jax.random.uniform(key_row, shape, maxval=height)
    columns = jnp.arange(width)[None, :] - jax.random.uniform(key_column, shape, maxval=width)
    rows, columns = (rows + height / 2) % height - height / 2, (columns + width / 2) % width - width / 2
    return states * (rows**2 + columns**2 > radius**2)[..., None]
    # </solution>


def make_train_step(nca, optimizer, data, config):
    """A pure function that takes one step of training; it is compiled, and called TRAIN_STEPS times.

    Args:
        nca: the automaton (see nca.py).
        optimizer: as from optimiser.py; its state was made by ``optimizer.init(params)``.
        data: Samples (see pool.py), the training data, as traced arrays.
        config: the run's configuration (immutable mapping): BATCH, FRESH, DAMAGED.

    Returns:
        ``train_step(params, optimizer_state, pool, key) -> (params, optimizer_state, pool, loss)``, where ``pool`` is
        Samples with POOL rows, fresh from the training data at first, and the loss is float32[].
    """

    def train_step(params, optimizer_state, pool, key):
        # <solution>
        key_rows, key_fresh, key_damage, key_loss = jax.random.split(key, 4)
        rows = choose(pool, key_rows, config["BATCH"])
        if config["DAMAGED"]:  # the worst first; where targets differ, that would rid the pool of the hard ones
            rows = rows[jnp.argsort(-compute_sample_loss(*take(pool, rows), config))]
        # Some samples start anew, or else the automaton would forget how to begin; the best ones are damaged.
        fresh = config["FRESH"]
        batch = put(take(pool, rows), jnp.arange(fresh), draw(data, key_fresh, fresh))
        if config["DAMAGED"]:
            best = batch.states[-config["DAMAGED"] :]
            batch = batch._replace(states=batch.states.at[-config["DAMAGED"] :].set(damage(best, key_damage)))
        (loss, states), gradients = jax.value_and_grad(compute_loss, has_aux=True)(params, nca, batch, key_loss, config)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        return params, optimizer_state, put(pool, rows, batch._replace(states=states)), loss
        # </solution>

    return train_step
