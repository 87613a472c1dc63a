"""Training environments of a dataset, from gymnax."""

import contextlib
import importlib
import sys
from types import ModuleType

from wrappers import EpisodeStatistics, FlattenObservation, Vectorise


class _Later(ModuleType):
    """Stands for a module, which is imported when something of it is used first."""

    def __getattr__(self, name):
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def plotting_later():
    """While simulators are imported, what they only draw with is not: that would take longer than all the rest."""
    later = [_Later(name) for name in ("matplotlib.pyplot", "seaborn") if name not in sys.modules]
    sys.modules.update((module.__name__, module) for module in later)
    try:
        yield
    finally:
        for module in later:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]


with plotting_later():
    import gymnax


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
