"""Learning curves of OnPolicyRL's backends: training return over environment steps, with intervals over seeds.

Each backend's baseline is trained as in an exam, several seeds at once, and the mean over seeds is plotted with its
95 % interval (Student's t); the dashed line is the floor, a random policy's return. Writes an SVG, and a JSON of the
numbers beside it, from which ``--replot`` plots again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from discoenv.exams import learner_environment
from discoenv.exams.examiner_process import load_examiner_class
from discoenv.tasks.registry import get_domain
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import materialise

FIGURE = Path(__file__).resolve().with_suffix(".svg")
GAMES = ("MinAtar/Breakout", "MinAtar/Asterix", "MinAtar/Freeway", "MinAtar/SpaceInvaders")
#: Two-sided 95 % quantile of Student's t, by degrees of freedom.
_T = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
_WINDOWS = 20

#: Runs in a dataset's folder: trains all seeds at once and prints the training returns, [seeds, updates], as JSON.
_TRAIN = """
import json, sys, yaml
import jax, numpy as np
import main, train
config = main.get_config(yaml.safe_load(open("config.yaml")))
results = jax.jit(jax.vmap(train.make_train(config), in_axes=(0, None)))(
    jax.random.split(jax.random.key(0), int(sys.argv[1])), config["LR"]
)
print(json.dumps(np.asarray(results["metrics"]["mean_training_return"], float).tolist()))
"""


def returns_of(backend: str, dataset: str, scale: Scale, seeds: int) -> list[list[float]]:
    """Mean training return per seed and update (NaN where no episode ended), trained in a separate process."""
    domain = get_domain("OnPolicyRL")
    task = Task(
        domain=domain.name,
        modules=tuple(domain.modules),
        meta_train=(dataset,),
        meta_test=(next(name for name in domain.datasets if name != dataset),),
        backend=backend,
        start="base",
        scale=scale,
    )
    environment = {**os.environ, **learner_environment.on_cpu()}
    with tempfile.TemporaryDirectory() as folder:
        workspace = materialise(task, Path(folder) / "workspace")
        done = subprocess.run(
            [sys.executable, "-c", _TRAIN, str(seeds)],
            cwd=workspace / dataset,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    curves: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return curves


def summary(curves: list[list[float]], total_steps: int) -> dict[str, list[float]]:
    """Steps, mean over seeds and half the width of its 95 % interval, in at most 20 windows of updates.

    Windows in which some seed ended no episode are left out.
    """
    returns = np.asarray(curves, float)
    seeds, updates = returns.shape
    rows = []
    for window in np.array_split(np.arange(updates), min(_WINDOWS, updates)):
        ended = [run[window][~np.isnan(run[window])] for run in returns]
        if all(len(each) for each in ended):
            means = np.array([each.mean() for each in ended])
            half = _T.get(seeds - 1, 1.96) * means.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else 0.0
            rows.append(((window[-1] + 1) / updates * total_steps, means.mean(), half))
    return dict(zip(("steps", "mean", "half_width"), map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


def measure(games: tuple[str, ...], scale: Scale, seeds: int) -> dict[str, Any]:
    """Curves of all backends and floors, by game."""
    domain = get_domain("OnPolicyRL")
    figures: dict[str, Any] = {}
    for game in games:
        config = domain.config(game, scale)
        examiner = load_examiner_class(domain.directory)(game, scale, config)
        floor = float(np.mean([examiner.floor(seed)[domain.metric(game).name] for seed in range(3)]))
        figures[game] = {"floor": floor, "backends": {}}
        for backend in domain.backends:
            curves = returns_of(backend, game, scale, seeds)
            figures[game]["backends"][backend] = summary(curves, config["TOTAL_TIMESTEPS"])
    return figures


def plot(figures: dict[str, Any], path: Path) -> None:
    """One panel per game."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "discoenv"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(figures), figsize=(3.1 * len(figures), 2.7), squeeze=False)
    for axis, (game, row) in zip(axes[0], figures.items(), strict=True):
        for backend, curve in row["backends"].items():
            if curve:
                steps, mean, half = (np.asarray(curve[key]) for key in ("steps", "mean", "half_width"))
                (line,) = axis.plot(steps / 1e6, mean, label=backend)
                axis.fill_between(steps / 1e6, mean - half, mean + half, alpha=0.2, color=line.get_color(), linewidth=0)
        axis.axhline(row["floor"], color="gray", linestyle="--", linewidth=1, label="floor")
        axis.set_title(game, fontsize=10)
        axis.set_xlabel("environment steps (millions)")
    axes[0][0].set_ylabel("training return")
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    scale: Annotated[str, typer.Option(help="tiny or small.")] = "small",
    seeds: Annotated[int, typer.Option(min=2, max=10, help="Agents per curve.")] = 3,
    path: Annotated[Path, typer.Option(help="The figure to write.")] = FIGURE,
    replot: Annotated[bool, typer.Option("--replot", help="Plot the numbers of the last run again.")] = False,
) -> None:
    """Train, and write the figure and its numbers."""
    numbers = path.with_suffix(".json")
    if not replot:
        figures = measure(tuple(dataset or GAMES), scale, seeds)  # type: ignore[arg-type] # checked by the config
        numbers.parent.mkdir(parents=True, exist_ok=True)
        numbers.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    plot(json.loads(numbers.read_text(encoding="utf-8")), path)
    print(path)


if __name__ == "__main__":
    typer.run(main)
