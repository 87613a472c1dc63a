"""Makes the shards of a corpus that is published as Parquet: downloads its first file, and tokenises it as it is read.

    python -m discoenv.domains.LanguageModelling.studies.fetch OPCFineWebCode

They go into the cache, where the examiner finds them. ``--file`` takes a Parquet file that is here already.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from discoenv.domains.LanguageModelling import published
from discoenv.errors import DatasetUnavailable
from discoenv.tasks.registry import get_domain

DATASETS = {corpus.dataset: corpus for corpus in published.CORPORA.values()}


def first_file(repository: str, place: Path) -> Path:
    """Download the first Parquet file of a data set into a folder.

    Raises:
        ImportError: the package huggingface_hub is not installed.
        OSError: the hub cannot be reached, or refuses.
        ValueError: there is no Parquet file in it.
    """
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError("downloads need the package huggingface_hub: pip install huggingface_hub") from error
    names = sorted(name for name in hub.list_repo_files(repository, repo_type="dataset") if name.endswith(".parquet"))
    if not names:
        raise ValueError(f"{repository} has no Parquet file any more; pass one with --file")
    return Path(hub.hf_hub_download(repository, names[0], repo_type="dataset", local_dir=place))


def make(dataset: str, file: Path | None, most: int) -> dict[str, int]:
    """Make the shards of a dataset; see :func:`published.write_shards` for what is returned.

    Args:
        dataset: one of DATASETS.
        file: a Parquet file with a column ``text``; None: the first one of the corpus is downloaded, and then removed.
        most: tokens for training.

    Raises:
        ImportError, OSError, ValueError: as :func:`first_file` and :func:`published.parquet` do.
        DatasetUnavailable: the tokeniser cannot be fetched.
    """
    tokens = published.tokenizer(get_domain("LanguageModelling").fetch(dataset))
    place = published.folder(dataset)
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as downloaded:
        path = file or first_file(DATASETS[dataset].repository, Path(downloaded))
        return published.write_shards(counted(published.parquet(path)), tokens, place, most)


def counted(texts: Iterable[str]) -> Iterator[str]:
    """The same texts; says now and then how many there were."""
    for number, text in enumerate(texts):
        if number and number % 10_000 == 0:
            typer.echo(f"{number:,} documents", err=True)
        yield text


def main(
    dataset: Annotated[str, typer.Argument(help=f"One of {', '.join(DATASETS)}.")],
    file: Annotated[
        Path | None, typer.Option(help="A Parquet file with a column text, in place of a download.")
    ] = None,
    most: Annotated[int, typer.Option(help="Tokens for training; an eighth of the documents is for validation.")] = 10
    ** 8,
) -> None:
    """Make the shards of a corpus in the cache."""
    if dataset not in DATASETS:
        raise typer.BadParameter(f"there is no dataset {dataset}; known are {', '.join(DATASETS)}")
    try:
        counts = make(dataset, file, most)
    except (ImportError, OSError, ValueError, DatasetUnavailable) as error:
        typer.echo(f"{dataset}: {error}", err=True)
        raise typer.Exit(1) from None
    tokens = ", ".join(f"{count:,} tokens for {part}" for part, count in counts.items())
    typer.echo(f"{dataset}: {published.folder(dataset)}: {tokens}")


if __name__ == "__main__":
    typer.run(main)
