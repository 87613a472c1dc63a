"""Training environments of a dataset, and what training leaves behind in their state."""

import numpy as np
from rl_jax import environments
from rl_jax.wrappers import (
    ClipAction,
    EpisodeState,
    EpisodeStatistics,
    FlattenObservation,
    FreshStarts,
    NormalizeObservation,
    NormalizeReward,
    ObservationState,
    Vectorise,
    state_of,
)


def make_env(config):
    """Environments to train in.

    Args:
        config: with SUITE, ENV_NAME, for brax PIPELINE, NUM_ENVS, CONTINUOUS, GAMMA and NORMALIZE (whether observations
            and rewards are brought to unit variance).

    Returns:
        (env, env_params). ``env`` has reset and step as in rl_jax/environments.py, over NUM_ENVS copies: observations
        are float32[NUM_ENVS, D]; actions int32[NUM_ENVS], or float32[NUM_ENVS, A] if CONTINUOUS.
    """
    env, env_params = environments.make(config["SUITE"], config["ENV_NAME"], pipeline=config.get("PIPELINE", ""))
    env = Vectorise(env, config["NUM_ENVS"])
    if config["SUITE"] == "craftax":
        env = FreshStarts(env, max(1, config["NUM_ENVS"] // 64))
    env = FlattenObservation(env)
    if config["CONTINUOUS"]:
        env = ClipAction(env)
    env = EpisodeStatistics(env)
    if config["NORMALIZE"]:
        env = NormalizeReward(NormalizeObservation(env), config["GAMMA"])
    return env, env_params


def get_action_dim(env, env_params, config):
    """Number of discrete actions, or length A of the action vector if CONTINUOUS."""
    space = env.action_space(env_params)
    return space.shape[0] if config["CONTINUOUS"] else space.n


def get_moments(env_state):
    """Moments of the observations at the end of training, by name, with which the policy is examined; {} if unused.

    Args:
        env_state: a state of the training environments.
    """
    state = state_of(ObservationState, env_state)
    return {} if state is None else state.moments._asdict()


def count_steps(env_state):
    """Number of steps (int) taken since the first reset, over all copies and all leading axes of the state."""
    return int(np.asarray(state_of(EpisodeState, env_state).steps, np.int64).sum())
