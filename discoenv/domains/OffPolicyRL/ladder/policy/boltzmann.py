"""Softmax exploration, which prefers better actions. Sutton and Barto 1998, 2.3."""

import jax
import jax.numpy as jnp


def explore(rng, q_vals, t, config):
    """Actions int32[B] drawn from softmax(Q / temperature); the temperature falls as ε does in the baseline."""
    progress = jnp.minimum(t / config["EPSILON_DECAY_STEPS"], 1.0)
    temperature = config["EPSILON_START"] + progress * (config["EPSILON_FINISH"] - config["EPSILON_START"])
    return jax.random.categorical(rng, q_vals / temperature)


def exploit(rng, q_vals, t, config):
    """The best actions, int32[B]."""
    return q_vals.argmax(axis=-1)
