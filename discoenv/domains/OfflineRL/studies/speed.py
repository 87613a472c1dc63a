"""Measures gradient steps per second of the base modules, of a plain scan, and of a loop in Python, side by side.

    python -m discoenv.domains.OfflineRL.studies.speed --write

All three are ReBRAC with the same networks and batches. The plain one is a single function that knows nothing of
modules; the loop calls a compiled step for each batch of NumPy arrays, as the reference implementations do.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from discoenv.exams import learner_environment
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
SECTION = "<!-- speed: written by studies/speed.py -->", "<!-- /speed -->"


def plain(config: Any, data: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``start(key) -> state`` and ``step(state, batch, key) -> state`` of ReBRAC, written down at once."""
    import jax
    import jax.numpy as jnp
    import optax

    width, depth = config["HIDDEN"], config["LAYERS"]
    obs_dim, action_dim = data.observations.shape[1], data.actions.shape[1]
    adam = optax.adam(config["LR"])

    def layers(key: Any, sizes: list[int]) -> list[Any]:
        keys = jax.random.split(key, len(sizes))
        return [
            (jax.random.normal(k, (a, b)) / np.sqrt(a), jnp.zeros(b), jnp.ones(b), jnp.zeros(b))
            for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=False)
        ]

    def actor(params: Any, x: Any) -> Any:
        for w, b, *_ in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        return jnp.tanh(x @ params[-1][0] + params[-1][1])

    def value(params: Any, obs: Any, action: Any) -> Any:
        x = jnp.concatenate([obs, action], axis=-1)
        for w, b, scale, shift in params[:-1]:
            x = jax.nn.relu(x @ w + b)
            x = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-6) * scale + shift
        return (x @ params[-1][0] + params[-1][1])[:, 0]

    def start(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        pi = layers(keys[0], [obs_dim, *[width] * depth, action_dim])
        q = [layers(k, [obs_dim + action_dim, *[width] * depth, 1]) for k in keys[1:]]
        return pi, q, pi, q, adam.init(pi), adam.init(q), jnp.int32(0)

    def step(state: Any, batch: Any, key: Any) -> Any:
        pi, q, pi_target, q_target, pi_adam, q_adam, count = state
        noise = jnp.clip(
            config["POLICY_NOISE"] * jax.random.normal(key, batch.actions.shape),
            -config["NOISE_CLIP"],
            config["NOISE_CLIP"],
        )
        after = jnp.clip(actor(pi_target, batch.next_observations) + noise, -1.0, 1.0)
        following = jnp.minimum(*(value(each, batch.next_observations, after) for each in q_target))
        penalty = ((after - batch.next_actions) ** 2).sum(-1) * batch.next_known
        target = batch.rewards + config["DISCOUNT"] * batch.masks * (following - config["ALPHA_CRITIC"] * penalty)

        def critic_loss(q: Any) -> Any:
            return sum(((value(each, batch.observations, batch.actions) - target) ** 2).mean() for each in q)

        changes, q_adam = adam.update(jax.grad(critic_loss)(q), q_adam)
        q = optax.apply_updates(q, changes)

        def actor_loss(pi: Any) -> Any:
            action = actor(pi, batch.observations)
            values = jnp.minimum(*(value(each, batch.observations, action) for each in q))
            scale = jax.lax.stop_gradient(1.0 / jnp.abs(values).mean())
            cloning = ((action - batch.actions) ** 2).sum(-1).mean()
            return config["ALPHA_ACTOR"] * cloning - scale * values.mean()

        def improve(given: Any) -> Any:
            pi, pi_target, q_target, pi_adam = given
            changes, pi_adam = adam.update(jax.grad(actor_loss)(pi), pi_adam)
            pi = optax.apply_updates(pi, changes)
            pi_target, q_target = optax.incremental_update((pi, q), (pi_target, q_target), config["TAU"])
            return pi, pi_target, q_target, pi_adam

        given = pi, pi_target, q_target, pi_adam
        due = (count + 1) % config["ACTOR_PERIOD"] == 0
        pi, pi_target, q_target, pi_adam = jax.lax.cond(due, improve, lambda given: given, given)
        return pi, q, pi_target, q_target, pi_adam, q_adam, count + 1

    return start, step


def programs(code: Any, config: Any, data: Any) -> dict[str, Callable[[], Any]]:
    """Functions that each make GRADIENT_STEPS gradient steps, compiled at their first call."""
    import jax
    import jax.numpy as jnp

    steps, size = config["GRADIENT_STEPS"], config["BATCH_SIZE"]
    table, unpack = code.data.pack(data)
    training = code.train.make_train(config, data.actions.shape[1])
    start, step = plain(config, data)
    first, placed = unpack(table[:1]), jax.tree.map(jnp.asarray, data)

    def scanned(begin: Callable[..., Any], one: Callable[..., Any], rows_of: Callable[..., Any]) -> Callable[[], Any]:
        def whole(key: Any, table: Any, data: Any) -> Any:
            indices = jax.random.randint(key, (steps, size), 0, len(table))

            def body(state: Any, inputs: Any) -> Any:
                rows, number = inputs
                return one(state, rows_of(table, data, rows), jax.random.fold_in(key, number)), None

            return jax.lax.scan(body, begin(key), (indices, jnp.arange(steps)))[0]

        compiled = jax.jit(whole)
        return lambda: jax.block_until_ready(compiled(jax.random.key(0), table, placed))

    one_step = jax.jit(step)

    def loop() -> Any:
        draw, state, key = np.random.default_rng(0), start(jax.random.key(0)), jax.random.key(1)
        for _ in range(steps):
            rows = draw.integers(len(table), size=size)
            key, step_key = jax.random.split(key)
            state = one_step(state, jax.tree.map(lambda x, rows=rows: x[rows], data), step_key)
        return jax.block_until_ready(state)

    return {
        "base modules": scanned(
            lambda key: training.init(key, first),
            lambda state, batch, key: training.update(state, batch, key)[0],
            lambda table, data, rows: unpack(table[rows]),
        ),
        "plain, one scan": scanned(start, step, lambda table, data, rows: jax.tree.map(lambda x: x[rows], data)),
        "plain, a loop in Python": loop,
    }


def measured(steps: int, repeats: int) -> dict[str, float]:
    """Gradient steps per second of CPU time of this process, the best of some repeats that take turns."""
    from flax.core import FrozenDict

    from discoenv.domains.OfflineRL.examiner import OfflineRLExaminer
    from discoenv.tasks.registry import get_domain
    from discoenv.testing import import_learner

    domain, dataset = get_domain("OfflineRL"), "Maze/medium-navigate"
    config = domain.config(dataset, "small") | {"GRADIENT_STEPS": steps}
    with import_learner(domain) as code:
        data, _ = code.data.load(OfflineRLExaminer(dataset, "small", config).training_data(0))
        found = programs(code, FrozenDict(config), data)
        for program in found.values():
            program()
        best = dict.fromkeys(found, 0.0)
        for _ in range(repeats):
            for name, program in found.items():
                begin = time.process_time()
                program()
                best[name] = max(best[name], steps / (time.process_time() - begin))
    return best


def main(
    steps: Annotated[int, typer.Option(min=10, help="Gradient steps of a measurement.")] = 2000,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of each, in turns.")] = 3,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    wanted = learner_environment.on_cpu()
    if any(os.environ.get(name) != value for name, value in wanted.items()):  # they count when JAX is imported
        raise SystemExit(
            subprocess.call([sys.executable, "-m", __spec__.name, *sys.argv[1:]], env={**os.environ, **wanted})
        )
    found = measured(steps, repeats)
    base = found["base modules"]
    lines = [
        f"Gradient steps per CPU second, one thread of {platform.machine()}, batches of 256; best of {repeats} turns.",
        "",
        "| | steps/s | base modules are faster by |",
        "|---|---|---|",
        *(f"| {name} | {rate:,.0f} | {base / rate:.2f} × |" for name, rate in found.items()),
    ]
    text = "\n".join(lines) + "\n"
    if write:
        page = RESULTS.read_text(encoding="utf-8")
        atomic.write_text(RESULTS, replace_section(page, *SECTION, text))
    print(text)


if __name__ == "__main__":
    typer.run(main)
