"""Transitions with larger errors are drawn more often. Schaul et al. 2016, proportional variant."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from transition import Batch

ALPHA, BETA, LEAST = 0.6, 0.4, 1e-6


class ReplayBuffer(NamedTuple):
    """The functions of a replay buffer; see the task's interface."""

    init: Callable
    add: Callable
    sample: Callable
    set_priorities: Callable


def get_replay_buffer(config):
    """Replay in proportion to |TD error|^ALPHA, a new transition counting as the largest so far."""
    num_envs = config["NUM_ENVS"]
    rows = max(1, config["BUFFER_SIZE"] // num_envs)

    def compact(transition):
        obs, next_obs = (x.astype(config["OBS_DTYPE"]) for x in (transition.obs, transition.next_obs))
        return transition._replace(obs=obs, next_obs=next_obs)

    def init(transition):
        ring = jax.tree.map(lambda x: jnp.zeros((rows, num_envs, *x.shape), x.dtype), compact(transition))
        return {"ring": ring, "added": jnp.int32(0), "priority": jnp.zeros((rows, num_envs)), "largest": jnp.float32(1)}

    def add(state, transition):
        row = state["added"] % rows
        ring = jax.tree.map(lambda kept, new: kept.at[row].set(new), state["ring"], compact(transition))
        priority = state["priority"].at[row].set(state["largest"])
        return {**state, "ring": ring, "added": state["added"] + 1, "priority": priority}

    def sample(state, rng):
        # First a row, then one of its environments: no running sum over the whole buffer.
        row_rng, env_rng = jax.random.split(rng)
        size = (config["BATCH_SIZE"],)
        row_sums = jnp.cumsum(state["priority"].sum(axis=1))
        filled = jnp.minimum(state["added"], rows)
        row = jnp.searchsorted(row_sums, row_sums[-1] * jax.random.uniform(row_rng, size), side="right")
        row = jnp.minimum(row, filled - 1)
        env_sums = jnp.cumsum(state["priority"][row], axis=1)
        level = env_sums[:, -1:] * jax.random.uniform(env_rng, (*size, 1))
        env = jnp.minimum(jnp.sum(env_sums <= level, axis=1), num_envs - 1)
        index = row * num_envs + env

        # Weights undo the preference, wholly at the end of training only.
        progress = jnp.minimum(state["added"] * num_envs / config["TOTAL_TIMESTEPS"], 1.0)
        beta = BETA + progress * (1.0 - BETA)
        probability = state["priority"][row, env] / row_sums[-1]
        weight = (filled * num_envs * probability) ** -beta
        drawn = jax.tree.map(lambda kept: kept[index // num_envs, index % num_envs], state["ring"])
        return Batch(
            obs=drawn.obs.astype(jnp.float32),
            action=drawn.action,
            reward=drawn.reward,
            next_obs=drawn.next_obs.astype(jnp.float32),
            discount=config["GAMMA"] * (1.0 - drawn.terminated),
            weight=weight / weight.max(),
            index=index,
        )

    def set_priorities(state, index, td_error):
        new = (jnp.abs(td_error) + LEAST) ** ALPHA
        priority = state["priority"].at[index // num_envs, index % num_envs].set(new)
        return {**state, "priority": priority, "largest": jnp.maximum(state["largest"], new.max())}

    return ReplayBuffer(init, add, sample, set_priorities)
