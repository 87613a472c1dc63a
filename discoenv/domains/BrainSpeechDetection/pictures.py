"""Plots what an expert looks at: evoked responses with maps of the helmet, and how well windows are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Seconds after the onset of a phrase whose fields are drawn.
_PEAKS = (0.05, 0.1, 0.2)
#: Seconds before the onset that evoked responses begin, and samples per second.
_BEFORE, _RATE = 0.2, 100.0


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``evoked_<dataset>.png`` and ``decisions_<dataset>.png`` of the last exam of each dataset.

    Args:
        exams: in order of time; those without probabilities are passed over.
        folder: where the files go.

    Returns:
        Their paths. Published recordings have no evoked responses.
    """
    last = {exam.dataset: exam for exam in exams if "probabilities" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name = dataset.replace("/", "-")
        if "evoked" in exam.arrays():
            paths.append(_evoked(exam, folder / f"evoked_{name}.png"))
        paths.append(_decisions(exam, folder / f"decisions_{name}.png"))
    return paths


def _title(exam: ExamArtifacts) -> str:
    return f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})"


def _evoked(exam: ExamArtifacts, path: Path) -> Path:
    """All sensors over time, and the field at three times, seen from above with the nose up."""
    arrays = exam.arrays()
    evoked, places = arrays["evoked"], arrays["sensors"]
    made, axes = figure(1, 1 + len(_PEAKS), width=3.2, height=3.0)
    course, *maps = axes[0]
    course.plot((np.arange(evoked.shape[1]) / _RATE - _BEFORE) * 1000.0, evoked.T, linewidth=0.8)
    for peak in _PEAKS:
        course.axvline(1000.0 * peak, color="grey", linewidth=0.5, linestyle=":")
    course.set_xlabel("ms after the onset of a phrase")
    course.set_ylabel("pT")
    largest = float(np.abs(evoked).max()) or 1.0
    for peak, one in zip(_PEAKS, maps, strict=True):
        field = evoked[:, round((_BEFORE + peak) * _RATE)]
        drawn = _map(one, places, field, largest)
        one.set_title(f"{1000.0 * peak:.0f} ms", fontsize=8)
    made.colorbar(drawn, ax=maps[-1], label="pT")
    made.suptitle(_title(exam), fontsize=9)
    return save(made, path)


def _map(axes: Any, places: Any, field: Any, largest: float) -> Any:
    """The field between sensors, interpolated by distance, and the sensors."""
    edge = 1.15 * float(np.abs(places).max())
    grid = np.stack(np.meshgrid(np.linspace(-edge, edge, 60), np.linspace(-edge, edge, 60)), axis=-1)
    square = ((grid[:, :, None, :] - places) ** 2).sum(axis=-1)
    weights = 1.0 / (square + 0.02) ** 2
    between = (weights * field).sum(axis=-1) / weights.sum(axis=-1)
    between[(grid**2).sum(axis=-1) > edge**2] = np.nan
    extent = (-edge, edge, -edge, edge)
    drawn = axes.imshow(between, origin="lower", extent=extent, cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.scatter(places[:, 0], places[:, 1], s=6, color="black")
    axes.plot([-0.15, 0.0, 0.15], [edge, 1.12 * edge, edge], color="black", linewidth=0.8)
    axes.set_axis_off()
    return drawn


def _decisions(exam: ExamArtifacts, path: Path) -> Path:
    """How probabilities of speech and of silence are spread, the ROC curve, and how true probabilities are."""
    arrays = exam.arrays()
    found, labels, threshold = arrays["probabilities"], arrays["labels"].astype(bool), float(arrays["threshold"])
    made, axes = figure(1, 3, width=3.2, height=3.0)
    spread, roc, true = axes[0]
    bins = np.linspace(0.0, 1.0, 31).tolist()
    for name, rows in (("silence", ~labels), ("speech", labels)):
        spread.hist(found[rows], bins, density=True, alpha=0.5, label=name)
    spread.axvline(threshold, color="black", linewidth=0.8)
    spread.set_xlabel("probability of speech")
    spread.legend(fontsize=7)
    ranked = labels[np.argsort(-found, kind="stable")]
    hits, alarms = (np.append(0.0, np.cumsum(each) / max(1, each.sum())) for each in (ranked, ~ranked))
    roc.plot(alarms, hits)
    roc.plot([0.0, 1.0], [0.0, 1.0], color="grey", linewidth=0.5)
    roc.set_xlabel("share of silence called speech")
    roc.set_ylabel("share of speech called speech")
    which = np.minimum((found * 10).astype(int), 9)
    used = [each for each in range(10) if (which == each).any()]
    true.plot([found[which == each].mean() for each in used], [labels[which == each].mean() for each in used], "o-")
    true.plot([0.0, 1.0], [0.0, 1.0], color="grey", linewidth=0.5)
    true.set_xlabel("mean probability")
    true.set_ylabel("share of speech")
    made.suptitle(_title(exam), fontsize=9)
    return save(made, path)
