"""Whether a learner can import in the sandbox what its fixed files need: if not, no agent is to blame.

Packages may be importable here, by ``PYTHONPATH``, a ``.pth`` file or a user's site, and still be invisible inside. So
imports are tried where learners run, by a program that holds no code of an agent. Whatever else fails before the first
line of agent code is seen by :mod:`discoenv.exams.beginning`.
"""

from __future__ import annotations

import ast
import json
import sys
import weakref
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from discoenv.errors import InfraError
from discoenv.exams import learner_environment
from discoenv.machine import packages
from discoenv.python_text import parse
from discoenv.sandbox.base import Command, Limits, Sandbox
from discoenv.tasks.domain import Domain

# Prints, for each module that cannot be imported, why.
_TRY: Final = """
import importlib, json, sys
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(failed))
"""
_PATIENCE_S: Final = 300.0
_known: weakref.WeakKeyDictionary[Sandbox, dict[tuple[str, ...], dict[str, str]]] = weakref.WeakKeyDictionary()


def needed_by(files: Iterable[Path]) -> list[str]:
    """Packages that Python files import at their top level, by the names of their modules, sorted.

    Modules of the standard library, relative imports and files beside them are left out, and so is what a file imports
    in a ``try``, because it can do without.
    """
    found: set[str] = set()
    files = list(files)
    for file in files:
        try:
            tree = parse(file.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue
        found.update(_imported(tree))
    here = {file.stem for file in files} | {entry.stem for file in files for entry in file.parent.iterdir()}
    return sorted(found - here - set(sys.stdlib_module_names))


def _imported(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            yield statement.module.partition(".")[0]


def of_domain(domain: Domain) -> list[str]:
    """Packages that any file of a domain's templates and kits imports, by the names of their modules, sorted."""
    own = {path.stem for path in domain.directory.rglob("*.py")} | {"exam", *domain.specification.kits}
    return [name for name in needed_by(domain.directory.glob("templates/**/*.py")) if name not in own]


def fixed_files(folder: Path) -> list[Path]:
    """The Python files of a dataset's folder in a workspace that are not an agent's, which are links."""
    return sorted(file for file in folder.rglob("*.py") if not file.is_symlink())


def failing(
    sandbox: Sandbox,
    modules: Collection[str],
    *,
    family: str,
    hidden: Collection[str] = (),
    python: Path | None = None,
    image: str = "",
) -> dict[str, str]:
    """Those of the modules that cannot be imported in a sandbox, each with the reason. What works is tried once.

    ``python`` is the interpreter and ``image`` the image; None and empty: the sandbox's own choice.

    Raises:
        InfraError: Python itself does not start inside.
        SandboxError: the sandbox cannot be made.
    """
    key = (str(python), image, family, *sorted(hidden), "", *sorted(modules))
    known = _known.setdefault(sandbox, {})
    if key in known:
        return known[key]
    outcome = sandbox.run(
        Command(
            ("python", "-c", _TRY, *sorted(modules)),
            "/tmp",  # noqa: S108 (inside)
            env=learner_environment.on_cpu(),
            hidden_packages=tuple(hidden),
            family=family,
            python=python,
            image=image,
        ),
        Limits(wall_s=_PATIENCE_S),
    )
    try:
        found: dict[str, str] = json.loads(outcome.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = outcome.stderr.strip()[-500:] or f"{outcome.reason}, exit code {outcome.exit_code}"
        raise InfraError(f"Python does not work in the {sandbox.name} sandbox: {said}. Run `discoenv doctor`") from None
    if not found:
        known[key] = found
    return found


def require(sandbox: Sandbox, domain: Domain, folder: Path) -> None:
    """Raise if the fixed files of a dataset's folder cannot be imported in the sandbox, whatever an agent has written.

    Raises:
        InfraError: a package cannot be imported inside; the message names it and the command that installs it.
        SandboxError: the sandbox cannot be made.
    """
    specification = domain.specification
    modules = needed_by(fixed_files(folder))
    hidden = specification.hidden_packages
    failed = failing(
        sandbox, modules, family=specification.extra, hidden=hidden, python=domain.python, image=domain.image
    )
    if failed:
        what_to_do = fix(failed, domain.python, image=domain.image)
        raise InfraError(f"{domain.name}: {reason(sandbox, failed)}; {what_to_do}")


def reason(sandbox: Sandbox, failed: dict[str, str]) -> str:
    """What cannot be imported, in one line."""
    names = ", ".join(failed)
    first = next(iter(failed.values()))
    return f"{names} cannot be imported in the {sandbox.name} sandbox ({first})"


def fix(failed: Collection[str], python: Path | None = None, *, image: str = "") -> str:
    """What to type so that modules can be imported inside: only what is installed with the interpreter is seen."""
    names = " ".join(packages.provider(name) for name in failed)
    if image:
        return f"the image {image} is to have {names}"
    return f"install into the environment of this interpreter: {python or sys.executable} -m pip install {names}"
