"""Always from fresh samples. Mordvintsev et al. 2020, Growing neural cellular automata, experiment 1."""

import jax
import optax
from loss import compute_loss
from pool import draw


def make_train_step(nca, optimizer, data, config):
    """A pure function that takes one step of training; the pool is left alone."""

    def train_step(params, optimizer_state, pool, key):
        key_fresh, key_loss = jax.random.split(key)
        batch = draw(data, key_fresh, config["BATCH"])
        (loss, _), gradients = jax.value_and_grad(compute_loss, has_aux=True)(params, nca, batch, key_loss, config)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, pool, loss

    return train_step
