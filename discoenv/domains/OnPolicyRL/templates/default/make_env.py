"""Training environments of a dataset, from gymnax."""

import gymnax
from wrappers import ClipAction, EpisodeStatistics, FlattenObservation, Vectorise


def make_env(config):
    """Environments to train in.

    Args:
        config: with ENV_NAME (a name that gymnax knows), NUM_ENVS and CONTINUOUS.

    Returns:
        (env, env_params). ``env`` has reset and step as in wrappers.py, over NUM_ENVS copies: observations are
        float32[NUM_ENVS, D]; actions int32[NUM_ENVS], or float32[NUM_ENVS, A] if CONTINUOUS.
    """
    env, env_params = gymnax.make(config["ENV_NAME"])
    env = FlattenObservation(env)
    if config["CONTINUOUS"]:
        env = ClipAction(env)
    return Vectorise(EpisodeStatistics(env), config["NUM_ENVS"]), env_params


def get_action_dim(env, env_params, config):
    """Number of discrete actions, or length A of the action vector if CONTINUOUS."""
    space = env.action_space(env_params)
    return space.shape[0] if config["CONTINUOUS"] else space.n
