"""What the benchmarks share: their options, tables, bounds that have to hold, and the report of one run.

A benchmark is a module with three functions: ``run(options)`` measures and returns figures, which can be written as
JSON; ``tables(figures)`` shows them; ``bounds(figures)`` says which limits are promised, and what was measured.
"""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import rich.table
from rich.console import Console

from discoenv.machine import atomic, hardware, packages
from discoenv.machine.sections import replace_section
from discoenv.tasks.specification import Scale

ROOT: Final = Path(__file__).resolve().parents[1]
#: Packages whose versions make a difference to the figures.
_PACKAGES: Final = ("discoenv", "gymnasium", "numpy", "scikit-learn", "jax", "flax", "gymnax", "torch", "discogen")
Figures = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What a run measures.

    Attributes:
        domains: only these; none: those that a benchmark chooses by itself.
        scales: of the exams' overhead. The others use the first.
        repeats: measurements that a median is taken of.
        sandbox: provider, by name.
        episodes: numbers of concurrent episodes.
        sampled, materialised: numbers of tasks, for the growth of their costs.
    """

    domains: tuple[str, ...] = ()
    scales: tuple[Scale, ...] = ("tiny",)
    repeats: int = 5
    sandbox: str = "auto"
    episodes: tuple[int, ...] = (1, 2, 4, 8)
    sampled: tuple[int, ...] = (10, 100, 1000, 10_000)
    materialised: tuple[int, ...] = (10, 100, 1000)


@dataclass(frozen=True)
class Table:
    """Rows of text with a title above and notes below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """As Markdown, ending in a line feed."""
        lines = [f"**{self.title}**", "", _line(self.columns), _line(["---"] * len(self.columns))]
        lines += [_line(row) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def rich(self) -> rich.table.Table:
        """As a table for the terminal."""
        table = rich.table.Table(title=self.title, caption="\n".join(self.notes) or None, caption_justify="left")
        for column in self.columns:
            table.add_column(column, overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table


@dataclass(frozen=True)
class Bound:
    """A limit that is promised. ``measured`` is None where it was not measured in this run."""

    name: str
    measured: float | None
    bound: float
    at_most: bool = True
    unit: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the limit holds; None if it is unknown."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def row(self) -> list[str]:
        """Cells of a table: what, the limit, what was measured, and whether it holds."""
        unit = f" {self.unit}" if self.unit else ""
        measured = "not measured" if self.measured is None else f"{number(self.measured)}{unit}"
        verdict = {True: "yes", False: "**no**", None: "—"}[self.held]
        return [self.name, f"{'≤' if self.at_most else '≥'} {self.bound:g}{unit}", measured, verdict]


class Benchmark(Protocol):
    """A module that measures something."""

    def run(self, options: Options) -> Figures:
        """Measure."""

    def tables(self, figures: Figures) -> list[Table]:
        """Show what :meth:`run` returned."""

    def bounds(self, figures: Figures) -> list[Bound]:
        """What of it is promised."""


def number(value: float | None) -> str:
    """Three significant digits without an exponent; a dash for None."""
    if value is None:
        return "—"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def log(line: str) -> None:
    """Print on stderr what is being measured, because a run takes long."""
    print(line, file=sys.stderr, flush=True)


def bounds_table(bounds: Sequence[Bound]) -> Table:
    """What is promised, beside what was measured."""
    return Table("Bounds", ("what", "bound", "measured", "held"), [bound.row() for bound in bounds])


def describe(options: Options) -> dict[str, Any]:
    """When, where, with what and how a run was made."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware.hardware(),
        "versions": {"python": platform.python_version(), **packages.versions(_PACKAGES)},
        "options": asdict(options),
    }


def commit() -> str | None:
    """The commit that is checked out, with ``+`` if files differ from it; None outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    found = git("rev-parse", "--short=12", "HEAD")
    if found is None:
        return None
    return found + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def render(content: dict[str, Any], modules: dict[str, Benchmark]) -> dict[str, list[Table]]:
    """Tables of every benchmark in the content of a results file."""
    found = {}
    for name, figures in content["benchmarks"].items():
        tables = [] if "error" in figures else modules[name].tables(figures)
        promised = [Bound(**{key: row[key] for key in _BOUND}) for row in content["bounds"] if row["benchmark"] == name]
        if promised:
            tables.append(bounds_table(promised))
        if "error" in figures:
            tables.append(Table(f"{name} failed", ("error",), [[str(figures["error"]).splitlines()[-1]]]))
        found[name] = tables
    return found


_BOUND: Final = ("name", "measured", "bound", "at_most", "unit")


def record(benchmark: str, bound: Bound) -> dict[str, Any]:
    """A bound as the results file holds it."""
    return {"benchmark": benchmark, **asdict(bound), "held": bound.held}


def machine_line(content: dict[str, Any]) -> str:
    """The machine, in one line."""
    parts = [f"{key}: {value}" for key, value in content["hardware"].items()]
    return ", ".join([*parts, f"date: {content['date'][:10]}", f"commit: {content['commit'] or 'unknown'}"])


def write_page(path: Path, content: dict[str, Any], tables: dict[str, list[Table]]) -> None:
    """Put the tables of each benchmark between its marks in a page; what stands between other marks stays.

    Raises:
        ValueError: the page has no marks for a benchmark.
    """
    text = path.read_text(encoding="utf-8")
    for name, shown in tables.items():
        begin, end = marks(name)
        body = "\n".join(table.markdown() for table in shown)
        took = f"{content['seconds'][name] / 60:.1f} minutes"
        text = replace_section(text, begin, end, f"{machine_line(content)}; it took {took}.\n\n{body}")
    atomic.write_text(path, text)


def marks(benchmark: str) -> tuple[str, str]:
    """What stands before and after the tables of a benchmark in a page."""
    return f"<!-- benchmark {benchmark}: written by python -m benchmarks -->", f"<!-- /benchmark {benchmark} -->"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def print_figures(title: str, figures: Mapping[str, Mapping[str, float]], *, scale: str, out: Path | None) -> None:
    """Print a table with a row per domain, and the machine; write both to a JSON file, if one is named."""
    table = rich.table.Table(title=title)
    table.add_column("domain", no_wrap=True)
    columns = list(next(iter(figures.values())))
    for column in columns:
        table.add_column(column, overflow="fold")
    for name, row in figures.items():
        table.add_row(name, *(f"{row[column]:.2f}" for column in columns))
    console = Console()
    console.print(table)
    machine = hardware.hardware()
    console.print(", ".join(f"{key}: {value}" for key, value in machine.items()), highlight=False)
    if out is not None:
        out.write_text(json.dumps({"hardware": machine, "scale": scale, "figures": figures}, indent=1) + "\n")
