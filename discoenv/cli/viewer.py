"""``discoenv view`` and ``discoenv export``: look at recorded runs."""

from __future__ import annotations

import errno
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

#: Where the viewer listens unless told otherwise: always the same, so that bookmarks of runs last.
PORT = 8642
_console = Console(soft_wrap=True, highlight=False)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the ``discoenv`` command."""
    app.command()(view)
    app.command()(export)


def view(
    runs: Annotated[Path, typer.Argument(help="A folder with run directories at any depth, or one run.")] = Path(
        "runs"
    ),
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one.", show_default=str(PORT))
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Look at recorded runs, finished or still running, in a browser."""
    from discoenv.viewer.api import Api  # the other commands need no server
    from discoenv.viewer.index import RunIndex
    from discoenv.viewer.server import ViewerServer, is_local

    if not runs.is_dir():
        raise typer.BadParameter(f"{runs} is not a folder; episodes are recorded in runs/ unless told otherwise")
    api = Api(RunIndex(runs))
    try:
        server = ViewerServer(host, PORT if port is None else port, api)
    except OSError as error:
        if port is not None or error.errno != errno.EADDRINUSE:
            raise typer.BadParameter(f"cannot listen on {host} port {port or PORT}: {error.strerror}") from None
        server = ViewerServer(host, 0, api)
    with server:
        _console.print(f"[bold]{server.url}[/]  shows {runs}; Ctrl-C ends it")
        if not is_local(host):
            _console.print("[yellow]Everyone who reaches this address can read these runs.[/]")
        if browser and _has_display():
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            _console.print("ended")


def export(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    html: Annotated[Path, typer.Option("--html", help="The file to write.", show_default=False)],
) -> None:
    """Write a run as one HTML file that opens anywhere, without discoenv and without network."""
    from discoenv.viewer import export as exporter  # the other commands need no page

    exporter.export(run, html)
    _console.print(f"{html}: {html.stat().st_size / 1e6:.1f} MB", markup=False)


def _has_display() -> bool:
    """Whether a browser would have a window: one in the terminal would hide the address."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
