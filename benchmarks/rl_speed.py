"""Environment steps per second of OnPolicyRL's baseline, beside a plain PPO in one file.

The plain one is written as single-file implementations in JAX are (PureJaxRL, for example): the same algorithm,
network, environment and hyper-parameters, without modules, and without what time limits and wrappers add. Both are
compiled first and timed apart from that, alternately, in one process. `ratio` is ours over theirs: 1 or more means that
the structure costs nothing.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks import runner
from benchmarks.report import Bound, Figures, Options, Table, log, number
from discoenv.exams import learner_environment
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import materialise

DATASET: Final = "MinAtar/Breakout"
STEPS: Final = 200_000


def ours(dataset: str, folder: Path) -> tuple[Callable[[dict[str, Any]], Any], Any]:
    """``make_train`` and ``get_config`` of the baseline, imported from a workspace made in ``folder``."""
    domain = get_domain("OnPolicyRL")
    other = next(name for name in domain.datasets if name != dataset)
    task = Task(
        domain="OnPolicyRL", modules=tuple(domain.modules), meta_train=(dataset,), meta_test=(other,), start="base"
    )
    code = materialise(task, folder / "workspace") / dataset
    sys.path.insert(0, str(code))
    main = importlib.import_module("main")
    return main.make_train, main.get_config


def plain(config: dict[str, Any]) -> Callable[[Any, float], Any]:  # noqa: PLR0915 - in one piece on purpose
    """``train(rng, lr)`` of a PPO in one function, for a gymnax environment with discrete actions."""
    import flax.linen as nn  # noqa: PLC0415 - imported where used, as everywhere
    import gymnax  # noqa: PLC0415
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import optax  # noqa: PLC0415
    from flax.linen.initializers import constant, orthogonal  # noqa: PLC0415
    from flax.training.train_state import TrainState  # noqa: PLC0415

    env, env_params = gymnax.make(config["ENV_NAME"])
    envs, steps, width = config["NUM_ENVS"], config["NUM_STEPS"], config["HSIZE"]
    updates = config["TOTAL_TIMESTEPS"] // (envs * steps)
    actions = env.action_space(env_params).n

    class Network(nn.Module):  # type: ignore[misc]
        @nn.compact  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> tuple[Any, Any]:
            def mlp(x: Any, size: int, scale: float) -> Any:
                for _ in range(2):
                    x = nn.relu(nn.Dense(width, kernel_init=orthogonal(2**0.5), bias_init=constant(0.0))(x))
                return nn.Dense(size, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

            return mlp(x, actions, 0.01), mlp(x, 1, 1.0)[..., 0]

    def log_prob(logits: Any, action: Any) -> Any:
        return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]

    def train(rng: Any, lr: float) -> Any:
        rng, init_rng, reset_rng = jax.random.split(rng, 3)
        obs, env_state = jax.vmap(env.reset, (0, None))(jax.random.split(reset_rng, envs), env_params)
        obs = obs.reshape(envs, -1).astype(jnp.float32)
        network = Network()

        def schedule(count: Any) -> Any:
            return lr * (1 - (count // (config["NUM_MINIBATCHES"] * config["UPDATE_EPOCHS"])) / updates)

        optimizer = optax.chain(
            optax.clip_by_global_norm(config["MAX_GRAD_NORM"]), optax.adam(learning_rate=schedule, eps=1e-5)
        )
        state = TrainState.create(apply_fn=network.apply, params=network.init(init_rng, obs), tx=optimizer)
        returns = jnp.zeros(envs)

        def env_step(carry: Any, _: None) -> tuple[Any, Any]:
            state, env_state, obs, returns, rng = carry
            rng, action_rng, step_rng = jax.random.split(rng, 3)
            logits, value = network.apply(state.params, obs)
            action = jax.random.categorical(action_rng, logits)
            next_obs, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
                jax.random.split(step_rng, envs), env_state, action, env_params
            )
            done = terminated | truncated
            returns = returns + reward
            step = (obs, action, log_prob(logits, action), value, reward, done, returns)
            return (state, env_state, next_obs.reshape(envs, -1).astype(jnp.float32), returns * ~done, rng), step

        def loss_of(params: Any, batch: Any) -> Any:
            obs, action, old_log_prob, old_value, advantage, target = batch
            logits, value = network.apply(params, obs)
            ratio = jnp.exp(log_prob(logits, action) - old_log_prob)
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = jnp.clip(ratio, 1 - config["CLIP_EPS"], 1 + config["CLIP_EPS"])
            actor = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
            near = old_value + jnp.clip(value - old_value, -config["CLIP_EPS"], config["CLIP_EPS"])
            critic = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
            log_p = jax.nn.log_softmax(logits)
            entropy = -(jnp.exp(log_p) * log_p).sum(-1).mean()
            return actor + config["VF_COEF"] * critic - config["ENT_COEF"] * entropy

        def minibatch(state: Any, batch: Any) -> tuple[Any, None]:
            return state.apply_gradients(grads=jax.grad(loss_of)(state.params, batch)), None

        def update(carry: Any, _: None) -> tuple[Any, Any]:
            carry, (obs, action, old_log_prob, value, reward, done, returns) = jax.lax.scan(
                env_step, carry, None, steps
            )
            state, env_state, last_obs, running, rng = carry
            last_value = network.apply(state.params, last_obs)[1]

            def gae(carry: Any, step: Any) -> tuple[Any, Any]:
                advantage, next_value = carry
                value, reward, done = step
                delta = reward + config["GAMMA"] * next_value * (1 - done) - value
                advantage = delta + config["GAMMA"] * config["GAE_LAMBDA"] * (1 - done) * advantage
                return (advantage, value), advantage

            _, advantage = jax.lax.scan(
                gae, (jnp.zeros(envs), last_value), (value, reward, done), reverse=True, unroll=16
            )
            batch = (obs, action, old_log_prob, value, advantage, advantage + value)
            flat = jax.tree.map(lambda x: x.reshape(envs * steps, *x.shape[2:]), batch)

            def epoch(carry: Any, _: None) -> tuple[Any, None]:
                state, rng = carry
                rng, order_rng = jax.random.split(rng)
                order = jax.random.permutation(order_rng, envs * steps)
                shuffled = jax.tree.map(
                    lambda x: jnp.take(x, order, 0).reshape(config["NUM_MINIBATCHES"], -1, *x.shape[1:]), flat
                )
                state, _ = jax.lax.scan(minibatch, state, shuffled)
                return (state, rng), None

            (state, rng), _ = jax.lax.scan(epoch, (state, rng), None, config["UPDATE_EPOCHS"])
            return (state, env_state, last_obs, running, rng), (returns * done).sum() / done.sum()

        (state, *_), curve = jax.lax.scan(update, (state, env_state, obs, returns, rng), None, updates)
        return state.params, curve

    return train


def measure(dataset: str, steps: int, repeats: int) -> dict[str, Figures]:
    """Median steps per second, compile seconds, and mean training return of the last tenth, of both programs.

    ``samples`` are the single measurements of steps per second, in turns with those of the other program.
    """
    os.environ.update(learner_environment.on_cpu(os.environ))  # as in exams; before JAX is imported
    import jax  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    values = get_domain("OnPolicyRL").config(dataset, "small") | {"TOTAL_TIMESTEPS": steps}
    taken = steps // (values["NUM_ENVS"] * values["NUM_STEPS"]) * values["NUM_ENVS"] * values["NUM_STEPS"]
    with tempfile.TemporaryDirectory() as folder:
        make_train, get_config = ours(dataset, Path(folder))
        programs: dict[str, Any] = {"discoenv": make_train(get_config(values)), "plain": plain(values)}
        figures: dict[str, Figures] = {}
        for name, train in programs.items():
            begin = time.perf_counter()
            programs[name] = jax.jit(train).lower(jax.random.key(0), values["LR"]).compile()
            figures[name] = {"compile_s": time.perf_counter() - begin}
    speeds: dict[str, list[float]] = {name: [] for name in programs}
    for repeat in range(repeats):
        for name, program in programs.items():
            begin = time.perf_counter()
            result = jax.block_until_ready(program(jax.random.key(repeat), values["LR"]))
            speeds[name].append(taken / (time.perf_counter() - begin))
            curve = np.asarray(result["metrics"]["mean_training_return"] if name == "discoenv" else result[1])
            figures[name]["return"] = float(np.nanmean(curve[-max(1, len(curve) // 10) :]))
    for name, measured in speeds.items():
        figures[name] |= {"steps_per_s": statistics.median(measured), "samples": measured}
    return figures


def run(options: Options) -> Figures:
    """Measure in a separate process: JAX and the learner's plain modules stay out of this one."""
    log(f"rl_speed: {DATASET}")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        figures = executor.submit(measure, DATASET, STEPS, options.repeats).result()
    pairs = zip(figures["discoenv"]["samples"], figures["plain"]["samples"], strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return {"dataset": DATASET, "steps": STEPS, "repeats": options.repeats, "programs": figures, "ratio": ratio}


def tables(figures: Figures) -> list[Table]:
    """Environment steps per second of both, and their ratio."""
    rows = [
        [name, f"{row['steps_per_s']:,.0f}", number(row["compile_s"]), number(row["return"])]
        for name, row in figures["programs"].items()
    ]
    title = f"PPO on {figures['dataset']}, {figures['steps']:,} steps, median of {figures['repeats']}"
    note = f"discoenv / plain: {number(figures['ratio'])}"
    return [Table(title, ("program", "steps/s", "compile s", "return at the end"), rows, (note,))]


def bounds(figures: Figures) -> list[Bound]:
    """The structure costs nothing."""
    return [Bound("PPO's environment steps/s / a plain single-file PPO's", figures["ratio"], 1.0, at_most=False)]


if __name__ == "__main__":
    runner.main("rl_speed")
