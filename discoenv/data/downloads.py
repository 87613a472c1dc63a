"""Data that comes over the network: fetched once, checked by SHA-256, kept in a cache that is addressed by content.

A dataset lists its files in ``domain.yaml``. They go to its examiner and never to the learner, which gets what
the examiner's ``training_data`` gives it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from discoenv.errors import DatasetUnavailable
from discoenv.machine import cache

__all__ = ["DatasetUnavailable", "File", "cache_root", "fetch", "folder"]

_SCHEMES: Final = ("https", "http", "file")
_TIMEOUT_S: Final = 30.0
_PIECE: Final = 1 << 20
#: A server may not fill the disk: this much more than the file should have is refused.
_EXCESS: Final = 1 << 20


class File(BaseModel):
    """One file of a dataset.

    Attributes:
        name: the examiner finds it under this name.
        urls: where it can be fetched from, tried in this order.
        sha256: of its content, in lower-case hexadecimal digits.
        size: its length in bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    urls: tuple[str, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)


def cache_root() -> Path:
    """Where fetched data is kept, in the user's cache."""
    return cache.folder("data")


def folder(domain: str, dataset: str, files: Sequence[File], root: Path | None = None) -> Path:
    """The folder that holds a dataset's files, all of which have been fetched.

    Args:
        domain, dataset: their names.
        files: what the dataset consists of.
        root: where fetched data is kept; None: :func:`cache_root`.

    Raises:
        DatasetUnavailable: something is missing; the message says where it is from, and the command that fetches it.
    """
    place = _place(domain, dataset, files, root or cache_root())
    missing = [file for file in files if not _has_size(place / file.name, file)]
    if missing:
        raise DatasetUnavailable(_message(domain, dataset, missing, "has not been fetched"))
    return place


def fetch(
    domain: str,
    dataset: str,
    files: Sequence[File],
    root: Path | None = None,
    on_file: Callable[[File, str], None] = lambda file, source: None,
) -> Path:
    """Fetch what is missing or damaged, and return the dataset's folder. Safe to call again, and by several processes.

    Args:
        domain, dataset, files, root: as of :func:`folder`.
        on_file: called for each file with where it comes from: a URL, or ``cache``.

    Raises:
        DatasetUnavailable: a file could be had from none of its URLs, or is not what it should be.
    """
    root = root or cache_root()
    place = _place(domain, dataset, files, root)
    place.mkdir(parents=True, exist_ok=True)
    for file in files:
        content = root / "sha256" / file.sha256
        if _has_size(content, file) and _digest(content) == file.sha256:
            on_file(file, "cache")
        else:
            on_file(file, _download(domain, dataset, file, content))
        with _temporary(place) as path:
            path.unlink()
            try:
                path.hardlink_to(content)
            except OSError:  # a file system without hard links
                shutil.copyfile(content, path)
            path.replace(place / file.name)
    return place


def _place(domain: str, dataset: str, files: Sequence[File], root: Path) -> Path:
    """Named after the content of all files, so that another version of a dataset is another folder."""
    digest = hashlib.sha256("\n".join(f"{file.name} {file.sha256}" for file in files).encode()).hexdigest()
    return root / domain / dataset / digest[:16]


def _download(domain: str, dataset: str, file: File, content: Path) -> str:
    """Put a file's content in its place and return its URL."""
    content.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for url in file.urls:
        with _temporary(content.parent) as path:
            try:
                _copy(url, path, file.size + _EXCESS)
            except (OSError, ValueError) as error:
                failures.append(f"{url}: {error}")
                continue
            digest = _digest(path)
            if digest != file.sha256:
                failures.append(f"{url}: SHA-256 of {path.stat().st_size} bytes is {digest}, not {file.sha256}")
                continue
            path.chmod(0o644)
            path.replace(content)
            return url
    raise DatasetUnavailable(_message(domain, dataset, [file], "could not be fetched") + "\n" + "\n".join(failures))


def _copy(url: str, path: Path, most: int) -> None:
    import urllib.parse  # with its HTTP client it takes a tenth of the time in which a command starts
    import urllib.request

    if urllib.parse.urlsplit(url).scheme not in _SCHEMES:
        raise ValueError(f"only {', '.join(_SCHEMES)} URLs can be fetched")
    request = urllib.request.Request(url, headers={"User-Agent": "discoenv"})  # noqa: S310 - the scheme is checked
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as source, path.open("wb") as target:  # noqa: S310
        while piece := source.read(_PIECE):
            target.write(piece)
            if target.tell() > most:
                raise ValueError(f"longer than the {most - _EXCESS} bytes that it should have")


@contextlib.contextmanager
def _temporary(directory: Path) -> Iterator[Path]:
    """A new empty file in ``directory``, removed afterwards unless it has been moved."""
    descriptor, name = tempfile.mkstemp(prefix=".fetching-", dir=directory)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _has_size(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _message(domain: str, dataset: str, files: Sequence[File], what: str) -> str:
    sources = ", ".join(file.urls[0] for file in files)
    return (
        f"{domain}: the data of {dataset} {what} ({sources}); run `discoenv data fetch {domain} {dataset}` where there "
        f"is network, or copy {cache_root()} from a machine where that was done"
    )
