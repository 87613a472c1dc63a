"""Rewards of five steps and the value of what follows. Mnih et al. 2016."""

import jax.numpy as jnp

STEPS = 5


def get_targets(traj_batch, last_val, config):
    """Advantages and targets float32[NUM_STEPS, NUM_ENVS]: returns of STEPS steps, fewer at the rollout's end."""
    gamma = config["GAMMA"]
    ends = traj_batch.terminated | traj_batch.truncated
    at_end = jnp.where(traj_batch.truncated, traj_batch.final_value, 0.0)
    # What follows each step: first its value, then the return that the pass before has found.
    following = jnp.concatenate([traj_batch.value[1:], last_val[None]])
    for _ in range(STEPS):
        targets = traj_batch.reward + gamma * jnp.where(ends, at_end, following)
        following = jnp.concatenate([targets[1:], last_val[None]])
    return targets - traj_batch.value, targets
