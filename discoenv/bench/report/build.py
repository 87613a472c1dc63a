"""A benchmark's report: one HTML page that needs nothing else, and its tables as Markdown."""

from __future__ import annotations

from pathlib import Path

from discoenv.errors import BenchError
from discoenv.machine import atomic

_FOLDER = "report"


def report(directory: Path, destination: Path | None = None) -> Path:
    """Write ``index.html`` and ``report.md`` about a benchmark, replacing those of an earlier call.

    A benchmark that is still running, or was interrupted, is reported as far as it has come.

    Args:
        directory: the benchmark, which holds ``bench.json`` and ``cells/``.
        destination: folder for the two files; ``report`` in the benchmark by default.

    Returns:
        Path of the HTML page.

    Raises:
        BenchError: the folder is not a benchmark, a file in it is damaged, or a package that reports need is missing.
    """
    try:
        from discoenv.bench.report import contents, figures, page, tables  # noqa: PLC0415 - they need optional extras
    except ModuleNotFoundError as error:
        raise BenchError(f"reports need {error.name}, which is not installed: pip install 'discoenv[bench]'") from error
    found = contents.read(Path(directory))
    written = tables.tables(found)
    rendered = page.html(found, written, figures.figures(found))
    folder = Path(directory) / _FOLDER if destination is None else Path(destination)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(folder / "report.md", page.markdown(found, written))
    path = folder / "index.html"
    atomic.write_text(path, rendered)
    return path
