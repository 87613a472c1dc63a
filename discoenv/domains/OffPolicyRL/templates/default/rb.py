"""The replay buffer: what is kept of the experience, and what is learnt from next."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from transition import Batch


class ReplayBuffer(NamedTuple):
    """Four pure, traceable functions. A state is a pytree of arrays whose shapes and dtypes never change.

    Attributes:
        init: ``init(transition) -> state``, empty, given a Transition without leading axis as example of the shapes.
        add: ``add(state, transition) -> state``, given a Transition with leading axis [NUM_ENVS], called once per
            step: element i always comes from environment i, so that its successive calls form that environment's
            trajectory. Overwrites the oldest when full.
        sample: ``sample(state, rng) -> Batch``, leading axis [BATCH_SIZE]; the same element may occur twice. Called
            only when LEARNING_STARTS steps, or more, have been added.
        set_priorities: ``set_priorities(state, index, td_error) -> state``, called after each gradient step with what
            ``sample`` gave as ``Batch.index`` and with float32[BATCH_SIZE], the errors that ``q_loss_fn`` returned.
    """

    init: Callable
    add: Callable
    sample: Callable
    set_priorities: Callable


def get_replay_buffer(config):
    """A replay buffer.

    Args:
        config: the run's configuration (immutable mapping); config.py sets BUFFER_SIZE (most transitions that are
            kept), BATCH_SIZE and GAMMA. OBS_DTYPE is the smallest dtype that holds observations without loss.

    Returns:
        A ReplayBuffer.
    """
    # <solution>
    num_envs = config["NUM_ENVS"]
    rows = max(1, config["BUFFER_SIZE"] // num_envs)

    def compact(transition):
        """The transition with its observations in a dtype that takes less memory."""
        obs, next_obs = (x.astype(config["OBS_DTYPE"]) for x in (transition.obs, transition.next_obs))
        return transition._replace(obs=obs, next_obs=next_obs)

    def init(transition):
        """A ring of rows, a row being one step of all environments."""
        ring = jax.tree.map(lambda x: jnp.zeros((rows, num_envs, *x.shape), x.dtype), compact(transition))
        return {"ring": ring, "added": jnp.int32(0)}

    def add(state, transition):
        row = state["added"] % rows
        ring = jax.tree.map(lambda kept, new: kept.at[row].set(new), state["ring"], compact(transition))
        return {"ring": ring, "added": state["added"] + 1}

    def sample(state, rng):
        """Uniformly, with replacement (Mnih et al. 2015). A truncated episode has a value after its last step."""
        filled = num_envs * jnp.minimum(state["added"], rows)
        index = jax.random.randint(rng, (config["BATCH_SIZE"],), 0, filled)
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
        """All are drawn alike."""
        del index, td_error
        return state

    return ReplayBuffer(init, add, sample, set_priorities)
    # </solution>
