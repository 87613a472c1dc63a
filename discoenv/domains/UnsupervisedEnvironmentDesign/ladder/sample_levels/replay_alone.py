"""Robust prioritised level replay (Jiang et al. 2021): only levels of the buffer are trained on."""

import jax
from buffer import draw_levels


def propose_levels(key, env, buffer, progress, config):
    """CANDIDATES random levels."""
    return jax.vmap(env.sample)(jax.random.split(key, config["CANDIDATES"]))


def choose_levels(key, env, buffer, progress, config):
    """NUM_ENVS levels of the buffer."""
    return draw_levels(key, buffer, config["NUM_ENVS"], config)
