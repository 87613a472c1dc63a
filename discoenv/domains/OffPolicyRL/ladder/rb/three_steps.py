"""Returns over three steps, drawn uniformly. Hessel et al. 2018."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from transition import Batch

STEPS = 3


class ReplayBuffer(NamedTuple):
    """The functions of a replay buffer; see get_replay_buffer."""

    init: Callable
    add: Callable
    sample: Callable
    set_priorities: Callable


def get_replay_buffer(config):
    """Uniform replay of returns over up to STEPS steps, which stop at the end of an episode."""
    num_envs = config["NUM_ENVS"]
    rows = max(STEPS, config["BUFFER_SIZE"] // num_envs)

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
        row_rng, env_rng = jax.random.split(rng)
        filled = jnp.minimum(state["added"], rows)
        size = (config["BATCH_SIZE"],)
        # Time since the oldest step that is kept; STEPS - 1 more have to follow, unless there are not so many yet.
        start = jax.random.randint(row_rng, size, 0, jnp.maximum(filled - STEPS + 1, 1))
        env = jax.random.randint(env_rng, size, 0, num_envs)
        ring, oldest = state["ring"], state["added"] - filled

        reward, length = jnp.zeros(size), jnp.zeros(size, jnp.int32)
        alive, terminated = jnp.ones(size, bool), jnp.zeros(size, bool)
        for step in range(STEPS):
            row = (oldest + start + step) % rows
            alive = alive & (start + step < filled)
            reward = reward + config["GAMMA"] ** step * ring.reward[row, env] * alive
            length = length + alive
            terminated = terminated | (alive & ring.terminated[row, env])
            alive = alive & ~(ring.terminated[row, env] | ring.truncated[row, env])
        first, last = (oldest + start) % rows, (oldest + start + length - 1) % rows
        return Batch(
            obs=ring.obs[first, env].astype(jnp.float32),
            action=ring.action[first, env],
            reward=reward,
            next_obs=ring.next_obs[last, env].astype(jnp.float32),
            discount=config["GAMMA"] ** length * (1.0 - terminated),
            weight=jnp.ones(size),
            index=first * num_envs + env,
        )

    def set_priorities(state, index, td_error):
        del index, td_error
        return state

    return ReplayBuffer(init, add, sample, set_priorities)
