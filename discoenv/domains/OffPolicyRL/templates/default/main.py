"""Trains agents with the discovered modules, chooses a learning rate, and answers the examiner with their policies."""

from pathlib import Path

import exam
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from config import make_config
from flax.core import FrozenDict
from make_env import get_action_dim, make_env
from networks import QNetwork
from policy import exploit
from train import make_train


def get_config(values):
    """The run's configuration: what config.py makes of ``values`` (of config.yaml), and these. It cannot be changed."""
    hyperparameters = make_config(FrozenDict(values))
    if not isinstance(hyperparameters, dict) or "LR" not in hyperparameters:
        raise ValueError("config.py: make_config(settings) must return a dict with at least the key LR")
    return FrozenDict({**hyperparameters, **values})


def train_all(config, seed):
    """Train NUM_SEEDS agents with each learning rate, LR times one of LR_FACTORS.

    Returns:
        (params, returns, steps). params and returns, float32[L, S, K], are what ``train`` returned, with two leading
        axes, learning rate and seed; steps (int) is the number of environment steps that were taken in all.
    """
    factors, seeds = config["LR_FACTORS"], config["NUM_SEEDS"]
    lrs = np.repeat(np.float32(config["LR"]) * np.asarray(factors, np.float32), seeds)
    train, single = make_train(config), len(lrs) == 1

    @jax.jit  # one program from the seed to the results: each operation outside would be compiled on its own
    def run(key, lrs):
        keys = jax.random.split(key, len(lrs))
        # One agent alone is not vmapped: a program without batched indices is the faster one.
        result = train(keys[0], lrs[0]) if single else jax.vmap(train)(keys, lrs)
        trained = result["params"], result["metrics"]["mean_training_return"]
        shaped = jax.tree.map(lambda x: x.reshape(len(factors), seeds, *x.shape[not single :]), trained)
        return *shaped, result["env_state"].steps

    params, returns, steps = run(jax.random.key(seed), lrs)
    return params, np.asarray(returns), int(np.asarray(steps, np.int64).sum())


@jax.jit
def select(params, index):
    """Entry ``index`` of the first axis of all parameters."""
    return jax.tree.map(lambda x: x[index], params)


def late_return(returns):
    """Mean over the last quarter of ``returns``, float32[..., K], without its NaNs; -inf if nothing is left."""
    late = returns[..., -max(1, returns.shape[-1] // 4) :]
    count = (~np.isnan(late)).sum(axis=-1)
    return np.where(count > 0, np.nansum(late, axis=-1) / np.maximum(count, 1), -np.inf)


class GreedyPolicy:
    """The trained agents as the examiner sees them: environment i is played by agent i % S.

    Args:
        network: the QNetwork.
        params: its parameters, leading axis [S].
        config: the run's configuration.
        seed: of the random numbers that ``exploit`` gets.
        steps: environment steps that training took.
    """

    def __init__(self, network, params, config, seed, steps):
        self._agents = len(jax.tree.leaves(params)[0])
        self._params = params
        self._rng = jax.random.key(seed)
        self._steps = steps

        def act(params, rng, obs):
            obs = obs.reshape(-1, self._agents, obs.shape[-1])
            q_vals = jax.vmap(network.apply, in_axes=(0, 1), out_axes=1)(params, obs)
            rng, exploit_rng = jax.random.split(rng)
            q_vals = q_vals.reshape(-1, q_vals.shape[-1])
            return rng, exploit(exploit_rng, q_vals, jnp.int32(config["TOTAL_TIMESTEPS"]), config)

        self._act = jax.jit(act)

    def act(self, obs, done):
        """Actions of N environments, int[N].

        Args:
            obs: float32[N, D], the environments' observations.
            done: bool[N], whether ``obs`` is the first observation of an episode. Policies without memory ignore it.
        """
        del done
        self._rng, action = self._act(self._params, self._rng, jnp.asarray(obs))
        return np.asarray(action)

    def env_steps(self):
        """Environment steps that training took, over all environments, seeds and learning rates."""
        return self._steps


def report(returns, config):
    """Print ten lines of training progress; ``returns`` is float32[S, K], NaN where no episode ended."""
    print(f"{'steps':>12} {'training return':>16}")
    length = returns.shape[-1]
    for window in np.array_split(np.arange(length), min(10, length)):
        ended = returns[:, window][~np.isnan(returns[:, window])]
        steps = (window[-1] + 1) * config["TOTAL_TIMESTEPS"] // length
        print(f"{steps:12,} {ended.mean() if ended.size else np.nan:16.3f}")


def main():
    """Train, choose the learning rate with the best training returns at the end, and serve its agents."""
    config = get_config(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    params, returns, steps = train_all(config, exam.seed())
    scores = late_return(returns).mean(axis=1)
    best = int(scores.argmax())
    for factor, score in zip(config["LR_FACTORS"], scores, strict=True):
        print(f"learning rate {config['LR'] * factor:.2e}: training return {score:.3f} at the end")
    report(returns[best], config)

    env, env_params = make_env(config)
    network = QNetwork(get_action_dim(env, env_params), config)
    chosen = select(params, best)
    exam.serve(GreedyPolicy(network, chosen, config, exam.seed(), steps))


if __name__ == "__main__":
    main()
