"""What one step of a rollout is; the record that train.py, targets.py and loss.py share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from marl_jax.teams import Observation


class Transition(NamedTuple):
    """One step of each agent. The leading axes of a rollout are [NUM_STEPS, NUM_ENVS, A], with A agents in a team.

    Attributes:
        obs: Observation (see marl_jax/teams.py), what the agents saw before they acted; ``obs.active`` is false of
            those that had nothing to choose, because they have died or it was not their turn.
        action: int32[...] for discrete action spaces, float32[..., K] for continuous ones (before clipping).
        log_prob: float32[...], log π(action | obs) of the policy that acted.
        value: float32[...], V(obs) of the critic at that time; of an agent that is not active, see ``team_value``.
        reward: float32[...], the team's, the same for all agents.
        terminated: bool[...], this step ended the episode in a terminal state: nothing follows, its value is 0.
        truncated: bool[...], a time limit ended the episode after this step: the value of what follows is not 0.
        final_value: float32[...], where an episode was truncated, V of the observation in which it was, which is the
            value to bootstrap from; elsewhere of no meaning.
    """

    obs: Observation
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_value: jax.Array


def team_value(value, active):
    """Values without those of agents that are not active, which see nothing or have nothing to choose.

    The reward is the team's, so what is to come is the same for all of it: an agent that is not active gets the mean of
    the active ones' values, and 0 if there is none. The critic is thus never asked about what it is not trained on.

    Args:
        value: float32[..., A].
        active: bool[..., A].

    Returns:
        float32[..., A].
    """
    count = active.sum(axis=-1, keepdims=True)
    mean = jnp.where(active, value, 0.0).sum(axis=-1, keepdims=True) / jnp.maximum(count, 1)
    return jnp.where(active, value, mean)
