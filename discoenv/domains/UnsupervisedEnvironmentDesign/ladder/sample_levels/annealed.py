"""Random levels first, the buffer's last: a curriculum (Bengio et al. 2009) over sampling for learnability."""

import jax
import jax.numpy as jnp
from buffer import draw_levels


def propose_levels(key, env, buffer, progress, config):
    """CANDIDATES random levels."""
    return jax.vmap(env.sample)(jax.random.split(key, config["CANDIDATES"]))


def choose_levels(key, env, buffer, progress, config):
    """Random levels give way to those of the buffer, from all at the start to none at the end."""
    random_key, draw_key, which_key = jax.random.split(key, 3)
    count = config["NUM_ENVS"]
    fresh = jax.vmap(env.sample)(jax.random.split(random_key, count))
    drawn, index = draw_levels(draw_key, buffer, count, config)
    random = jax.random.uniform(which_key, (count,)) >= progress
    levels = jax.tree.map(lambda x, y: jnp.where(random.reshape(-1, *[1] * (x.ndim - 1)), x, y), fresh, drawn)
    return levels, jnp.where(random, -1, index)
