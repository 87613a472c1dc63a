"""What can be wrong with domains, and with the names that users give."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DomainError(ValueError):
    """A domain's files are wrong; the message names the file and the key."""


class DatasetUnavailable(RuntimeError):
    """A dataset's data cannot be fetched here; the message names the dataset, the source and what to run where."""


class UnknownName(LookupError):
    """A domain, dataset, module, backend or scale of that name does not exist; the message suggests one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known = list(known)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}."
        super().__init__(f"no {kind} is called {name!r}{f' in {where}' if where else ''}; {hint}")
