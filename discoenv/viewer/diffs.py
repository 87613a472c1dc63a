"""Line-by-line differences of modules, as data that the page draws."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

#: Lines around a change.
CONTEXT = 3
#: Beyond this many lines a file's change is shown as a whole: the comparison may take quadratic time.
MOST_LINES = 6000


def compare(before: Mapping[str, str], after: Mapping[str, str], *, context: int = CONTEXT) -> list[dict[str, Any]]:
    """What changed between two sets of files; files that did not change are left out.

    Returns:
        per file ``path``, ``added`` and ``removed`` (numbers of lines), and ``hunks``: lists of ``[kind, old line
        number, new line number, text]`` with kinds ``" "``, ``"-"`` and ``"+"``; a number is 0 where there is none.
    """
    changes = []
    for path in sorted({*before, *after}):
        if before.get(path) == after.get(path):
            continue
        hunks = _hunks(_lines(before.get(path, "")), _lines(after.get(path, "")), context)
        kinds = [line[0] for hunk in hunks for line in hunk]
        changes.append({"path": path, "added": kinds.count("+"), "removed": kinds.count("-"), "hunks": hunks})
    return changes


def counts(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, Any]]:
    """Like :func:`compare`, without the lines."""
    return [{key: change[key] for key in ("path", "added", "removed")} for change in compare(before, after, context=0)]


def _lines(text: str) -> list[str]:
    """Lines, as editors count them: other separators than line ends belong to the line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _hunks(old: list[str], new: list[str], context: int) -> list[list[list[Any]]]:
    hunks = []
    for group in _groups(old, new, context):
        hunk: list[list[Any]] = []
        for tag, i, i_end, j, j_end in group:
            if tag == "equal":
                hunk += [[" ", i + k + 1, j + k + 1, old[i + k]] for k in range(i_end - i)]
                continue
            hunk += [["-", k + 1, 0, old[k]] for k in range(i, i_end)]
            hunk += [["+", 0, k + 1, new[k]] for k in range(j, j_end)]
        hunks.append(hunk)
    return hunks


def _groups(old: list[str], new: list[str], context: int) -> list[list[tuple[str, int, int, int, int]]]:
    if len(old) + len(new) > MOST_LINES:
        return [[("replace", 0, len(old), 0, len(new))]]
    return [list(group) for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(context)]
