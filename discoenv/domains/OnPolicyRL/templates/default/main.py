"""Trains one agent with the discovered modules, then answers the examiner's questions with its greedy policy."""

from pathlib import Path

import exam
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from activation import get_activation
from flax.core import FrozenDict
from make_env import get_action_dim, make_env
from networks import ActorCritic
from train import make_train


def get_config(values):
    """The run's configuration: ``values`` (of config.yaml) and what follows from them. It cannot be changed.

    NUM_UPDATES is the number of rollouts, MINIBATCH_SIZE the number of transitions in a minibatch.
    """
    batch_size = values["NUM_ENVS"] * values["NUM_STEPS"]
    if batch_size % values["NUM_MINIBATCHES"]:
        raise ValueError("NUM_ENVS * NUM_STEPS must be a multiple of NUM_MINIBATCHES")
    derived = {
        "NUM_UPDATES": values["TOTAL_TIMESTEPS"] // batch_size,
        "MINIBATCH_SIZE": batch_size // values["NUM_MINIBATCHES"],
    }
    return FrozenDict({**values, **derived})


class GreedyPolicy:
    """The trained agent as the examiner sees it."""

    def __init__(self, network, params):
        self._params = params
        self._mode = jax.jit(lambda params, obs: network.apply(params, obs)[0].mode())

    def act(self, obs, done):
        """Actions of N environments: int[N], or float[N, A] for continuous action spaces.

        Args:
            obs: float32[N, D], the environments' observations.
            done: bool[N], whether ``obs`` is the first observation of an episode. Policies without memory ignore it.
        """
        del done
        return np.asarray(self._mode(self._params, jnp.asarray(obs)))


def report(returns, config):
    """Print ten lines of training progress; ``returns`` is float32[NUM_UPDATES], NaN where no episode ended."""
    print(f"{'steps':>12} {'training return':>16}")
    steps_per_update = config["NUM_ENVS"] * config["NUM_STEPS"]
    for window in np.array_split(np.arange(len(returns)), min(10, len(returns))):
        ended = returns[window][~np.isnan(returns[window])]
        print(f"{(window[-1] + 1) * steps_per_update:12,} {ended.mean() if ended.size else np.nan:16.3f}")


def main():
    """Train and serve."""
    config = get_config(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    train = jax.jit(make_train(config))
    result = train(jax.random.key(exam.seed()), config["LR"])
    report(np.asarray(result["metrics"]["mean_training_return"]), config)

    env, env_params = make_env(config)
    network = ActorCritic(get_action_dim(env, env_params, config), config, get_activation(config))
    exam.serve(GreedyPolicy(network, result["params"]))


if __name__ == "__main__":
    main()
