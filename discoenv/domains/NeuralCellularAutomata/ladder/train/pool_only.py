"""A pool, without damage. Mordvintsev et al. 2020, Growing neural cellular automata, experiment 2."""

import jax
import jax.numpy as jnp
import optax
from loss import compute_loss, compute_sample_loss
from pool import choose, draw, put, take


def make_train_step(nca, optimizer, data, config):
    """A pure function that takes one step of training; FRESH of a batch start anew."""

    def train_step(params, optimizer_state, pool, key):
        key_rows, key_fresh, key_loss = jax.random.split(key, 3)
        rows = choose(pool, key_rows, config["BATCH"])
        if config["DAMAGED"]:  # growing tasks: the worst start anew
            rows = rows[jnp.argsort(-compute_sample_loss(*take(pool, rows), config))]
        fresh = config["FRESH"]
        batch = put(take(pool, rows), jnp.arange(fresh), draw(data, key_fresh, fresh))
        (loss, states), gradients = jax.value_and_grad(compute_loss, has_aux=True)(params, nca, batch, key_loss, config)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        return params, optimizer_state, put(pool, rows, batch._replace(states=states)), loss

    return train_step
