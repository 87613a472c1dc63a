"""Learnability p (1 - p) of first episodes, so that long ones count as much as short ones (Rutherford et al. 2024)."""

import jax.numpy as jnp


def score_levels(play, config):
    """Scores float32[N] of N levels; see Play of play.py for the arrays [T, A, N]."""
    first = jnp.cumsum(play.ended, axis=0) - play.ended == 0
    p = (play.solved & first).any(axis=0).mean(axis=0)
    return p * (1.0 - p)
