"""What the ``pictures.py`` of a domain draws with: figures without a display, and what examiners saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discoenv.errors import PlotsMissing, RunError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 4.0, height: float = 3.0
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with ``rows`` × ``columns`` axes of ``width`` × ``height`` inches each. It needs no display.

    Raises:
        PlotsMissing: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        raise PlotsMissing(
            f"pictures need {error.name}, which is not installed: pip install 'discoenv[plots]'"
        ) from None
    made = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False)
    return made, [list(row) for row in axes]


def save(made: Figure, path: Path) -> Path:
    """Write a figure as PNG."""
    made.savefig(path, dpi=120)
    return path


@dataclass(frozen=True)
class ExamArtifacts:
    """What an examiner saved of one exam.

    Attributes:
        step: number of the action that asked for the exam.
        side: ``meta_train`` or ``meta_test``.
        dataset, number: of the exam; the number is that among the exams of the dataset, from 0.
        path: an .npz.
    """

    step: int
    side: str
    dataset: str
    number: int
    path: Path

    def arrays(self) -> dict[str, Any]:
        """The arrays by name.

        Raises:
            RunError: the file is damaged.
        """
        import zipfile  # noqa: PLC0415

        import numpy as np  # noqa: PLC0415 - only pictures need it

        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise RunError(f"{self.path}: cannot be read as an .npz of plain arrays: {error}") from error
