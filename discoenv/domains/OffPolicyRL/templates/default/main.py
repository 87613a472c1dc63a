"""Trains agents with the discovered modules, chooses a learning rate, and hands its agents over; see answer.py."""

from pathlib import Path

import exam
import jax
import numpy as np
import yaml
from flax.core import unfreeze
from run_config import get_config
from train import make_train


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


def report(returns, config):
    """Print at most ten lines of training progress; ``returns`` is float32[S, K], NaN where no episode ended.

    A line is the mean over the window since the line before, which is made so long that an episode ended in it.
    """
    print(f"{'until step':>12} {'training return':>16}")
    begin, length = 0, returns.shape[-1]
    for window in np.array_split(np.arange(length), min(10, length)):
        end = window[-1] + 1
        ended = returns[:, begin:end][~np.isnan(returns[:, begin:end])]
        if ended.size:
            print(f"{end * config['TOTAL_TIMESTEPS'] // length:12,} {ended.mean():16.3f}")
            begin = end
    if begin < length:
        print(f"{config['TOTAL_TIMESTEPS']:12,} {'no episode ended':>16}")


def main():
    """Train, choose the learning rate with the best training returns at the end, and hand its agents over."""
    config = get_config(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    params, returns, steps = train_all(config, exam.seed())
    scores = late_return(returns).mean(axis=1)
    best = int(scores.argmax())
    for factor, score in zip(config["LR_FACTORS"], scores, strict=True):
        print(f"learning rate {config['LR'] * factor:.2e}: training return {score:.3f} at the end")
    report(returns[best], config)

    exam.hand_over({"params": unfreeze(select(params, best)), "env_steps": steps})


if __name__ == "__main__":
    main()
