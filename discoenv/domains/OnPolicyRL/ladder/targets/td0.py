"""Rewards of one step and the value of what follows. Sutton 1988."""

import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    """Advantages and targets float32[NUM_STEPS, NUM_ENVS]: errors of temporal differences; λ is 0."""
    next_value = jnp.concatenate([traj_batch.value[1:], last_val[None]])
    next_value = jnp.where(traj_batch.truncated, traj_batch.final_value, next_value)
    next_value = jnp.where(traj_batch.terminated, 0.0, next_value)
    targets = traj_batch.reward + config["GAMMA"] * next_value
    return targets - traj_batch.value, targets
