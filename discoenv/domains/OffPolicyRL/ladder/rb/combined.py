"""The newest transitions are part of each batch. Zhang and Sutton 2017."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from transition import Batch


class ReplayBuffer(NamedTuple):
    """The functions of a replay buffer; see the task's interface."""

    init: Callable
    add: Callable
    sample: Callable
    set_priorities: Callable


def get_replay_buffer(config):
    """Uniform replay; the first element of a batch is the newest transition of one environment."""
    num_envs = config["NUM_ENVS"]
    rows = max(1, config["BUFFER_SIZE"] // num_envs)

    def compact(transition):
        obs, next_obs = (x.astype(config["OBS_DTYPE"]) for x in (transition.obs, transition.next_obs))
        return transition._replace(obs=obs, next_obs=next_obs)

    def init(transition):
        ring = jax.tree.map(lambda x: jnp.zeros((rows, num_envs, *x.shape), x.dtype), compact(transition))
        return {"ring": ring, "added": jnp.int32(0)}

    def add(state, transition):
        row = state["added"] % rows
        ring = jax.tree.map(lambda kept, new: kept.at[row].set(new), state["ring"], compact(transition))
        return {"ring": ring, "added": state["added"] + 1}

    def sample(state, rng):
        filled = num_envs * jnp.minimum(state["added"], rows)
        index = jax.random.randint(rng, (config["BATCH_SIZE"],), 0, filled)
        newest = (state["added"] - 1) % rows * num_envs
        index = index.at[0].set(newest + index[0] % num_envs)
        drawn = jax.tree.map(lambda kept: kept[index // num_envs, index % num_envs], state["ring"])
        return Batch(
            obs=drawn.obs.astype(jnp.float32),
            action=drawn.action,
            reward=drawn.reward,
            next_obs=drawn.next_obs.astype(jnp.float32),
            discount=config["GAMMA"] * (1.0 - drawn.terminated),
            weight=jnp.ones_like(drawn.reward),
            index=index,
        )

    def set_priorities(state, index, td_error):
        del index, td_error
        return state

    return ReplayBuffer(init, add, sample, set_priorities)
