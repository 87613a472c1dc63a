"""How a report looks: its tables and figures as one HTML page, and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import jinja2

from discoenv import __version__
from discoenv.bench.report.contents import Contents
from discoenv.bench.report.figures import Figure
from discoenv.bench.report.tables import Table, TableCell

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def html(contents: Contents, tables: Sequence[Table], figures: Sequence[Figure]) -> str:
    """The page. It loads nothing and runs nothing; all text is escaped but figures, which escape their own."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        title=contents.matrix.name or "benchmark",
        summary=_summary(contents),
        tables=tables,
        figures=figures,
        version=__version__,
    )


def _summary(contents: Contents) -> str:
    cells, matrix = contents.cells, contents.matrix
    planned = len(cells) + len(contents.missing)
    succeeded = sum(cell.succeeded for cell in cells)
    return (
        f"{len(matrix.agents)} agents × {len(matrix.tasks)} tasks × {len(matrix.seeds)} seeds at scale {matrix.scale}: "
        f"{len(cells)} of {planned} cells have a result, {succeeded} of them succeeded."
    )


def markdown(contents: Contents, tables: Sequence[Table]) -> str:
    """All tables as Markdown (GitHub's), with a heading and its note above each."""
    parts = [f"# {_escaped(contents.matrix.name or 'benchmark')}", _escaped(_summary(contents))]
    for table in tables:
        parts.append(f"## {table.title}")
        if table.note:
            parts.append(table.note)
        parts.append(_table(table) if table.rows else "None.")
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    rule = [" ---: " if cell.number else " --- " for cell in table.rows[0]]
    rows = [[_entry(cell) for cell in row] for row in table.rows]
    lines = [[_escaped(column) for column in table.columns], *rows]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([text[0], f"|{'|'.join(rule)}|", *text[1:]])


def _entry(cell: TableCell) -> str:
    return f"{_escaped(cell.text)} {cell.interval}".strip()


def _escaped(text: str) -> str:
    """Text in which Markdown finds no markup, no HTML and no end of a table's cell."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*_\[\]|#~$]|(?<=http):|(?<=https):|(?<=www)\.", lambda match: "\\" + match[0], text)
