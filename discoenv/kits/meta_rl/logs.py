"""Where the numbers of a run go: a log is a function that is called with a step and a dictionary."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Log(Protocol):
    """Takes one entry: the number of steps made, and numbers by name."""

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write the entry."""


class JsonLines:
    """Appends a line of JSON per entry to a file. Entries of later steps, left by a run that was killed, are removed.

    Args:
        path: of the file; its folder is made.
        step: where the run starts.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith("}\n") and json.loads(line)["step"] <= step]
        path.write_text("".join(kept), encoding="utf-8")
        self._path = path

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """As described by :class:`Log`."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")


class Console:
    """Prints an entry as one line."""

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """As described by :class:`Log`."""
        print(f"step {step}: " + ", ".join(f"{name} {x:.4g}" for name, x in numbers.items()), flush=True)


class TensorBoard:
    """Writes for TensorBoard, by the package tensorboardX.

    Args:
        folder: of the run.

    Raises:
        ImportError: the package is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = _package("tensorboardX").SummaryWriter(str(folder))

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """As described by :class:`Log`."""
        for name, x in numbers.items():
            self._writer.add_scalar(name, x, step)
        self._writer.flush()


class WeightsAndBiases:
    """Sends entries to Weights & Biases.

    Args:
        options: of ``wandb.init``, for example ``entity``, ``project`` and ``config``.

    Raises:
        ImportError: the package is not there.
    """

    def __init__(self, **options: Any) -> None:
        self._run = _package("wandb").init(**options)

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """As described by :class:`Log`."""
        self._run.log(dict(numbers), step=step)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed: pip install {name}, or log without it") from error
