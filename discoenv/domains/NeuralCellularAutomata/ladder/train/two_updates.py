"""Twice as many updates. Hoffer, Hubara and Soudry 2017, Train longer, generalize better."""

import jax
import jax.numpy as jnp
import optax
from loss import compute_loss, compute_sample_loss
from pool import choose, draw, put, take

#: Updates of the parameters in a step of training.
UPDATES = 2


def damage(states, key):
    """``states`` float32[N, H, W, C] with one disc of each grid set to zero."""
    count, height, width, _ = states.shape
    key_row, key_column, key_radius = jax.random.split(key, 3)
    shape = (count, 1, 1)
    radius = jax.random.uniform(key_radius, shape, minval=0.1, maxval=0.3) * height
    rows = jnp.arange(height)[:, None] - jax.random.uniform(key_row, shape, maxval=height)
    columns = jnp.arange(width)[None, :] - jax.random.uniform(key_column, shape, maxval=width)
    rows, columns = (rows + height / 2) % height - height / 2, (columns + width / 2) % width - width / 2
    return states * (rows**2 + columns**2 > radius**2)[..., None]


def make_train_step(nca, optimizer, data, config):
    """A pure function that takes UPDATES steps of the base module; a schedule that has ended stays at its end."""

    def once(carry, key):
        params, optimizer_state, pool = carry
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
        return (params, optimizer_state, put(pool, rows, batch._replace(states=states))), loss

    def train_step(params, optimizer_state, pool, key):
        (params, optimizer_state, pool), losses = jax.lax.scan(
            once, (params, optimizer_state, pool), jax.random.split(key, UPDATES)
        )
        return params, optimizer_state, pool, losses.mean()

    return train_step
