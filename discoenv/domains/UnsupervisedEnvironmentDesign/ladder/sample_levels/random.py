"""Domain randomisation (Tobin et al. 2017): all levels are random."""

import jax
import jax.numpy as jnp


def propose_levels(key, env, buffer, progress, config):
    """CANDIDATES random levels."""
    return jax.vmap(env.sample)(jax.random.split(key, config["CANDIDATES"]))


def choose_levels(key, env, buffer, progress, config):
    """NUM_ENVS random levels; none is from the buffer."""
    count = config["NUM_ENVS"]
    return jax.vmap(env.sample)(jax.random.split(key, count)), jnp.full(count, -1)
