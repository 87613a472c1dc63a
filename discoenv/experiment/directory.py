"""Run directories that can go on: ``%Y-%m-%d_%H-%M-%S_<dashed-name>_<id>/``.

A run directory holds ``config.json``, ``seed``, ``metrics.json`` (a list per metric) and ``state.pkl``, all replaced in
one step, so that a kill leaves either the old or the new.
"""

from __future__ import annotations

import datetime
import json
import pickle
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from discoenv.experiment import sealed
from discoenv.machine import atomic


class RunDirectory:
    """A run's directory.

    Args:
        path: an existing one; see :meth:`create` and :meth:`resume`.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()

    @classmethod
    def create(
        cls, root: str | Path, name: str, *, config: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Self:
        """A new directory below ``root``, named after the time, ``name`` with dashes, and 8 random hex digits.

        Args:
            root: made if it is missing.
            name: of what is run; characters other than letters and digits become dashes.
            config: plain values, for ``config.json``.
            seed: for ``seed``.
        """
        now = datetime.datetime.now().astimezone()
        dashed = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "run"
        run = cls(Path(root) / f"{now:%Y-%m-%d_%H-%M-%S}_{dashed}_{uuid.uuid4().hex[:8]}")
        run.path.mkdir(parents=True)
        if config is not None:
            atomic.write_text(run.path / "config.json", json.dumps(dict(config), indent=1) + "\n")
        if seed is not None:
            atomic.write_text(run.path / "seed", f"{seed}\n")
        return run

    @classmethod
    def resume(cls, path: str | Path) -> Self:
        """An existing run directory.

        Raises:
            FileNotFoundError: it has no ``config.json``, so it is none.
        """
        run = cls(path)
        if not (run.path / "config.json").is_file():
            raise FileNotFoundError(f"{path}: config.json is missing, so this is not a run that can go on")
        return run

    @property
    def config(self) -> dict[str, Any]:
        """The configuration; empty if there is none."""
        content: dict[str, Any] = self._json("config.json")
        return content

    @property
    def seed(self) -> int | None:
        """The seed, if there is one."""
        path = self.path / "seed"
        return int(path.read_text(encoding="ascii")) if path.is_file() else None

    @property
    def metrics(self) -> dict[str, list[Any]]:
        """All values of each metric so far."""
        content: dict[str, list[Any]] = self._json("metrics.json")
        return content

    def add_metrics(self, **values: Any) -> None:
        """Append one value to each of some metrics."""
        metrics = self.metrics
        for name, value in values.items():
            metrics.setdefault(name, []).append(value)
        atomic.write_text(self.path / "metrics.json", json.dumps(metrics, indent=1) + "\n")

    def save_state(self, state: Any) -> None:
        """Keep what the run needs to go on: random generators, counters, archives; anything picklable."""
        sealed.write(self.path / "state.pkl", pickle.dumps(state))

    def load_state(self, default: Any = None) -> Any:
        """What was kept last, or ``default``.

        Raises:
            ExperimentError: it is not this user's (:mod:`discoenv.experiment.sealed`), and was not loaded.
        """
        path = self.path / "state.pkl"
        return sealed.read(path, pickle.loads) if path.is_file() else default  # sealed by this user

    def _json(self, name: str) -> Any:
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
