"""All image sets by their names, generated and published ones alike."""

from __future__ import annotations

from pathlib import Path

from discoenv.data import generated, published
from discoenv.data.images import Images
from discoenv.data.published.holdout import Holdout


def load(name: str, folder: Path | None = None, *, holdout: Holdout | None = None, size: int | None = None) -> Images:
    """An image set.

    Args:
        name: of one that is generated (:mod:`discoenv.data.generated`) or published (:mod:`discoenv.data.published`).
        folder: where the files of a published set are, the examiner's ``self.data``.
        holdout: which images of a published set are for validation, where it has no part for that; None: a random
            tenth of those to train on.
        size: to which photographs are scaled, in pixels.

    Raises:
        FileNotFoundError: the files of a published set have not been fetched.
        ValueError: there is no such set, or a file is damaged.
    """
    if name in generated.GENERATORS:
        return generated.load(name)
    if name in published.READERS:
        return published.load(name, folder, holdout=holdout or Holdout(), size=size)
    known = ", ".join((*generated.GENERATORS, *published.READERS))
    raise ValueError(f"there is no image set {name!r}; there are {known}")
