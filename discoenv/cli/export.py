"""``discoenv export``: runs and tasks in the forms of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from discoenv.cli.options import RunArgument, ScaleName
from discoenv.errors import ArgumentError

if TYPE_CHECKING:
    from discoenv.adapters.session import SessionHost, TaskEntry

_console = Console(highlight=False, soft_wrap=True)


class _Export(TyperGroup):
    """``discoenv export RUN --html FILE``, without the name of a command, is ``discoenv export html RUN …``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command in its place."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["html", *args]
        return super().parse_args(ctx, args)


export = typer.Typer(
    cls=_Export,
    help="Write a run as one HTML file or as a trajectory, or tasks as folders of Harbor.",
    no_args_is_help=True,
    add_completion=False,
)


@export.command()
def html(
    run: RunArgument,
    html: Annotated[Path, typer.Option("--html", help="The file to write.", show_default=False)],
) -> None:
    """Write a run as one HTML file that opens anywhere, without discoenv and without network."""
    from discoenv.viewer import export as exporter  # only this command needs the page

    exporter.export(run, html)
    _console.print(f"{html}: {html.stat().st_size / 1e6:.1f} MB", markup=False)


@export.command()
def atif(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; default: print it.")] = None,
) -> None:
    """Write what an agent did in a run as a trajectory, in the format ATIF of Harbor."""
    from discoenv.adapters.atif import trajectory
    from discoenv.machine import atomic

    text = json.dumps(trajectory(run), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
        return
    atomic.write_text(out, text)
    _console.print(str(out), markup=False)


@export.command()
def harbor(
    out: Annotated[Path, typer.Option("--out", help="The folder to write tasks into.", show_default=False)],
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", help="DiscoBench tasks, domains, `train-SEED`, or YAML files; repeat, or use commas."),
    ] = None,
    train: Annotated[int, typer.Option(min=0, help="Sampled tasks beside these: so many, of the seeds 0, 1, …")] = 0,
    scale: Annotated[ScaleName, typer.Option(help="Compute per run.", case_sensitive=False)] = ScaleName.SMALL,
    max_runs: Annotated[int, typer.Option(min=1, help="Runs on the meta-train side that an agent may have.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the episodes that the verifier scores.")] = 0,
    secret: Annotated[
        Path | None, typer.Option(help="File of the verifier's secret; default: a new one, the same for all tasks.")
    ] = None,
    oracle: Annotated[str, typer.Option(help="What `solution` holds: `base`, or a candidate of the domain.")] = "base",
    python: Annotated[str, typer.Option(help="Python in the images, 3.X; default: as here.")] = "",
    pinned: Annotated[
        bool, typer.Option("--pinned/--newest", help="Packages in the images: the versions of here, or the newest.")
    ] = True,
) -> None:
    """Write tasks as folders that Harbor runs, and frameworks that read its folders (see docs/frameworks.md)."""
    from discoenv.adapters.harbor import export as exporter
    from discoenv.adapters.session import SessionHost
    from discoenv.exams import secrets

    chosen = exporter.HarborOptions(max_runs=max_runs, seed=seed, oracle=oracle, pinned=pinned)
    chosen = exporter.with_options(chosen, python=python, secret=None if secret is None else secrets.read(secret))
    with SessionHost(scale=scale.value, sandbox="process", runs_dir=None) as host:
        entries = [
            entry for name in tasks or ["discobench"] for each in name.split(",") for entry in _entries(host, each)
        ]
        entries += host.tasks("train", train)
        for folder in exporter.export(entries, out, chosen):
            _console.print(str(folder), markup=False)


def _entries(host: SessionHost, name: str) -> list[TaskEntry]:
    """The tasks that a name means."""
    from discoenv.adapters.session import TaskEntry
    from discoenv.tasks.discobench import domain_of
    from discoenv.tasks.reading import read_task
    from discoenv.tasks.registry import get_domains

    if name.endswith((".yaml", ".yml")):
        task = read_task(Path(name), {})
        return [TaskEntry("train", 0, Path(name).stem, 0, task)]
    if name == "discobench" or name in get_domains():
        found = [entry for entry in host.tasks("discobench") if name in ("discobench", domain_of(entry.name))]
        if not found:
            raise ArgumentError(f"{name} has no DiscoBench tasks; name a YAML file, or use --train")
        return found
    return [host.find(name)]
