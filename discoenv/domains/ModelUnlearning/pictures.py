"""Plots what is forgotten against what is lost, and the answers of the model before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``trade_off.png`` of all exams; ``probabilities_<dataset>.png`` and ``answers_<dataset>.png`` of each last one.

    Args:
        exams: in order of time; those without measurements are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    known = [(exam, exam.arrays()) for exam in exams]
    known = [(exam, arrays) for exam, arrays in known if "trade_off" in arrays]
    if not known:
        return []
    last = {exam.dataset: (exam, arrays) for exam, arrays in known}
    paths = [_trade_off(known, folder / "trade_off.png")]
    for dataset, (exam, arrays) in last.items():
        name = dataset.replace("/", "-")
        paths.append(_probabilities(exam, arrays, folder / f"probabilities_{name}.png"))
        if "samples" in arrays:
            paths.append(_answers(exam, arrays, folder / f"answers_{name}.png"))
    return paths


def _title(exam: ExamArtifacts) -> str:
    return f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})"


def _trade_off(known: Sequence[tuple[ExamArtifacts, dict[str, Any]]], path: Path) -> Path:
    """Each exam is a point; lines join models of the same score."""
    made, axes = figure(1, 1, width=5.0, height=4.0)
    (only,) = axes[0]
    steps = np.array([exam.step for exam, _ in known])
    points = np.array([arrays["trade_off"] for _, arrays in known])
    lost = np.linspace(0.0, max(0.4, float(points[:, 1].max())), 50)
    for score in (0.0, 0.25, 0.5, 0.75, 1.0):
        only.plot(lost, score + points[0, 2] * lost, color="lightgrey", zorder=0, linewidth=0.8)
    shown = only.scatter(points[:, 1], points[:, 0], c=steps, cmap="viridis", s=18)
    only.plot([0.0], [0.0], "s", color="firebrick", label="full")
    only.plot([0.0], [1.0], "*", color="goldenrod", markersize=12, label="gold")
    made.colorbar(shown, ax=only, label="action")
    only.set_xlabel("utility lost")
    only.set_ylabel("closeness to gold on what is forgotten")
    only.set_ylim(min(-0.1, float(points[:, 0].min()) - 0.05), 1.05)
    only.legend(fontsize=8)
    only.set_title("lines: equal scores", fontsize=9)
    return save(made, path)


def _probabilities(exam: ExamArtifacts, arrays: dict[str, Any], path: Path) -> Path:
    """How probable right answers are to the three models, in each kind of facts: distribution functions."""
    kinds = ("forget", "shown", "unshown", "common")
    made, axes = figure(1, len(kinds), width=2.6, height=2.6)
    for one, kind in zip(axes[0], kinds, strict=True):
        for model, colour in (("full", "firebrick"), ("gold", "goldenrod"), ("found", "navy")):
            values = np.sort(arrays[f"{model}/{kind}"])
            one.step(values, np.arange(1, len(values) + 1) / len(values), where="post", color=colour, label=model)
        one.set_xlim(-0.02, 1.02)
        one.set_title(kind, fontsize=9)
        one.set_xlabel("probability", fontsize=8)
    axes[0][0].legend(fontsize=7)
    axes[0][0].set_ylabel("share of questions")
    made.suptitle(_title(exam), fontsize=9)
    return save(made, path)


def _answers(exam: ExamArtifacts, arrays: dict[str, Any], path: Path) -> Path:
    """Some questions about what is forgotten, with the right answer and what each model says."""
    made, axes = figure(1, 1, width=10.0, height=0.28 * len(arrays["samples"]) + 0.8)
    (only,) = axes[0]
    only.set_axis_off()
    drawn = only.table(
        cellText=arrays["samples"].tolist(),
        colLabels=["question", "right answer", "full", "gold", "model"],
        colWidths=[0.36, 0.16, 0.16, 0.16, 0.16],
        cellLoc="left",
        loc="center",
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7)
    made.suptitle(_title(exam), fontsize=9)
    return save(made, path)
