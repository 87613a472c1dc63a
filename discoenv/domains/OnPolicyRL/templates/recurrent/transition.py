"""What one step of a rollout is; the record that train.py, targets.py and loss.py share."""

from typing import Any, NamedTuple

import jax


class Transition(NamedTuple):
    """One step of each environment. Rollouts and minibatches have two leading axes: time and environment.

    Attributes:
        obs: float32[..., D], what the policy saw before it acted.
        first: bool[...], ``obs`` is the first observation of an episode: nothing before it may be remembered.
        action: int32[...] for discrete action spaces, float32[..., A] for continuous ones (before clipping).
        log_prob: float32[...], log π(action | obs, memory) of the policy that acted.
        value: float32[...], V(obs, memory) of the critic at that time.
        reward: float32[...].
        terminated: bool[...], this step ended the episode in a terminal state: nothing follows, its value is 0.
        truncated: bool[...], a time limit ended the episode after this step: the value of what follows is not 0.
        final_value: float32[...], where an episode was truncated, V of the observation in which it was, which is the
            value to bootstrap from; elsewhere of no meaning.
        info: ``episode_return`` float32[...] and ``episode_length`` int32[...] of the episode so far, this step
            included.
    """

    obs: jax.Array
    first: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_value: jax.Array
    info: dict[str, Any]
