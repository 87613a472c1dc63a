"""Draws the sequence diagrams of the pages as SVG, so that the site needs no script from elsewhere for them.

They are written in the language of Mermaid, which code hosts draw, too. Known are participants, messages (``->>`` and
``-->>``) and ``alt`` … ``else`` … ``end``.
"""

from __future__ import annotations

import html
import re
import textwrap
from typing import Final

_COLUMN: Final = 170  # pixels between two participants
_LINE: Final = 14
_WRAP: Final = 24  # characters of a label, for each column that it crosses
_MESSAGE: Final = re.compile(r"(\w+)(--?)>>(\w+): (.*)")
_STYLE: Final = (
    ".sequence text{font:11px sans-serif;fill:currentColor;text-anchor:middle}"
    ".sequence :is(line,path,rect){stroke:currentColor;fill:none}"
)


def svg(text: str) -> str:
    """The picture of a diagram, as the text of an ``svg`` element.

    Raises:
        ValueError: a line is none of those that are known.
    """
    names: dict[str, str] = {}
    rows: list[tuple[str, str, str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line == "sequenceDiagram":
            continue
        if found := re.fullmatch(r"participant (\w+)(?: as (.*))?", line):
            names[found[1]] = found[2] or found[1]
        elif found := _MESSAGE.fullmatch(line):
            rows.append((found[1], found[2], found[3], found[4]))
        elif found := re.fullmatch(r"(alt|else|end)\b ?(.*)", line):
            rows.append(("", found[1], "", found[2]))
        else:
            raise ValueError(f"sequence diagram: {line!r} is not known")
    places = {name: _COLUMN * (number + 0.5) for number, name in enumerate(names)}
    width = _COLUMN * len(names)
    parts: list[str] = []
    y = 50.0
    for source, kind, target, label in rows:
        if not source:
            y += 10
            parts.append(f'<line x1="4" x2="{width - 4}" y1="{y}" y2="{y}" stroke-dasharray="2 3"/>')
            y += 6
            if kind != "end":
                parts.append(_words([f"{kind}: {label}" if label else kind], width / 2, y + _LINE))
                y += _LINE + 4
            continue
        here, there = places[source], places[target]
        lines = textwrap.wrap(label, _WRAP * max(1, round(abs(there - here) / _COLUMN)))
        middle = (here + there) / 2
        if here == there:  # a loop beside its line; near the edge the words are to the left of it
            parts.append(_words(lines, middle, y + _LINE))
            y += _LINE * len(lines) + 8
            parts.append(f'<path d="M{here},{y} h28 v10 h-22"/>{_head(here + 6, y + 10, -1)}')
            y += 16
        else:
            parts.append(_words(lines, middle, y + _LINE))
            y += _LINE * len(lines) + 8
            dashes = ' stroke-dasharray="5 4"' if kind == "--" else ""
            parts.append(f'<line x1="{here}" x2="{there}" y1="{y}" y2="{y}"{dashes}/>')
            parts.append(_head(there, y, 1 if there > here else -1))
            y += 6
    height = y + 16
    ends = [
        f'<rect x="{x - _COLUMN / 2 + 6}" y="4" width="{_COLUMN - 12}" height="38" rx="4"/>'
        + _words(textwrap.wrap(names[name], _WRAP), x, 8 + _LINE if len(names[name]) > _WRAP else 27)
        + f'<line x1="{x}" x2="{x}" y1="42" y2="{height}" opacity="0.3"/>'
        for name, x in places.items()
    ]
    return (
        f'<div class="sequence" style="overflow-x:auto"><svg width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" style="max-width:100%;min-width:600px;height:auto" role="img" xmlns="http://www.w3.org/2000/svg"><style>{_STYLE}</style>'
        f"{''.join(ends)}{''.join(parts)}</svg></div>"
    )


def _words(lines: list[str], x: float, y: float) -> str:
    return "".join(
        f'<text x="{x}" y="{y + _LINE * number}">{html.escape(line)}</text>' for number, line in enumerate(lines)
    )


def _head(x: float, y: float, direction: int) -> str:
    """The head of an arrow that ends at a point."""
    back = x - 7 * direction
    return f'<path d="M{back},{y - 4} L{x},{y} L{back},{y + 4}"/>'
