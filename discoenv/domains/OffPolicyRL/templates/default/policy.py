"""How actions follow from action values: while experience is collected, and in the exam."""

import jax
import jax.numpy as jnp


def explore(rng, q_vals, t, config):
    """Actions of the training environments.

    Args:
        rng: JAX key, another one at each step.
        q_vals: float32[B, A], values of all actions in each of B environments.
        t: int32[], environment steps taken so far, over all environments; from 0 to TOTAL_TIMESTEPS.
        config: the run's configuration (immutable mapping).

    Returns:
        int32[B], from 0 to A - 1.
    """
    # <solution>
    # Epsilon-greedy; epsilon falls linearly, then stays.
    progress = jnp.minimum(t / config["EPSILON_DECAY_STEPS"], 1.0)
    epsilon = config["EPSILON_START"] + progress * (config["EPSILON_FINISH"] - config["EPSILON_START"])
    choose_rng, action_rng = jax.random.split(rng)
    random = jax.random.uniform(choose_rng, q_vals.shape[:1]) < epsilon
    random_action = jax.random.randint(action_rng, q_vals.shape[:1], 0, q_vals.shape[-1])
    return jnp.where(random, random_action, q_vals.argmax(axis=-1))
    # </solution>


def exploit(rng, q_vals, t, config):
    """Actions of the trained agent in the exam.

    Args:
        rng: JAX key, another one at each step.
        q_vals: float32[B, A], values of all actions in each of B environments.
        t: int32[], TOTAL_TIMESTEPS: training is over.
        config: the run's configuration (immutable mapping).

    Returns:
        int32[B], from 0 to A - 1.
    """
    # <solution>
    return q_vals.argmax(axis=-1)
    # </solution>
