"""Learnability with the correction n / (n + 1) for few episodes (Rutherford et al. 2024, No regrets)."""

import jax.numpy as jnp


def score_levels(play, config):
    """Scores float32[N] of N levels; see Play of play.py for the arrays [T, A, N]."""
    solved, episodes = (jnp.sum(x, axis=(0, 1)) for x in (play.solved, play.ended))
    p = solved / jnp.maximum(episodes, 1)
    return p * (1.0 - p) * episodes / (episodes + 1)
