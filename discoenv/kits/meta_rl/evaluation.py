"""Meta-test: fresh agents learn by a rule in environments that meta-training has not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .agents import agent_update
from .external import EXTERNAL, external_mode
from .gridworld import optimal_return, random_return
from .lives import a2c_actor, begin_life, judged
from .modes import MODES, Mode, mode
from .rollouts import collect
from .rule_net import Params
from .settings import Settings

#: Names of several environments at once.
SUITES: Final[Mapping[str, tuple[str, ...]]] = {
    "tabular": ("dense", "sparse", "long", "longer", "long_dense"),
    "mazes": tuple(name for name in MODES[MODES.index("mazes") + 1 :]),
    "gymnax": tuple(EXTERNAL),
}


@dataclass(frozen=True)
class Result:
    """What fresh agents reached in one environment: S agents, each on a level drawn for it.

    Attributes:
        name: of the environment.
        updates: ages at which agents were judged, ``[P]``; the first is 0.
        returns: mean returns of fresh episodes, ``[S, P]``.
        random, best: returns of a random policy, and of the best policy or, where that is not known, of an A2C agent
            after the same number of updates, ``[S]``.
        exact: whether ``best`` is that of the best policy.
    """

    name: str
    updates: NDArray[np.int64]
    returns: NDArray[np.float64]
    random: NDArray[np.float64]
    best: NDArray[np.float64]
    exact: bool

    @property
    def normalised(self) -> NDArray[np.float64]:
        """``(return - random) / (best - random)``, clipped to [-1, 1], ``[S, P]``; 0 where the two are equal."""
        span = self.best - self.random
        known = np.abs(span) > 1e-9
        quotient = (self.returns - self.random[:, None]) / np.where(known, span, 1)[:, None]
        return np.where(known[:, None], quotient, 0).clip(-1, 1)

    @property
    def score(self) -> tuple[float, float]:
        """Mean of the normalised return at the end of the lifetime, and its standard error."""
        return _mean_and_error(self.normalised[:, -1])

    @property
    def area(self) -> float:
        """Mean of the normalised return over the lifetime, by the trapezoidal rule."""
        return float(np.trapezoid(self.normalised.mean(0), self.updates) / self.updates[-1])


def names_of(environments: Sequence[str]) -> list[str]:
    """Names of single environments, for names of suites and of environments; each once.

    Raises:
        ValueError: there is no such environment.
    """
    names = dict.fromkeys(name for given in environments for name in SUITES.get(given, (given,)))
    for name in names:
        _mode(name)
    return list(names)


def _mode(name: str) -> Mode:
    return external_mode(name) if name in EXTERNAL else mode(name)


def meta_test(
    rule_params: Params,
    settings: Settings,
    environment: str,
    *,
    seed: int = 0,
    agents: int = 8,
    lifetime: int | None = None,
    points: int = 10,
) -> Result:
    """Train fresh agents by a rule, and judge them at several ages.

    Args:
        rule_params: of the rule, for ``settings.rule``.
        settings: of the run that made the rule; mode, lifetimes and outer loop are not read.
        environment: name of a mode of grid worlds, or of :data:`~.external.EXTERNAL`.
        seed: of levels, agents and episodes.
        agents: S, number of agents.
        lifetime: in updates; None: the longest of the environment.
        points: equal parts of the lifetime, after each of which agents are judged.
    """
    chosen = _mode(environment)
    chosen = chosen.living(chosen.lifetime[1] if lifetime is None else lifetime)
    part = -(-chosen.lifetime[1] // points)
    updates = np.minimum(np.arange(points + 1) * part, chosen.lifetime[1])
    updates = updates[: int(np.argmax(updates == chosen.lifetime[1])) + 1]
    with_table = hasattr(chosen.world, "moving") and not chosen.world.moving

    def one(key: jax.Array, params: Params) -> tuple[jax.Array, ...]:
        draw, begin, learn, judge, rival = jax.random.split(key, 5)
        level = chosen.sample(draw)
        life = begin_life(begin, settings, chosen, level, jnp.int32(chosen.lifetime[1]), jnp.int32(0))

        def update(n: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            agent, states = carry
            now = jax.random.fold_in(learn, n)
            states, rollout = collect(now, chosen.world, agent.actor.params, states, level, settings.rollout_steps)
            agent, _ = agent_update(
                agent, rollout, params, settings.rule, life.lifetime, chosen.agent, alpha=settings.alpha
            )
            return agent, states

        def further(carry: tuple[Any, Any], n: jax.Array) -> tuple[tuple[Any, Any], jax.Array]:
            # The first age is 0; updates after the lifetime change nothing.
            carry = jax.lax.fori_loop(jnp.maximum(n - part, 0), n, update, carry)
            now = jax.random.fold_in(judge, n)
            return carry, judged(now, settings, chosen, carry[0].actor.params, level)

        ages = jnp.asarray(part * np.arange(len(updates)))
        _, returns = jax.lax.scan(further, (life.agent, life.states), ages)
        if with_table:
            return returns, random_return(chosen.world, level), optimal_return(chosen.world, level)
        idle = jax.tree.map(jnp.zeros_like, life.agent.actor.params)  # equal logits for all actions
        best = a2c_actor(rival, settings, chosen, level)
        return returns, *(judged(rival, settings, chosen, actor, level) for actor in (idle, best))

    keys = jax.random.split(jax.random.key(seed), agents)
    returns, random, best = jax.jit(jax.vmap(one, (0, None)))(keys, rule_params)
    returns, random, best = (np.asarray(x, np.float64) for x in (returns, random, best))
    return Result(environment, updates, returns, random, best, with_table)


def table(results: Mapping[str, Sequence[Result]]) -> str:
    """Results of several rules as Markdown: a row per environment, and the mean over all of them.

    Args:
        results: by the name of the rule, in the same environments.
    """
    rules = list(results)
    head = ["environment", "updates", "random", "best", *(f"{name}: return, normalised" for name in rules)]
    rows = [head, ["---"] * len(head)]
    for each in zip(*results.values(), strict=True):
        first = each[0]
        best = f"{first.best.mean():.2f}" + ("" if first.exact else " (A2C)")
        cells = [f"{r.returns[:, -1].mean():.2f}, {r.score[0]:.2f} ± {r.score[1]:.2f}" for r in each]
        rows.append([first.name, str(first.updates[-1]), f"{first.random.mean():.2f}", best, *cells])
    overall = [np.mean([r.normalised[:, -1] for r in results[name]], 0) for name in rules]
    rows.append(["mean", "", "", "", *("{:.2f} ± {:.2f}".format(*_mean_and_error(x)) for x in overall)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(results: Mapping[str, Sequence[Result]], folder: Path) -> list[Path]:
    """Write ``meta_test.md`` (the table), ``meta_test.json`` (all curves) and, if Matplotlib is there, a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "meta_test.md", folder / "meta_test.json"]
    paths[0].write_text(table(results) + "\n", encoding="utf-8")
    curves = {
        rule: {
            r.name: {
                "updates": r.updates.tolist(),
                "returns": r.returns.round(4).tolist(),
                "normalised": r.normalised.round(4).tolist(),
                "area": round(r.area, 4),
            }
            for r in of_rule
        }
        for rule, of_rule in results.items()
    }
    paths[1].write_text(json.dumps(curves) + "\n", encoding="utf-8")
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return paths
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "meta_rl"
    from matplotlib import pyplot  # noqa: PLC0415 - after the choice of a backend

    names = [r.name for r in next(iter(results.values()))]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3 * columns, 2.4 * rows), squeeze=False)
    for axis, i in zip(axes.flat, range(rows * columns), strict=True):
        if i >= len(names):
            axis.axis("off")
            continue
        for rule, of_rule in results.items():
            r = of_rule[i]
            mean, error = r.normalised.mean(0), r.normalised.std(0) / np.sqrt(len(r.returns))
            axis.plot(r.updates, mean, label=rule)
            axis.fill_between(r.updates, mean - error, mean + error, alpha=0.3)
        axis.set_title(names[i], fontsize=9)
        axis.set_ylim(-1.05, 1.05)
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.supxlabel("updates")
    figure.supylabel("normalised return")
    figure.tight_layout()
    figure.savefig(folder / "meta_test.svg", metadata={"Date": None})
    pyplot.close(figure)
    return [*paths, folder / "meta_test.svg"]


def _mean_and_error(x: NDArray[np.float64]) -> tuple[float, float]:
    return float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
