"""Plots held-out levels, the ways that policies went in them, and how often each is solved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

_COLUMNS, _ROWS = 4, 3
#: Colours of free cells, walls and lava.
_COLOURS = np.array([(1.0, 1.0, 1.0), (0.35, 0.35, 0.38), (0.93, 0.42, 0.16)])


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``levels_<dataset>.png`` and ``solved_<dataset>.png`` of the last exam of each dataset.

    Args:
        exams: in order of time; those without levels are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    last = {exam.dataset: exam for exam in exams if "solve_rates" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name = dataset.replace("/", "-")
        paths += [_levels(exam, folder / f"levels_{name}.png"), _solved(exam, folder / f"solved_{name}.png")]
    return paths


def _title(exam: ExamArtifacts) -> str:
    return f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})"


def _levels(exam: ExamArtifacts, path: Path) -> Path:
    arrays = exam.arrays()
    made, axes = figure(_ROWS, _COLUMNS, width=2.6, height=2.8)
    for number, one in enumerate(each for row in axes for each in row):
        if number < arrays["places"].shape[1]:
            level(one, {name: arrays[name][number] for name in arrays if name in _FIELDS})
            way(one, arrays, number)
            one.set_title(f"solved in {arrays['solve_rates'][number]:.0%} of attempts", fontsize=8)
        else:
            one.set_axis_off()
    made.suptitle(f"{_title(exam)}: blue start and way of one attempt, green goal, gold key or box", fontsize=9)
    return save(made, path)


_FIELDS = ("cells", "start", "goal", "item", "floor", "ceiling")


def level(axes: Any, fields: dict[str, Any]) -> None:
    """A level on Matplotlib axes, from its arrays by name."""
    if "cells" in fields:
        cells = fields["cells"]
        axes.imshow(_COLOURS[cells], interpolation="nearest")
        for name, colour in (("item", "gold"), ("start", "royalblue"), ("goal", "seagreen")):
            if name in fields:
                row, column = divmod(int(fields[name]), len(cells))
                axes.plot(column, row, marker="s", markersize=7, color=colour)
    else:
        columns = np.arange(len(fields["floor"]))
        axes.bar(columns, fields["floor"], width=1.0, color=_COLOURS[1])
        axes.bar(columns, 12 - fields["ceiling"], bottom=fields["ceiling"], width=1.0, color="0.75")
        axes.set_ylim(0, 12)
    axes.set_xticks([])
    axes.set_yticks([])


def way(axes: Any, arrays: dict[str, Any], number: int) -> None:
    """The way of an attempt in a level, over it; a little beside itself, so that what is walked twice is seen."""
    steps = int(arrays["steps"][number])
    rows, columns = arrays["places"][:steps, number].T
    beside = np.linspace(-0.2, 0.2, steps) if "cells" in arrays else np.zeros(steps)
    axes.plot(columns + beside, rows + beside, color="royalblue", linewidth=1.2, alpha=0.8)


def _solved(exam: ExamArtifacts, path: Path) -> Path:
    rates = np.sort(exam.arrays()["solve_rates"])
    made, axes = figure(1, 1, width=5.0, height=3.0)
    one = axes[0][0]
    one.bar(np.arange(len(rates)), rates, width=1.0, color="royalblue")
    one.axhline(rates.mean(), color="black", linewidth=0.8, linestyle=":")
    one.set_xlabel("held-out level, from the hardest")
    one.set_ylabel("share of attempts that solve it")
    one.set_ylim(0, 1)
    one.set_title(f"{_title(exam)}: mean {rates.mean():.2f}", fontsize=9)
    return save(made, path)
