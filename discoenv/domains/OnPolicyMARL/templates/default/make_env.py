"""Training environments of a dataset, and what training leaves behind in their state."""

import numpy as np
from centralised import CENTRALISED
from marl_jax import environments, teams


def make_env(config):
    """Environments to train in.

    Args:
        config: with SUITE, ENV_NAME, OPTIONS, NUM_ENVS, REWARD_SCALE and SHAPING.

    Returns:
        An environment with reset and step as in marl_jax/teams.py, over NUM_ENVS copies, each of which starts its next
        episode by itself: observations have the leading axes [NUM_ENVS, A]; actions are int32[NUM_ENVS, A], or
        float32[NUM_ENVS, A, K] if CONTINUOUS; reward, terminated and truncated have the axis [NUM_ENVS]. Rewards are
        those to learn from: times REWARD_SCALE, with SHAPING times the hints of a kitchen added.
    """
    env = environments.make(config["SUITE"], config["ENV_NAME"], config["OPTIONS"])
    if not CENTRALISED:
        env = teams.Decentralised(env)
    env = teams.Restarting(teams.Shaped(env, config["REWARD_SCALE"], config["SHAPING"]))
    return teams.EpisodeStatistics(teams.Vectorise(env, config["NUM_ENVS"]))


def count_steps(env_state):
    """Number of steps (int) taken since the first reset, over all copies and all leading axes of the state."""
    return int(np.asarray(env_state.steps, np.int64).sum())
