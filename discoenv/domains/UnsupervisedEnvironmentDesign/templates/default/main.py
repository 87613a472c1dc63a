"""Trains a policy on levels that the discovered modules choose, and hands it over. What uses it is answer.py."""

from pathlib import Path

import exam
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from buffer import create_buffer, insert_levels, revise_scores
from flax.core import unfreeze
from network import make_network
from play import Rollout, play
from run_config import get_config
from sample_levels import choose_levels, propose_levels
from score import score_levels
from train_step import make_train_step
from worlds import environments


def require_levels(function, levels, count, env):
    """Refuse levels of another structure, or of another number, than those of the world.

    Raises:
        ValueError: they are; the message names the function.
    """
    expected = jax.eval_shape(jax.vmap(env.sample), jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count)))
    found = jax.tree.map(lambda x: x.shape, levels)
    if found != jax.tree.map(lambda x: x.shape, expected):
        wanted = jax.tree.map(lambda x: x.shape, expected)
        raise ValueError(f"{function} of sample_levels.py returned {found}; expected {wanted}: {count} levels")


def make_train(config):
    """The whole of training as one pure function.

    Returns:
        ``train(key)``, which returns (params, taken, curve): parameters after each of the last CHECKPOINTS cycles,
        arrays [CHECKPOINTS, ...]; the number of environment steps taken; and a dict of float32[NUM_CYCLES]:
        ``candidates``, the share of the episodes in candidates that were solved, ``trained``, that of the levels
        trained on, and ``score``, the mean score of the buffer.
    """
    env = environments.make(config)
    network, obs = make_network(config)
    start, step = make_train_step(config, network)

    def rate(record):
        return jnp.sum(record.solved) / jnp.maximum(jnp.sum(record.ended), 1)

    def update(carry, inputs):
        """Levels are chosen and played, and the policy learns from them."""
        state, buffer, taken = carry
        key, progress = inputs
        choose_key, play_key, learn_key = jax.random.split(key, 3)
        levels, index = choose_levels(choose_key, env, buffer, progress, config)
        require_levels("choose_levels", levels, config["NUM_ENVS"], env)
        obs, action, log_prob, record = play(
            env, network, state.params, levels, play_key, steps=config["NUM_STEPS"], attempts=1
        )
        buffer = revise_scores(buffer, index, score_levels(record, config), config)
        flat = jax.tree.map(lambda x: x[:, 0], (obs, action, log_prob, record.value, record.reward, record.ended))
        state = step(state, Rollout(*flat, record.last_value[0], index < 0), learn_key)
        return (state, buffer, taken + record.ended.size), rate(record)

    def cycle(carry, inputs):
        """Candidates are scored and put into the buffer; then come UPDATES updates."""
        state, buffer, taken = carry
        key, number = inputs
        propose_key, play_key, update_key = jax.random.split(key, 3)
        progress = (number + jnp.arange(config["UPDATES"]) / config["UPDATES"]) / config["NUM_CYCLES"]
        levels = propose_levels(propose_key, env, buffer, progress[0], config)
        require_levels("propose_levels", levels, config["CANDIDATES"], env)
        *_, record = play(
            env,
            network,
            state.params,
            levels,
            play_key,
            steps=config["SCORE_STEPS"],
            attempts=config["ATTEMPTS"],
        )
        buffer = insert_levels(buffer, levels, score_levels(record, config), config)
        keys = jax.random.split(update_key, config["UPDATES"])
        carry, trained = jax.lax.scan(update, (state, buffer, taken + record.ended.size), (keys, progress))
        scores = carry[1].scores
        mean_score = jnp.where(jnp.isfinite(scores), scores, 0.0).sum() / jnp.maximum(jnp.isfinite(scores).sum(), 1)
        curve = {"candidates": rate(record), "trained": trained.mean(), "score": mean_score}
        return carry, (carry[0].params, curve)

    def train(key):
        init_key, level_key, key = jax.random.split(key, 3)
        carry = start(network.init(init_key, obs)), create_buffer(env.sample(level_key), config), jnp.int32(0)
        numbers = jnp.arange(config["NUM_CYCLES"])
        keys = jax.random.split(key, config["NUM_CYCLES"])
        (*_, taken), (params, curve) = jax.lax.scan(cycle, carry, (keys, numbers))
        return jax.tree.map(lambda x: x[-config["CHECKPOINTS"] :], params), taken, curve

    return train


def report(curve, config):
    """Print at most ten lines of progress."""
    print(f"{'until step':>12} {'solved: candidates':>19} {'training levels':>16} {'mean score in buffer':>21}")
    steps = config["ENV_STEPS"] // config["NUM_CYCLES"]
    for window in np.array_split(np.arange(config["NUM_CYCLES"]), min(10, config["NUM_CYCLES"])):
        candidates, trained, score = (float(curve[name][window].mean()) for name in ("candidates", "trained", "score"))
        print(f"{(window[-1] + 1) * steps:12,} {candidates:19.3f} {trained:16.3f} {score:21.4f}")


def main():
    """Train, and hand over."""
    config = get_config(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    params, taken, curve = jax.jit(make_train(config))(jax.random.key(exam.seed()))
    report(jax.tree.map(np.asarray, curve), config)
    exam.hand_over({"params": jax.tree.map(np.asarray, unfreeze(params)), "env_steps": int(taken)})


if __name__ == "__main__":
    main()
