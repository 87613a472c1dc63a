"""Training environments of a dataset, from gymnax."""

import gymnax
from wrappers import EpisodeStatistics, FlattenObservation, Vectorise


def make_env(config):
    """Environments to train in.

    Args:
        config: with ENV_NAME (a name that gymnax knows), TIME_LIMIT (steps after which an episode is truncated) and
            NUM_ENVS.

    Returns:
        (env, env_params). ``env`` has reset and step as in wrappers.py, over NUM_ENVS copies: observations are
        float32[NUM_ENVS, D], actions int32[NUM_ENVS].
    """
    env, env_params = gymnax.make(config["ENV_NAME"])
    env_params = env_params.replace(max_steps_in_episode=config["TIME_LIMIT"])
    return Vectorise(EpisodeStatistics(FlattenObservation(env)), config["NUM_ENVS"]), env_params


def get_action_dim(env, env_params):
    """Number of discrete actions."""
    return env.action_space(env_params).n
