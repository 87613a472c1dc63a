"""Training environments of a dataset, from gymnax."""

from rl_jax import environments
from rl_jax.wrappers import EpisodeStatistics, FlattenObservation, Vectorise


def make_env(config):
    """Environments to train in.

    Args:
        config: with ENV_NAME (a name that gymnax knows), TIME_LIMIT (steps after which an episode is truncated) and
            NUM_ENVS.

    Returns:
        (env, env_params). ``env`` has reset and step as in rl_jax/environments.py, over NUM_ENVS copies: observations
        are float32[NUM_ENVS, D], actions int32[NUM_ENVS].
    """
    env, env_params = environments.make("gymnax", config["ENV_NAME"], time_limit=config["TIME_LIMIT"])
    return EpisodeStatistics(FlattenObservation(Vectorise(env, config["NUM_ENVS"]))), env_params


def get_action_dim(env, env_params):
    """Number of discrete actions."""
    return env.action_space(env_params).n
