"""What the environments give, and what is learnt from: the records that train.py, rb.py and q_update.py share."""

from typing import NamedTuple

import jax


class Transition(NamedTuple):
    """One step of each environment, leading axis [NUM_ENVS].

    Attributes:
        obs: float32[..., D], what the agent saw before it acted.
        action: int32[...].
        reward: float32[...].
        next_obs: float32[..., D], what the step led to, taken before any reset: where the episode ended it is the
            observation in which it ended, not the first one of the next episode.
        terminated: bool[...], this step ended the episode in a terminal state: nothing follows, its value is 0.
        truncated: bool[...], a time limit ended the episode after this step: the value of next_obs is not 0.
    """

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    next_obs: jax.Array
    terminated: jax.Array
    truncated: jax.Array


class Batch(NamedTuple):
    """What the replay buffer gives to learn from, leading axis [BATCH_SIZE].

    Attributes:
        obs: float32[..., D].
        action: int32[...], what was done there.
        reward: float32[...], what that earned, summed and discounted if it stands for several steps.
        next_obs: float32[..., D], where it led to.
        discount: float32[...], factor of the value of next_obs: 0 if the episode had terminated by then; else GAMMA,
            or GAMMA**n after n steps.
        weight: float32[...], factor of this element's loss; 1 if all count the same.
        index: int32[...], where the buffer keeps it; means something to the buffer only.
    """

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    next_obs: jax.Array
    discount: jax.Array
    weight: jax.Array
    index: jax.Array
