"""Levels are all worth the same: domain randomisation (Tobin et al. 2017)."""

import jax.numpy as jnp


def score_levels(play, config):
    """Scores float32[N] of N levels; see Play of play.py for the arrays [T, A, N]."""
    return jnp.zeros(play.reward.shape[2])
