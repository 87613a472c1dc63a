"""Whole files in a model's plain reply: fenced code blocks, each with a file's name beside it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_OPEN: Final = re.compile(r"^[ \t]*(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)\n", re.MULTILINE)

INSTRUCTIONS: Final = (
    "Answer with every file in full, each in its own code block, with the file's name on the line before it, "
    "like this:\n\n### `name.py`\n\n```python\n# the whole file\n```\n"
)


def parse_modules(text: str, names: Collection[str]) -> dict[str, str]:
    """Files out of a reply: the last code block for each of ``names``.

    A block belongs to the file that is named in its opening line, else in the last line of text before it, else in its
    own first line if that is a comment. If only one file is wanted and no block has a name, it is the longest block.

    Args:
        text: the reply, in Markdown.
        names: file names such as ``loss.py``.

    Returns:
        Text by file name; names without a block are missing.
    """
    found: dict[str, str] = {}
    nameless: list[str] = []
    position = 0
    while (start := _OPEN.search(text, position)) is not None:
        end = re.compile(rf"^[ \t]*{re.escape(start['fence'])}[ \t]*$\n?", re.MULTILINE).search(text, start.end())
        if end is None:
            break  # cut off in the middle of a file
        content = text[start.end() : end.start()]
        before = text[position : start.start()].strip().rpartition("\n")[2]
        first = content.lstrip().partition("\n")[0]
        places = (start["info"], before, first if first.startswith("#") else "")
        name = next((name for place in places if (name := _named(place, names))), None)
        if name is None:
            nameless.append(content)
        else:
            found[name] = content
        position = end.end()
    if not found and len(names) == 1 and nameless:
        found[next(iter(names))] = max(nameless, key=len)
    return found


def _named(place: str, names: Collection[str]) -> str | None:
    """The one of ``names`` that occurs in ``place`` as a whole name; the longest, if several do."""
    present = [name for name in names if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", place)]
    return max(present, key=len, default=None)
