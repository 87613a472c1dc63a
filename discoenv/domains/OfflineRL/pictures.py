"""Plots episodes of exams: ways through a maze, what became of a disc, lamps over time, a swing; and the scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

from . import worlds

#: Episodes of a row and of a column, where each has axes of its own.
_COLUMNS, _ROWS = 4, 2


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``episodes_<dataset>.png`` and ``scores_<dataset>.png`` of the last exam of each dataset.

    Args:
        exams: in order of time; those without episodes are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    last = {exam.dataset: exam for exam in exams if "episodes" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name = dataset.replace("/", "-")
        paths += [_episodes(exam, folder / f"episodes_{name}.png"), _scores(exam, folder / f"scores_{name}.png")]
    return paths


def _episodes(exam: ExamArtifacts, path: Path) -> Path:
    arrays = exam.arrays()
    name, episodes, success, goal = (arrays[key] for key in ("world", "episodes", "success", "goal"))
    world = worlds.make(str(name)) if str(name) in worlds.WORLDS else None
    if isinstance(world, worlds.Maze):
        made, [[axes]] = figure(1, 1, width=6.0, height=6.0)
        maze(axes, world, episodes, success, goal)
    elif isinstance(world, worlds.Pendulum):
        made, [[axes]] = figure(1, 1, width=6.0, height=3.5)
        axes.plot(episodes[:, :, 0].T, color="steelblue", alpha=0.3, linewidth=0.9)
        axes.plot(episodes[:, :, 0].mean(axis=0), color="navy", linewidth=1.8)
        axes.set_xlabel("step")
        axes.set_ylabel("height of the end: -1 hanging, 1 upright")
    else:
        made, rows = figure(_ROWS, _COLUMNS, width=2.8, height=2.8)
        for number, axes in enumerate(each for row in rows for each in row):
            if number >= len(episodes):
                axes.set_axis_off()
            elif isinstance(world, worlds.Push):
                push(axes, world, episodes[number], goal)
            elif isinstance(world, worlds.Lights):
                lights(axes, episodes[number], goal)
            else:
                axes.plot(episodes[number, :, 0], episodes[number, :, 1], linewidth=1.0)
            if number < len(episodes):
                axes.set_title("reached" if success[number] else "not reached", fontsize=8)
    made.suptitle(f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})", fontsize=9)
    return save(made, path)


def maze(axes: Any, world: worlds.Maze, episodes: Any, success: Any, goal: Any) -> None:
    """All ways on a map: blue those that reached the goal, red the others; a way ends where the goal is reached."""
    rows, columns = world.free.shape
    axes.imshow(world.free, cmap="gray", vmin=-0.6, vmax=1.0, extent=(0, columns, rows, 0))
    for row, column in np.argwhere(world.portal):
        axes.text(column + 0.5, row + 0.5, "portal", ha="center", va="center", fontsize=7, color="purple")
    for episode, reached in zip(episodes, success, strict=True):
        there = world.reached(episode, goal)
        end = int(there.argmax()) + 1 if there.any() else len(episode)
        place = world.place(episode[:end])
        jumps = np.linalg.norm(np.diff(place, axis=0), axis=1) > 1.0
        broken = np.insert(place, np.flatnonzero(jumps) + 1, np.nan, axis=0)
        axes.plot(*broken.T, color="royalblue" if reached else "crimson", alpha=0.5, linewidth=0.9)
        axes.plot(*place[0], marker="o", markersize=3, color="black")
    axes.plot(*goal, marker="*", markersize=16, color="gold", markeredgecolor="black")
    axes.set_xticks([])
    axes.set_yticks([])


def push(axes: Any, world: worlds.Push, episode: Any, goal: Any) -> None:
    """One episode on the table: the finger's way (grey), the disc's (blue), from light to dark."""
    there = world.reached(episode, goal)
    end = int(there.argmax()) + 1 if there.any() else len(episode)
    shade = np.linspace(0.2, 1.0, end)
    axes.scatter(episode[:end, 0], episode[:end, 1], s=6, c=shade, cmap="Greys", vmin=0.0, vmax=1.0)
    axes.scatter(episode[:end, 2], episode[:end, 3], s=14, c=shade, cmap="Blues", vmin=0.0, vmax=1.0)
    angle = np.linspace(0.0, 2.0 * np.pi, 60)
    axes.plot(goal[0] + world.NEAR * np.cos(angle), goal[1] + world.NEAR * np.sin(angle), color="green")
    axes.set_xlim(-1, 1)
    axes.set_ylim(-1, 1)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=6)


def lights(axes: Any, episode: Any, goal: Any) -> None:
    """Lamps over time, yellow where they are as wanted; the line is the arm, bold where it is down."""
    right = (episode[:, 3:] > 0.0) == (goal > 0.5)
    lamps = right.shape[1]
    axes.imshow(right.T, aspect="auto", cmap="cividis", vmin=0, vmax=1, extent=(-0.5, len(right) - 0.5, lamps, 0))
    place = (episode[:, 0] + 1.0) / 2.0 * lamps
    axes.plot(place, color="white", linewidth=0.8)
    down = np.flatnonzero(episode[:, 2] > 0.0)
    axes.plot(down, place[down], linestyle="", marker="o", markersize=3, color="red")
    axes.tick_params(labelsize=6)


def _scores(exam: ExamArtifacts, path: Path) -> Path:
    """How the scores are distributed over episodes."""
    scores = np.sort(exam.arrays()["scores"])
    made, [[axes]] = figure(1, 1, width=4.5, height=3.4)
    axes.plot(scores, np.arange(1, len(scores) + 1) / len(scores), drawstyle="steps-post")
    axes.axvline(float(scores.mean()), color="0.6", linestyle="--", linewidth=1.0)
    axes.set_xlabel("score of an episode, % (dashed: the mean)")
    axes.set_ylabel("share of episodes")
    axes.set_title(f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})", fontsize=9)
    return save(made, path)
