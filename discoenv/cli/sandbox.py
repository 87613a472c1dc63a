"""``discoenv image``, which builds and checks images of learners, and ``discoenv ps``, which lists what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from discoenv.cli.options import BuilderName, BuilderOption, EngineName, EngineOption
from discoenv.errors import SandboxError
from discoenv.machine import packages
from discoenv.sandbox import get_sandbox, inventory
from discoenv.sandbox.base import Command, Limits
from discoenv.sandbox.containers import apptainer, images
from discoenv.sandbox.containers.engine import Engine, talking

_console = Console(emoji=False)
image = typer.Typer(
    help="Images of learners, for the docker and podman sandboxes.", no_args_is_help=True, add_completion=False
)

_PROBE = "import importlib.util, sys; print(sys.version.split()[0], importlib.util.find_spec('discoenv') is None)"


@image.command()
def build(
    family: Annotated[list[str] | None, typer.Argument(help="Families (see `image list`); default: all.")] = None,
    base: Annotated[str, typer.Option(help="Image with python3 and venv; default: python:3.X-slim.")] = "",
    wheelhouse: Annotated[Path | None, typer.Option(help="Folder of wheels that pip prefers.")] = None,
    ca_bundle: Annotated[Path | None, typer.Option(help="Certificates for pip; not kept in the image.")] = None,
    network: Annotated[str, typer.Option(help="The build's network, such as host.")] = "",
    also: Annotated[list[str] | None, typer.Option(help="Further requirements, such as 'jax\\[cuda12]'.")] = None,
    engine: BuilderOption = BuilderName.DOCKER,
) -> None:
    """Build the image of one family or more, with the versions of the packages that are installed here."""
    if engine == "apptainer":
        if wheelhouse or ca_bundle or network:
            raise SandboxError("apptainer builds with the host's network and certificates: leave those options out")
        for each in family or images.families():
            typer.echo(apptainer.build(each, base, also or (), on_line=lambda line: typer.echo(line, err=True)))
        return
    client = Engine(engine).client
    for each in family or images.families():
        with _console.status(f"building the image of {each}") as status:

            def show(line: str, status: object = status, each: str = each) -> None:
                if line.strip():
                    status.update(f"{each}: {line.strip()[:100]}")  # type: ignore[attr-defined]

            tag = images.build(
                client,
                each,
                base=base,
                wheelhouse=wheelhouse,
                ca_bundle=ca_bundle,
                network=network,
                also=also or (),
                on_line=show,
            )
        typer.echo(tag)


@image.command("list")
def list_images(engine: EngineOption = EngineName.DOCKER) -> None:
    """List the images of learners, and the families that lack an up-to-date one."""
    connected = Engine(engine)
    with talking(connected):
        found = images.listed(connected.client)
    table = _table("family", "image", "base", "MiB", "built", "state")
    for each in found:
        built = datetime.fromtimestamp(each.created, UTC).strftime("%Y-%m-%d %H:%M")
        state = "current" if each.current else f"outdated: {images.build_command(each.family)}"
        table.add_row(each.family, each.tag, each.base, str(each.bytes >> 20), built, state)
    for family in images.families():
        if family not in {each.family for each in found}:
            table.add_row(family, "–", "", "", "", f"missing: {images.build_command(family)}")
    _console.print(table)


@image.command()
def check(
    family: Annotated[list[str] | None, typer.Argument(help="Families; default: those that have an image.")] = None,
    engine: EngineOption = EngineName.DOCKER,
) -> None:
    """Start each image and look: Python runs, its packages are complete, discoenv is absent."""
    connected = Engine(engine)
    with talking(connected):
        present = sorted({each.family for each in images.listed(connected.client) if each.current})
    provider = get_sandbox(engine)
    for each in family or present:
        names = packages.names(requirement for requirement in images.requirements(each) if "==" in requirement)
        code = f"{_PROBE}\nimport importlib.metadata as m\nfor name in {names!r}: m.version(name)"
        command = Command(("python", "-c", code), cwd="/tmp", family=each)  # noqa: S108 (inside)
        outcome = provider.run(command, Limits(wall_s=120.0))
        version, _, absent = outcome.stdout.strip().partition(" ")
        if outcome.exit_code != 0 or absent != "True":
            said = outcome.stderr.strip()[-500:] or "it holds discoenv" if outcome.stdout else outcome.reason
            raise SandboxError(f"the image of {each} is not fit: {said}. Run: {images.build_command(each)}")
        typer.echo(f"{each}: Python {version}, {len(names)} packages")
    if not (family or present):
        raise images.ImageMissing("there are no up-to-date images. Run: discoenv image build")


def ps() -> None:
    """List what runs in sandboxes and beside them on this machine, and who holds its GPUs."""
    table = _table("sandbox", "name", "owner", "what")
    for entry in inventory.running():
        owner = f"{entry.owner_pid}" if entry.owner_lives else f"{entry.owner_pid} (dead: discoenv gc)"
        table.add_row(entry.provider, entry.name, owner, entry.detail)
    _console.print(table)


def _table(*columns: str) -> Table:
    """A table that wraps rather than cuts: its cells are names to be copied."""
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
