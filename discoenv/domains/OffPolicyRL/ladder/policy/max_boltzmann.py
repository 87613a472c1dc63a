"""ε-greedy whose other actions are drawn by softmax. Wiering 1999."""

import jax
import jax.numpy as jnp


def explore(rng, q_vals, t, config):
    """Actions int32[B]: the best one, or with probability ε one drawn from softmax(Q); ε falls as in the baseline."""
    progress = jnp.minimum(t / config["EPSILON_DECAY_STEPS"], 1.0)
    epsilon = config["EPSILON_START"] + progress * (config["EPSILON_FINISH"] - config["EPSILON_START"])
    choose_rng, action_rng = jax.random.split(rng)
    is_drawn = jax.random.uniform(choose_rng, q_vals.shape[:1]) < epsilon
    return jnp.where(is_drawn, jax.random.categorical(action_rng, q_vals), q_vals.argmax(axis=-1))


def exploit(rng, q_vals, t, config):
    """The best actions, int32[B]."""
    return q_vals.argmax(axis=-1)
