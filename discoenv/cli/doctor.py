"""``discoenv doctor``: what works on this machine, and the commands that install what does not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from discoenv.errors import MachineError
from discoenv.exams import imports
from discoenv.sandbox import checks, get_sandbox
from discoenv.sandbox.base import Check, Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains

#: Commands of package managers that ask questions, and the same ones that do not.
_UNATTENDED: Final = {
    "apt-get install": "apt-get install -y",
    "dnf install": "dnf install -y",
    "pacman -S": "pacman -S --noconfirm",
    "zypper install": "zypper --non-interactive install",
}
#: Packages whose import takes long.
_LARGE: Final = ("numpy", "sklearn", "torch", "jax")
_console = Console(emoji=False)
_errors = Console(emoji=False, stderr=True)


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
    works = next((check.name for check in found if check.works and check.name != "process"), None)
    sandbox = None if works is None else get_sandbox(works)
    for name in get_domains():
        domain = get_domain(name)
        missing = domain.missing_requirements()
        state = f"{len(domain.datasets)} datasets, {len(domain.modules)} modules"
        install = domain.how_to_install if missing else ""
        detail = f"needs {', '.join(missing)}" if missing else state
        if not missing and sandbox is not None and not (domain.self_reported or domain.python or domain.image):
            problem, install = _import_problem(sandbox, domain)
            detail = problem or detail
        table.add_row("[red]✗[/]" if install else "[green]✓[/]", name, escape(detail), escape(install))
    if sandbox is not None:
        sandbox.close()
    for row in _bytecode():
        table.add_row(*row)
    _console.print(table)
    if not _sandboxed(found):
        raise typer.Exit(1)


def _import_problem(sandbox: Sandbox, domain: Domain) -> tuple[str, str]:
    """Why learners of a domain could not start in the sandbox, and the fix; empty if they can."""
    specification = domain.specification
    modules = imports.of_domain(domain)
    try:
        failed = imports.failing(sandbox, modules, family=specification.extra, hidden=specification.hidden_packages)
    except MachineError as error:
        return str(error), "discoenv image build" if "image" in str(error) else "see the state"
    return (imports.reason(sandbox, failed), imports.fix(failed)) if failed else ("", "")


def _bytecode() -> list[tuple[str, str, str, str]]:
    """A row if installed packages have no compiled bytecode, as after an installation by uv."""
    places = sorted({path for name in _LARGE if (path := _package(name)) and not list(path.glob("__pycache__/*.pyc"))})
    if not places:
        return []
    names = ", ".join(path.name for path in places)
    detail = f"{names} without compiled bytecode: learners, which may not write it, import them 3 to 4 times slower"
    return [("[red]✗[/]", "bytecode", detail, escape(f"{sys.executable} -m compileall -q {places[0].parent}"))]


def _package(name: str) -> Path | None:
    """The folder of an installed package."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


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
