"""Measures what ``docs/disco103.md`` shows: ``python docs/disco103.py catch``, ``meta`` or ``speed``.

Writes the numbers to ``docs/disco103.json`` and the pictures to ``docs/images``; ``plot`` writes the pictures again.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer

from discoenv.kits.disco103 import (
    HYPER_PARAMS,
    DiscoUpdateRule,
    UpdateRuleInputs,
    load_disco103_weights,
    save_weights,
)
from discoenv.kits.disco103.meta_training import MetaSettings, meta_train
from discoenv.kits.disco103.training import learn_catch
from discoenv.kits.disco103.weights import default_path

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
def speed(
    weights: Annotated[Path | None, typer.Option(help="The published weights; downloaded if not given.")] = None,
    turns: Annotated[int, typer.Option(min=1)] = 10,
    transitions: int = 28,
    batch: int = 64,
    actions: int = 3,
) -> None:
    """One step of the rule beside the package disco-torch (``pip install --no-deps disco-torch==0.4.0``), in turns.

    A step is targets, losses and their gradients by the agent's outputs. Numbers are compared without traces, where the
    other package's Retrace, which is shifted by a step, is the same.
    """
    other = importlib.import_module("disco_torch")
    rules = {"ours": DiscoUpdateRule(), "disco-torch": other.DiscoUpdateRule()}
    load_disco103_weights(rules["ours"], weights)
    other.load_disco103_weights(rules["disco-torch"], str(weights or default_path()))
    shapes = {"logits": (actions,), "y": (600,), "z": (actions, 600), "q": (actions, 601), "aux_pi": (actions, actions)}
    generator = torch.Generator().manual_seed(0)

    def outputs() -> Any:
        return {
            name: torch.randn(transitions + 1, batch, *shape, generator=generator) for name, shape in shapes.items()
        }

    out, target, behaviour = outputs(), outputs(), outputs()
    for tensor in out.values():
        tensor.requires_grad_()
    given = {
        "observations": torch.zeros(transitions + 1, batch, 1),
        "actions": torch.randint(actions, (transitions + 1, batch), generator=generator),
        "rewards": torch.randn(transitions, batch, generator=generator),
        "agent_out": out,
        "behaviour_agent_out": behaviour,
    }
    ended = torch.rand(transitions, batch, generator=generator) < 0.14
    inputs = {
        "ours": UpdateRuleInputs(**given, is_terminal=ended),
        "disco-torch": other.UpdateRuleInputs(**given, is_terminal=ended.float()),
    }
    params = {"w": torch.zeros(1)}

    def step(name: str, lambda_: float) -> tuple[Any, ...]:
        rule, settings = rules[name], {**HYPER_PARAMS, "value_fn_td_lambda": lambda_}
        state = rule.init_meta_state(params)
        with torch.no_grad():
            meta_out, _ = rule.unroll_meta_net(inputs[name], params, state, lambda *_: (target, None), settings)
        loss = rule.agent_loss(inputs[name], meta_out, settings)[0]
        loss = loss + rule.agent_loss_no_meta(inputs[name], meta_out, settings)[0]
        gradients = torch.autograd.grad(loss.mean(), list(out.values()))
        return (*(meta_out[key] for key in ("pi", "y", "z", "q_target")), loss, *gradients)

    for ours, theirs in zip(step("ours", 0.0), step("disco-torch", 0.0), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    seconds: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(turns):
        for name, measured in seconds.items():
            start = time.process_time()
            step(name, 0.95)
            measured.append(time.process_time() - start)
    ratio = statistics.median(b / a for a, b in zip(seconds["ours"], seconds["disco-torch"], strict=True))
    medians = {name: statistics.median(measured) for name, measured in seconds.items()}
    typer.echo(
        f"CPU seconds per step: ours {medians['ours']:.3f}, disco-torch {medians['disco-torch']:.3f}; {ratio:.1f} times"
    )
    _write("speed", {"turns": turns, "seconds": {k: round(v, 4) for k, v in medians.items()}, "ratio": round(ratio, 2)})


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
