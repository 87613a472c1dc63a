"""Plots how language models learned, what each token of a text cost them, and what they write by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Tokens in a line of text, and rows of text that are shown.
_LINE, _ROWS = 64, 4


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``curves.png`` of all exams, and ``text_<dataset>.png`` of the last exam of each dataset whose model has written.

    Args:
        exams: in order of time; those without a curve are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    known = [exam for exam in exams if "curve" in exam.arrays()]
    if not known:
        return []
    last = {exam.dataset: exam for exam in known if "written" in exam.arrays()}
    texts = [_text(exam, folder / f"text_{dataset.replace('/', '-')}.png") for dataset, exam in last.items()]
    return [_curves(known, folder / "curves.png"), *texts]


def _curves(exams: Sequence[ExamArtifacts], path: Path) -> Path:
    """Bits per token of the validation text, as training reported them, a panel for each dataset."""
    datasets = list(dict.fromkeys(exam.dataset for exam in exams))
    made, axes = figure(1, len(datasets), width=3.6, height=3.0)
    for dataset, panel in zip(datasets, axes[0], strict=True):
        for exam in exams:
            if exam.dataset == dataset:
                curve = exam.arrays()["curve"]
                panel.plot(curve[:, 0], curve[:, 2], label=f"action {exam.step}, exam {exam.number}", linewidth=1.0)
        panel.set_title(dataset, fontsize=9)
        panel.set_xlabel("training tokens")
        panel.legend(fontsize=6)
    axes[0][0].set_ylabel("validation bits per token")
    return save(made, path)


def _text(exam: ExamArtifacts, path: Path) -> Path:
    """Scored tokens of true rows by their cost, and below what the model wrote after their first halves."""
    arrays = exam.arrays()
    read, written, half = arrays["read"][:_ROWS], arrays["written"][:_ROWS], arrays["read"].shape[1] // 2
    lines = -(-read.shape[1] // _LINE)
    made, axes = figure(2, 1, width=9.0, height=0.16 * (lines + 1) * len(read) + 0.7)
    for (panel,), rows, title in zip(
        axes, (read, written), ("true text: bits of scored tokens", "written"), strict=True
    ):
        panel.set_axis_off()
        panel.set_title(f"{title} ({exam.dataset}, {exam.side}, exam {exam.number}, action {exam.step})", fontsize=8)
        panel.set_xlim(0, _LINE)
        panel.set_ylim((lines + 1) * len(rows), 0)
        for number, row in enumerate(rows):
            cost = dict(zip(arrays["positions"][number] + 1, arrays["bits"][number], strict=True))
            for place, token in enumerate(row):
                shade = _shade(float(cost[place])) if rows is read and place in cost else None
                colour = "black" if place < half or rows is read else "navy"
                _letter(panel, place % _LINE, number * (lines + 1) + place // _LINE, int(token), colour, shade)
    return save(made, path)


def _shade(bits: float) -> tuple[float, float, float]:
    """White for what was certain, red for 8 bits and more."""
    share = min(1.0, max(0.0, bits / 8.0))
    return 1.0, 1.0 - 0.7 * share, 1.0 - 0.7 * share


def _letter(panel: Any, x: int, y: int, token: int, colour: str, shade: Any) -> None:
    """One byte; tokens that are no printable byte are their number, and a document begins with ¶."""
    text = chr(token) if 32 <= token < 127 else "¶" if token in (0, 10) else "·" if token < 256 else f"{token % 1000}"
    box = None if shade is None else {"facecolor": shade, "edgecolor": "none", "pad": 0.6}
    plain = "\\$" if text == "$" else text
    panel.text(
        x + 0.5, y + 0.5, plain, fontsize=6, family="monospace", color=colour, bbox=box, ha="center", va="center"
    )
