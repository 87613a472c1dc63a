"""Measures what ``docs/disco103.md`` shows: ``python docs/disco103.py catch`` or ``meta``, with the published weights.

Writes the numbers to ``docs/disco103.json`` and the pictures to ``docs/images``; ``plot`` writes the pictures again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer

from discoenv.kits.disco103 import DiscoUpdateRule, load_disco103_weights, save_weights
from discoenv.kits.disco103.meta_training import MetaSettings, meta_train
from discoenv.kits.disco103.training import learn_catch

HERE: Final = Path(__file__).resolve().parent
NUMBERS: Final = HERE / "disco103.json"
FIGURES: Final = {"catch": HERE / "images" / "disco103_catch.svg", "meta": HERE / "images" / "disco103_meta.svg"}
#: Returns are averaged over this many iterations.
WINDOW: Final = 25

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)


@app.command()
def catch(
    weights: Annotated[Path | None, typer.Option(help="The published weights; downloaded if not given.")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    iterations: Annotated[int, typer.Option(min=WINDOW)] = 800,
    device: str = "cpu",
) -> None:
    """5 x 5 Catch, learned by Disco103."""
    rule = DiscoUpdateRule().to(device)
    load_disco103_weights(rule, weights)
    curves, seconds = [], []
    for seed in range(seeds):
        start = time.process_time()
        curves.append(windows(learn_catch(rule, iterations, seed)[1]))
        seconds.append(time.process_time() - start)
        typer.echo(f"seed {seed}: final return {curves[-1][-1]:.2f}, {seconds[-1]:.0f} CPU seconds")
    _write("catch", {"window": WINDOW, "curves": curves, "cpu_seconds": [round(x) for x in seconds]})


@app.command()
def meta(
    steps: Annotated[int, typer.Option(min=WINDOW)] = 800,
    iterations: Annotated[int, typer.Option(min=WINDOW, help="Of the fresh agents that compare the rules.")] = 400,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh agents per rule.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Where to save the rule's weights.")] = None,
) -> None:
    """A rule learned from scratch on 5 x 5 Catch, at the scale of a demonstration, against one that was not trained."""
    start = time.process_time()
    rule, untrained = DiscoUpdateRule(), DiscoUpdateRule()
    for each in (rule, untrained):
        each.meta_net.reset_parameters(torch.Generator().manual_seed(0))
    settings = MetaSettings(torso=(64, 64), lstm=32, head=32)
    population = windows(meta_train(rule, steps, settings=settings, on_step=_progress))
    seconds = time.process_time() - start
    if out is not None:
        save_weights(rule, out)
    fresh = {
        name: [windows(learn_catch(each, iterations, 100 + seed)[1]) for seed in range(seeds)]
        for name, each in (("trained", rule), ("untrained", untrained))
    }
    _write("meta", {"window": WINDOW, "population": population, "fresh": fresh, "cpu_seconds": round(seconds)})


@app.command()
def plot() -> None:
    """Plot the numbers again."""
    import matplotlib as mpl  # noqa: PLC0415 - takes longer to import than this command may

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "discoenv"
    from matplotlib import pyplot  # noqa: PLC0415

    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    panels: dict[str, list[dict[str, list[list[float]]]]] = {}
    if "catch" in numbers:
        panels["catch"] = [{f"seed {i}": [curve] for i, curve in enumerate(numbers["catch"]["curves"])}]
    if "meta" in numbers:
        panels["meta"] = [{"population": [numbers["meta"]["population"]]}, numbers["meta"]["fresh"]]
    for name, parts in panels.items():
        figure, axes = pyplot.subplots(1, len(parts), figsize=(4.5 * len(parts), 3), squeeze=False)
        for axis, curves in zip(axes[0], parts, strict=True):
            for i, (label, runs) in enumerate(curves.items()):
                for run in runs:
                    x = WINDOW * np.arange(1, len(run) + 1)
                    axis.plot(x, run, color=f"C{i}", label=label if run is runs[0] else None)
            axis.axhline(-0.6, color="gray", linestyle="--", linewidth=1, label="random policy")
            axis.set_xlabel("meta-steps" if "population" in curves else "learner steps")
            axis.set_ylabel("mean return")
            axis.legend(fontsize=8, frameon=False)
        figure.tight_layout()
        FIGURES[name].parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(FIGURES[name], metadata={"Date": None})
        pyplot.close(figure)


def windows(returns: Sequence[float]) -> list[float]:
    """Means of consecutive windows of iterations; a rest is left out."""
    whole = len(returns) // WINDOW * WINDOW
    return [round(float(x), 3) for x in np.reshape(returns[:whole], (-1, WINDOW)).mean(1)]


def _progress(step: int, mean_return: float) -> None:
    if (step + 1) % WINDOW == 0:
        typer.echo(f"meta-step {step + 1}: return {mean_return:.2f}")


def _write(name: str, content: dict[str, Any]) -> None:
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    NUMBERS.write_text(json.dumps({**numbers, name: content}, indent=1) + "\n", encoding="utf-8")
    plot()


if __name__ == "__main__":
    app()
