"""Another probability of exploring in each environment, from high to none. Horgan et al. 2018, 4."""

import jax
import jax.numpy as jnp

BASE, EXPONENT = 0.4, 7


def explore(rng, q_vals, t, config):
    """Actions int32[B]: environment i of B is ε-greedy with ε = BASE^(1 + EXPONENT · i / (B − 1))."""
    choose_rng, action_rng = jax.random.split(rng)
    epsilon = BASE ** (1 + EXPONENT * jnp.linspace(0.0, 1.0, len(q_vals)))
    random = jax.random.uniform(choose_rng, q_vals.shape[:1]) < epsilon
    random_action = jax.random.randint(action_rng, q_vals.shape[:1], 0, q_vals.shape[-1])
    return jnp.where(random, random_action, q_vals.argmax(axis=-1))


def exploit(rng, q_vals, t, config):
    """The best actions, int32[B]."""
    return q_vals.argmax(axis=-1)
