"""States with a high loss are trained on more often. Schaul et al. 2016, Prioritized experience replay."""

import jax
import jax.numpy as jnp
import optax
from loss import compute_loss, compute_sample_loss
from pool import draw, put, take

#: Chances are proportional to losses to this power.
EXPONENT = 0.6


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
    """A pure function that takes one step of training; random ones of a batch start anew."""

    def train_step(params, optimizer_state, pool, key):
        key_rows, key_order, key_fresh, key_damage, key_loss = jax.random.split(key, 5)
        chances = EXPONENT * jnp.log(compute_sample_loss(*pool, config) + 1e-6)
        # The largest of chances with Gumbel noise: a sample without repetition (Kool et al. 2019).
        noisy = chances + jax.random.gumbel(key_rows, chances.shape)
        rows = jax.random.permutation(key_order, jax.lax.top_k(noisy, config["BATCH"])[1])
        fresh = config["FRESH"]
        batch = put(take(pool, rows), jnp.arange(fresh), draw(data, key_fresh, fresh))
        if config["DAMAGED"]:
            last = batch.states[-config["DAMAGED"] :]
            batch = batch._replace(states=batch.states.at[-config["DAMAGED"] :].set(damage(last, key_damage)))
        (loss, states), gradients = jax.value_and_grad(compute_loss, has_aux=True)(params, nca, batch, key_loss, config)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        return params, optimizer_state, put(pool, rows, batch._replace(states=states)), loss

    return train_step
