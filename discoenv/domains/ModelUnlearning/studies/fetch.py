"""Downloads a published dataset and its models.

    python -m discoenv.domains.ModelUnlearning.studies.fetch TOFU

They go into the cache, where the examiner finds them. Owners of some repositories (the corpora of WMDP) ask for their
conditions to be accepted and for a token, which the environment variable HF_TOKEN passes on; the others need none.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from discoenv.data import downloads
from discoenv.domains.ModelUnlearning.published import SOURCES


def fetch(dataset: str, place: Path) -> None:
    """Download what is missing of a dataset into a folder.

    Raises:
        ImportError: the package huggingface_hub is not installed.
        OSError: the hub cannot be reached, or refuses.
    """
    try:
        snapshot_download = importlib.import_module("huggingface_hub").snapshot_download
    except ImportError as error:
        raise ImportError("downloads need the package huggingface_hub: pip install huggingface_hub") from error
    source = SOURCES[dataset]
    for name, repository in (("full", source.full), ("gold", source.gold)):
        if repository is not None:
            snapshot_download(
                repository,
                local_dir=place / name,
                allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.bin"],
            )
    for repository, patterns in source.data.items():
        snapshot_download(repository, repo_type="dataset", local_dir=place / "data", allow_patterns=list(patterns))


def main(dataset: Annotated[str, typer.Argument(help=f"One of {', '.join(SOURCES)}.")]) -> None:
    """Download a dataset and its models into the cache."""
    if dataset not in SOURCES:
        raise typer.BadParameter(f"there is no dataset {dataset}; known are {', '.join(SOURCES)}")
    place = downloads.cache_root() / "ModelUnlearning" / dataset
    try:
        fetch(dataset, place)
    except (ImportError, OSError) as error:
        typer.echo(f"{dataset}: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{dataset}: {place}")


if __name__ == "__main__":
    typer.run(main)
