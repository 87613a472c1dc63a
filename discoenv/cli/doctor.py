"""``discoenv doctor``: what works on this machine, and the commands that install what does not."""

from __future__ import annotations

import os
import subprocess
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from discoenv.sandbox import checks
from discoenv.sandbox.base import Check
from discoenv.tasks.registry import get_domain, get_domains

#: Commands of package managers that ask questions, and the same ones that do not.
_UNATTENDED: Final = {
    "apt-get install": "apt-get install -y",
    "dnf install": "dnf install -y",
    "pacman -S": "pacman -S --noconfirm",
    "zypper install": "zypper --non-interactive install",
}
_console = Console()
_errors = Console(stderr=True)


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Install a sandbox if none works and we may.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing if a sandbox works.")] = False,
) -> None:
    """Show what works on this machine, what is missing, and the command that installs it."""
    found = checks()
    if fix and not _sandboxed(found):
        _install_sandbox(found)
        found = checks()
    if quiet and _sandboxed(found):
        return
    table = Table("", "part", "state", "fix", title="discoenv doctor")
    for check in found:
        mark = "[green]✓[/]" if check.works else "[red]✗[/]"
        table.add_row(mark, check.name, escape(check.detail), escape(check.fix))
    for name in get_domains():
        domain = get_domain(name)
        missing = domain.missing_requirements()
        state = f"{len(domain.datasets)} datasets, {len(domain.modules)} modules"
        install = domain.how_to_install if missing else ""
        detail = f"needs {', '.join(missing)}" if missing else state
        table.add_row("[red]✗[/]" if missing else "[green]✓[/]", name, escape(detail), escape(install))
    _console.print(table)
    if not _sandboxed(found):
        raise typer.Exit(1)


def _sandboxed(found: list[Check]) -> bool:
    """Whether a provider that isolates works."""
    return any(check.works for check in found if check.name != "process")


def _install_sandbox(found: list[Check]) -> None:
    """Install bubblewrap as root or with passwordless sudo; otherwise print the command."""
    command = next((check.fix for check in found if check.name == "bubblewrap"), "")
    if not command.startswith("sudo "):
        return
    if os.geteuid() == 0:
        command = command.removeprefix("sudo ")
    elif subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        _errors.print(f"No sandbox works here yet. Type: [bold]{command}[/]", highlight=False)
        return
    _errors.print(f"Installing a sandbox: {command}", highlight=False)
    for asking, unasked in _UNATTENDED.items():
        command = command.replace(asking, unasked)
    prefix = "sudo " if command.startswith("sudo ") else ""
    attempts = [[command], [f"{prefix}apt-get update", command]] if "apt-get" in command else [[command]]
    for attempt in attempts:  # a new machine may have no list of packages yet
        done = subprocess.run(
            ["sh", "-c", " && ".join(attempt)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
        if done.returncode == 0:
            return
    _errors.print(done.stderr[-2000:], markup=False, highlight=False)
