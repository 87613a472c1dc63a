"""Plots what teams did in exams: their returns, and one episode as an animation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Milliseconds of a frame, and most frames of an animation.
_FRAME_MS, _MOST_FRAMES = 150, 100
#: Kinds of things in scenes: team, opponents, obstacles, landmarks.
_COLOURS = ("royalblue", "crimson", "0.5", "seagreen")
#: Cells of a kitchen: floor, counter, onions, plates, pot, service. Colours of Hanabi's cards.
_CELLS = ("white", "0.8", "gold", "lightblue", "0.4", "palegreen")
_CARDS = ("crimson", "royalblue", "seagreen", "goldenrod", "purple")
_HANDS = ("", "onion", "plate", "soup")


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``returns_<dataset>.png`` and ``episode_<dataset>.gif`` of the last exam of each dataset.

    Args:
        exams: in order of time; those without scenes are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    last = {exam.dataset: exam for exam in exams if "scenes" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name, arrays = dataset.replace("/", "-"), exam.arrays()
        title = f"{dataset} ({exam.side}, exam {exam.number}, action {exam.step})"
        paths += [_returns(arrays, title, folder / f"returns_{name}.png")]
        paths += [_episode(arrays, title, folder / f"episode_{name}.gif")]
    return paths


def _returns(arrays: dict[str, Any], title: str, path: Path) -> Path:
    """How the returns are distributed over episodes, and those with success among them."""
    made, [[axes]] = figure(1, 1, width=4.5, height=3.4)
    returns, success = arrays["returns"], arrays["success"].astype(bool)
    edges = np.histogram_bin_edges(returns, bins=16)
    axes.hist([returns[success], returns[~success]], bins=list(edges), stacked=True, color=["seagreen", "0.7"])
    axes.axvline(float(returns.mean()), color="black", linestyle="--", linewidth=1.0)
    axes.set_xlabel("team return of an episode (dashed: the mean; green: success)")
    axes.set_ylabel("episodes")
    axes.set_title(title, fontsize=9)
    return save(made, path)


def _episode(arrays: dict[str, Any], title: str, path: Path) -> Path:
    """The first episode, step by step."""
    from PIL import Image  # comes with matplotlib, and only pictures need it

    length = int(arrays["lengths"][0])
    scenes = arrays["scenes"][: length + 1, 0]
    places = scenes[..., :2].reshape(-1, 2)
    low, high = places.min(axis=0) - 0.7, places.max(axis=0) + 0.7
    frames = []
    # The state after the last step is the first of the next episode, and is left out.
    steps = np.unique(np.linspace(0, max(length - 1, 0), min(length, _MOST_FRAMES)).astype(int))
    for step in steps:
        made, [[axes]] = figure(1, 1, width=3.6, height=3.6)
        scene(axes, scenes[step])
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect("equal")
        axes.tick_params(labelsize=6)
        axes.set_title(f"{title}\nstep {step} of {length}", fontsize=7)
        content = io.BytesIO()
        made.savefig(content, dpi=70)
        frames.append(Image.open(content).convert("P"))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0)
    return path


def scene(axes: Any, things: np.ndarray[Any, Any]) -> None:
    """One scene, float[E, 4] (x, y, kind, health), on Matplotlib axes."""
    for x, y, number, health in things:
        kind = int(number)
        if kind >= 30:
            axes.text(x, y, f"{('tokens', 'lives')[kind - 30]}: {health:.0f}", fontsize=7, ha="center")
        elif kind >= 20:
            if health > 0:
                axes.text(x, y, f"{health:.0f}", color=_CARDS[kind - 20], fontsize=14, ha="center", va="center")
        elif kind >= 10:
            colour = _CELLS[kind - 10]
            axes.fill(
                [x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], color=colour, zorder=0
            )
            if health > 0:
                axes.text(x, y, f"{health:.0f}" if kind == 14 else _HANDS[int(health)], fontsize=6, ha="center")
        elif health > 0 or kind == 0:
            size = 40 if kind in (0, 1) else 120
            alpha = 1.0 if kind else 0.35 + 0.65 * min(float(health), 1.0)
            marker = "x" if kind == 3 else "o"
            axes.scatter([x], [y], s=size, c=_COLOURS[kind], alpha=alpha, marker=marker, zorder=3)
