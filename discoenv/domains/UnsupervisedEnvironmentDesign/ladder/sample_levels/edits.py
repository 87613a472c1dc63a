"""ACCEL (Parker-Holder et al. 2022): half of the candidates are edits of levels in the buffer."""

import jax
import jax.numpy as jnp
from buffer import draw_levels


def propose_levels(key, env, buffer, progress, config):
    """CANDIDATES levels: half of them random, half of them edits of levels in the buffer."""
    random_key, draw_key, edit_key = jax.random.split(key, 3)
    count = config["CANDIDATES"] // 2
    fresh = jax.vmap(env.sample)(jax.random.split(random_key, config["CANDIDATES"] - count))
    parents, _ = draw_levels(draw_key, buffer, count, config)

    def edit(levels, key):
        return jax.vmap(env.mutate)(jax.random.split(key, count), levels), None

    children, _ = jax.lax.scan(edit, parents, jax.random.split(edit_key, config["EDITS"]))
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y]), fresh, children)


def choose_levels(key, env, buffer, progress, config):
    """Random levels, and levels of the buffer."""
    random_key, draw_key = jax.random.split(key)
    count = round(config["FRESH"] * config["NUM_ENVS"])
    fresh = jax.vmap(env.sample)(jax.random.split(random_key, count))
    drawn, index = draw_levels(draw_key, buffer, config["NUM_ENVS"] - count, config)
    levels = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), fresh, drawn)
    return levels, jnp.concatenate([jnp.full(count, -1), index])
