"""The part of the ``discoenv`` command that fetches datasets which come over the network."""

from __future__ import annotations

from typing import Annotated

import typer

from discoenv.data.downloads import File, cache_root
from discoenv.errors import DatasetUnavailable
from discoenv.tasks.registry import get_domain


def add_to(app: typer.Typer) -> None:
    """Add ``data`` to the ``discoenv`` command."""
    data = typer.Typer(help="Datasets that have to be downloaded.", no_args_is_help=True)
    data.command()(fetch)
    data.command()(where)
    app.add_typer(data, name="data")


def fetch(
    domain: Annotated[str, typer.Argument(help="Domain; see get-domains.")],
    dataset: Annotated[str | None, typer.Argument(help="Dataset; all that have to be fetched if not given.")] = None,
) -> None:
    """Fetch the data of a domain, once, into the cache; every file is checked by its SHA-256."""
    loaded = get_domain(domain)
    loaded.require(dataset=dataset)
    names = [name for name in loaded.datasets if loaded.specification.datasets[name].to_fetch]
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


def where() -> None:
    """Say where fetched data is kept."""
    typer.echo(cache_root())


def _report(file: File, source: str) -> None:
    typer.echo(f"  {file.name} ({file.size / 1e6:.1f} MB) from {source}")
