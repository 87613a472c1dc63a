"""``discoenv data``: fetches datasets that come over the network, and shows where they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from discoenv.cli.options import DomainArgument
from discoenv.errors import DatasetUnavailable

if TYPE_CHECKING:
    from discoenv.data.downloads import File

data = typer.Typer(help="Datasets that have to be downloaded.", no_args_is_help=True, add_completion=False)


@data.command()
def fetch(
    domain: DomainArgument,
    dataset: Annotated[str | None, typer.Argument(help="Dataset; all that have to be fetched if not given.")] = None,
) -> None:
    """Fetch the data of a domain, once, into the cache; every file is checked by its SHA-256."""
    from discoenv.tasks.registry import get_domain

    loaded = get_domain(domain)
    loaded.require(dataset=dataset)
    names = loaded.to_fetch()
    chosen = [dataset] if dataset else names
    if not set(chosen) & set(names):
        typer.echo(f"{domain}: nothing has to be fetched" + (f" for {dataset}" if dataset else ""))
        return
    failures = []
    for name in chosen:
        try:
            place = loaded.fetch(name, on_file=_report)
        except DatasetUnavailable as error:
            failures.append(str(error))
        else:
            typer.echo(f"{name}: {place}")
    if failures:
        raise DatasetUnavailable("\n".join(failures))


@data.command()
def where() -> None:
    """Show where fetched data is kept."""
    from discoenv.data.downloads import cache_root

    typer.echo(cache_root())


def _report(file: File, source: str) -> None:
    typer.echo(f"  {file.name} ({file.size / 1e6:.1f} MB) from {source}")
