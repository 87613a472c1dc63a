"""Random actions in training. Watkins and Dayan 1992."""

import jax


def explore(rng, q_vals, t, config):
    """Actions int32[B] drawn uniformly: learning is off-policy all along."""
    return jax.random.randint(rng, q_vals.shape[:1], 0, q_vals.shape[-1])


def exploit(rng, q_vals, t, config):
    """The best actions, int32[B]."""
    return q_vals.argmax(axis=-1)
