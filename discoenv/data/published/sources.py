"""What ``sources.yaml`` declares: where each published set is from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from discoenv.data.downloads import File

_PATH = Path(__file__).with_name("sources.yaml")


class Source(BaseModel):
    """A published set.

    Attributes:
        title: what it is, in a line.
        citation: authors, year and title of the publication.
        licence: under which it is distributed.
        requires: packages, by the names that they are imported by, that its reader needs beside NumPy.
        files: what is fetched.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    citation: str
    licence: str
    requires: tuple[str, ...] = ()
    files: tuple[File, ...] = Field(min_length=1)


@functools.cache
def sources() -> Mapping[str, Source]:
    """All published sets by name."""
    return TypeAdapter(dict[str, Source]).validate_python(yaml.safe_load(_PATH.read_text(encoding="utf-8")))


def source(name: str) -> Source:
    """A published set.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in sources():
        raise ValueError(f"there is no published set {name!r}; there are {', '.join(sources())}")
    return sources()[name]
