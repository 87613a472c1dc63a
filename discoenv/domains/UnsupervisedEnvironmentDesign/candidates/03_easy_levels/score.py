"""Levels that are solved most often score highest: what the policy can do already."""

import jax.numpy as jnp


def score_levels(play, config):
    """Scores float32[N] of N levels; see Play of play.py for the arrays [T, A, N]."""
    solved, episodes = (jnp.sum(x, axis=(0, 1)) for x in (play.solved, play.ended))
    return solved / jnp.maximum(episodes, 1)
