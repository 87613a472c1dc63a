"""Runs benchmarks, prints their tables, and writes what was measured, and where, to a file and into a page."""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.report import Benchmark, Options
from discoenv.cli.options import ScaleName
from discoenv.machine import atomic
from discoenv.tasks.registry import get_domain

#: In the order in which they run: those that take seconds first.
NAMES: Final = ("startup", "generation", "sandboxes", "rl_speed", "lm_speed", "throughput", "overhead")


#: Columns that the widest table needs.
_WIDTH: Final = 160


def load(name: str) -> Benchmark:
    """The module of a benchmark.

    Raises:
        typer.BadParameter: there is none of that name.
    """
    if name not in NAMES:
        raise typer.BadParameter(f"there is no benchmark {name}; there are {', '.join(NAMES)}")
    return cast("Benchmark", importlib.import_module(f"benchmarks.{name}"))


def execute(names: Sequence[str], options: Options, out: Path) -> dict[str, Any]:
    """Run benchmarks one after another, writing the results file after each.

    One that fails does not keep the others from running: its figures are the ``error`` and the ``traceback``.
    """
    content: dict[str, Any] = {**report.describe(options), "seconds": {}, "benchmarks": {}, "bounds": []}
    for name in names:
        module = load(name)
        begin = time.perf_counter()
        try:
            figures = module.run(options)
            content["bounds"] += [report.record(name, bound) for bound in module.bounds(figures)]
        except Exception as error:  # whatever it is, it is in the file and in the exit status
            figures = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            report.log(figures["traceback"])
        content["seconds"][name] = time.perf_counter() - begin
        content["benchmarks"][name] = figures
        atomic.write_text(out, json.dumps(content, indent=1) + "\n")
    return content


def failed(content: dict[str, Any], *, check: bool) -> bool:
    """Whether a benchmark failed or, with ``check``, a bound that was measured does not hold."""
    errors = any("error" in figures for figures in content["benchmarks"].values())
    return errors or (check and any(row["held"] is False for row in content["bounds"]))


def main(*only: str) -> None:
    """The command line, of all benchmarks or of those named."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    app([*(word for name in only for word in ("--only", name)), *sys.argv[1:]])


def command(
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(NAMES)} (repeat the option).")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Only these domains (repeat the option).")] = None,
    scale: Annotated[
        list[ScaleName] | None,
        typer.Option(help="Of the exams; more than one for overhead (repeat the option).", show_default="tiny"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements that a median is taken of.")] = 5,
    sandbox: Annotated[str, typer.Option(help="Provider.")] = "auto",
    episodes: Annotated[list[int] | None, typer.Option(help="Concurrent episodes [default: 1 2 4 8].")] = None,
    most_sampled: Annotated[int, typer.Option(min=1, help="Most tasks of the growth of sampling.")] = 10_000,
    most_written: Annotated[int, typer.Option(min=1, help="Most tasks of the growth of materialising.")] = 1000,
    out: Annotated[Path, typer.Option(help="The results file.")] = Path("bench-results.json"),
    doc: Annotated[Path | None, typer.Option(help="Put the tables into this page.", show_default=False)] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a bound does not hold.")] = False,
) -> None:
    """Measure, print tables, and write a results file."""
    for name in domain or []:
        get_domain(name)
    options = Options(
        domains=tuple(domain or ()),
        scales=tuple(each.value for each in scale or [ScaleName.TINY]),
        repeats=repeats,
        sandbox=sandbox,
        episodes=tuple(episodes or Options.episodes),
        sampled=counts_to(most_sampled),
        materialised=counts_to(most_written),
    )
    names = only or NAMES
    modules = {name: load(name) for name in names}
    content = execute(names, options, out)
    tables = report.render(content, modules)
    show(content, tables)
    if doc is not None:
        report.write_page(doc, content, tables)
    raise typer.Exit(int(failed(content, check=check)))


def show(content: dict[str, Any], tables: dict[str, list[report.Table]]) -> None:
    """Print tables and the machine."""
    console = Console()
    console.width = max(console.width, _WIDTH)  # as in logs, which have no width
    for shown in tables.values():
        for table in shown:
            console.print(table.rich())
    console.print(report.machine_line(content), highlight=False)


def counts_to(most: int) -> tuple[int, ...]:
    """10, 100, 1000, ... up to ``most``, which is the last."""
    powers = [10**exponent for exponent in range(1, 9) if 10**exponent < most]
    return (*powers, most)
