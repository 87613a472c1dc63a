"""Eight levels for the whole of training: too few to generalise from (Cobbe et al. 2020)."""

import jax
import jax.numpy as jnp


def propose_levels(key, env, buffer, progress, config):
    """CANDIDATES random levels, of which no use is made."""
    return jax.vmap(env.sample)(jax.random.split(key, config["CANDIDATES"]))


def choose_levels(key, env, buffer, progress, config):
    """NUM_ENVS copies of eight random levels, always the same; none is from the buffer."""
    levels = jax.vmap(env.sample)(jax.random.split(jax.random.key(0), 8))
    which = jnp.arange(config["NUM_ENVS"]) % 8
    return jax.tree.map(lambda x: x[which], levels), jnp.full(config["NUM_ENVS"], -1)
