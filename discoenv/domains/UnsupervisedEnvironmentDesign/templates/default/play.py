"""Playing levels with the current policy, for scores and for training; the records that the modules share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Play(NamedTuple):
    """What happened: arrays with the leading axes [T, A, N], time, attempts side by side, and levels.

    When an episode ends, the next one of the same level begins in the next step, so an attempt holds several episodes,
    of which the last may be cut off.

    Attributes:
        reward: float32, 0 but in the step that solves the level: 1 - time / (2 MAX_STEPS).
        ended: bool, this step ended an episode: it was solved, lost, or MAX_STEPS long. Nothing of value follows.
        solved: bool, this step solved the level.
        value: float32, V of the critic before the step.
        entropy: float32, of the policy before the step, in nats.
        last_value: float32[A, N], V of the observation after the last step.
    """

    reward: jax.Array
    ended: jax.Array
    solved: jax.Array
    value: jax.Array
    entropy: jax.Array
    last_value: jax.Array


class Rollout(NamedTuple):
    """Experience to train on: arrays with the leading axes [NUM_STEPS, NUM_ENVS], in order of time.

    Attributes:
        obs: float32[..., D], what the policy saw before it acted.
        action: int32.
        log_prob: float32, log π(action | obs) of the policy that acted.
        value: float32, V(obs) of the critic at that time.
        reward, ended: as of :class:`Play`. After ``ended`` the next observation is the first of another episode.
        last_value: float32[NUM_ENVS], V of the observation after the last step.
        fresh: bool[NUM_ENVS], whether the level was chosen without the buffer (its index is -1).
    """

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    ended: jax.Array
    last_value: jax.Array
    fresh: jax.Array


def sample_actions(log_pi, random):
    """Actions int32[...] with the log-probabilities float32[..., K], from uniform random numbers float32[...]."""
    below = jnp.cumsum(jnp.exp(log_pi), axis=-1)[..., :-1] <= random[..., None]
    return jnp.sum(below, axis=-1, dtype=jnp.int32)


def play(env, network, params, levels, key, *, steps, attempts):
    """Play N levels.

    Args:
        env: a world, see worlds/environments.py.
        network: the ActorCritic.
        params: its parameters.
        levels: a level whose arrays have the leading axis [N].
        key: a JAX key.
        steps: T.
        attempts: A.

    Returns:
        (obs, action, log_prob, Play): all with the leading axes [T, A, N].
    """
    boards = jax.vmap(env.build)(levels)
    over_levels = jax.vmap(env.start)
    first = jax.tree.map(lambda x: jnp.broadcast_to(x, (attempts, *x.shape)), over_levels(boards))
    step_all = jax.vmap(jax.vmap(env.step), in_axes=(None, 0, 0))

    def step(carry, random):
        obs, state = carry
        logits, value = network.apply(params, obs)
        log_pi = jax.nn.log_softmax(logits)
        action = sample_actions(log_pi, random)
        log_prob = jnp.take_along_axis(log_pi, action[..., None], axis=-1)[..., 0]
        entropy = -jnp.sum(jnp.exp(log_pi) * log_pi, axis=-1)
        next_obs, state, reward, ended, solved = step_all(boards, state, action)
        carry = jax.tree.map(
            lambda start, now: jnp.where(ended.reshape(*ended.shape, *[1] * (now.ndim - 2)), start, now),
            first,
            (next_obs, state),
        )
        return carry, (obs, action, log_prob, reward, ended, solved, value, entropy)

    # All random numbers at once: a generator inside of the loop costs more, to compile and to run.
    random = jax.random.uniform(key, (steps, *first[0].shape[:2]))
    (obs, _), record = jax.lax.scan(step, first, random)
    _, last_value = network.apply(params, obs)
    return *record[:3], Play(*record[3:], last_value)
