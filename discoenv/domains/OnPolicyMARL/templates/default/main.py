"""Trains agents with the discovered modules, and hands them over. What uses them is answer.py."""

from pathlib import Path

import exam
import jax
import numpy as np
import yaml
from flax.core import unfreeze
from make_env import count_steps
from run_config import get_config
from train import make_train


def train_agents(train, config, seed):
    """Train with each learning rate (LR to 10 LR, evenly spaced) and each seed, all at once.

    Returns:
        (learning rates, what ``train`` returns with leading axes [NUM_LEARNING_RATES, NUM_SEEDS]).
    """
    rates = np.linspace(config["LR"], 10 * config["LR"], config["NUM_LEARNING_RATES"])

    def train_one(key, rate):  # under vmap, both sides of a condition are computed
        return jax.tree.map(lambda x: x[None, None], train(key, rate))

    def train_all(key, rates):
        over_both = jax.vmap(jax.vmap(train, in_axes=(0, None)), in_axes=(None, 0))
        return over_both(jax.random.split(key, config["NUM_SEEDS"]), rates)

    key = jax.random.key(seed)
    if len(rates) == config["NUM_SEEDS"] == 1:
        return rates, jax.jit(train_one)(key, config["LR"])
    return rates, jax.jit(train_all)(key, rates)


def best_rate(returns):
    """Index of the learning rate with the highest training return at the end, evaluation having no say in it.

    Args:
        returns: float32[NUM_LEARNING_RATES, NUM_SEEDS, NUM_UPDATES], NaN where no episode ended. What counts of a run
            is the mean over the last 5 % of the updates in which one did; a run without any counts least.
    """

    def final(run):
        ended = run[~np.isnan(run)]
        return ended[-max(1, len(ended) // 20) :].mean() if len(ended) else -np.inf

    return int(np.argmax([np.mean([final(run) for run in runs]) for runs in returns]))


@jax.jit
def select(results, index):
    """Entry ``index`` of the first axis of all arrays."""
    return jax.tree.map(lambda x: x[index], results)


def report(returns, config):
    """Print at most ten lines of progress; ``returns`` is float32[NUM_SEEDS, NUM_UPDATES], NaN where no episode ended.

    A line is the mean over the window since the line before, which is made so long that an episode ended in it.
    """
    print(f"{'until step':>12} {'training return':>16}")
    steps_per_update = config["NUM_ENVS"] * config["NUM_STEPS"]
    begin, length = 0, returns.shape[1]
    for window in np.array_split(np.arange(length), min(10, length)):
        end = window[-1] + 1
        ended = returns[:, begin:end][~np.isnan(returns[:, begin:end])]
        if ended.size:
            print(f"{end * steps_per_update:12,} {ended.mean():16.3f}")
            begin = end
    if begin < length:
        print(f"{length * steps_per_update:12,} {'no episode ended':>16}")


def handed_over(results, best):
    """What is examined of ``results`` (see ``train_agents``): the agents of the learning rate with index ``best``.

    Returns:
        "params", with a leading axis [NUM_SEEDS], and "env_steps", the number of environment steps taken in training.
    """
    return {"params": unfreeze(select(results["params"], best)), "env_steps": count_steps(results["env_state"])}


def main():
    """Train, choose the learning rate, and hand over."""
    config = get_config(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    rates, results = train_agents(make_train(config), config, exam.seed())
    returns = np.asarray(results["metrics"]["mean_training_return"])
    best = best_rate(returns)
    if len(rates) > 1:
        print(f"chosen by training return: learning rate {rates[best]:g}")
    report(returns[best], config)
    exam.hand_over(handed_over(results, best))


if __name__ == "__main__":
    main()
