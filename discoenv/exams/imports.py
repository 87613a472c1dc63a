"""Whether a learner can begin in the sandbox, before the first line of agent code: if not, no agent is to blame.

Packages may be importable here, by ``PYTHONPATH``, a ``.pth`` file or a user's site, and still be invisible inside; a
driver or a file may be broken. So imports, and then the fixed files as far as the first module of an agent, are tried
where learners run, by programs that hold no code of an agent.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import weakref
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from discoenv.errors import InfraError
from discoenv.exams import learner_environment
from discoenv.exams.result import WORKSPACE
from discoenv.machine import packages
from discoenv.python_text import parse
from discoenv.sandbox.base import Command, Limits, Mount, Sandbox
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
# Runs main.py until it asks for a module of an agent or of the exam, which ends it with code 0.
_BEGIN: Final = """
import importlib.machinery, os, runpy, sys, types

def reached(*arguments, **named):
    os._exit(0)

class Agents:
    names = set(sys.argv[1:])

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            reached()

sys.meta_path.insert(0, Agents())
def of_exam(name):
    if name.startswith("__"):  # what packages ask of every module
        raise AttributeError(name)
    return reached

exam = types.ModuleType("exam")
exam.__spec__ = importlib.machinery.ModuleSpec("exam", None)
exam.__getattr__ = of_exam
sys.modules["exam"] = exam
sys.path.insert(0, os.getcwd())
sys.argv = ["main.py"]
runpy.run_path("main.py", run_name="__main__")
"""
_PATIENCE_S: Final = 300.0
_begun: weakref.WeakKeyDictionary[Sandbox, set[str]] = weakref.WeakKeyDictionary()
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
) -> dict[str, str]:
    """Those of the modules that cannot be imported in a sandbox, each with the reason. What works is tried once.

    ``python`` is the interpreter; None: the sandbox's own choice.

    Raises:
        InfraError: Python itself does not start inside.
        SandboxError: the sandbox cannot be made.
    """
    key = (str(python), family, *sorted(hidden), "", *sorted(modules))
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
    """Raise if the fixed files of a dataset's folder do not begin in the sandbox, whatever an agent has written.

    Raises:
        InfraError: a package cannot be imported inside; the message names it and the command that installs it. Or
            ``main.py`` fails before it comes to a module of an agent; the message has its last words.
        SandboxError: the sandbox cannot be made.
    """
    specification = domain.specification
    modules = needed_by(fixed_files(folder))
    hidden = specification.hidden_packages
    failed = failing(sandbox, modules, family=specification.extra, hidden=hidden, python=domain.python)
    if failed:
        raise InfraError(f"{domain.name}: {reason(sandbox, failed)}; {fix(failed, domain.python)}")
    words = _failing_beginning(sandbox, domain, folder)
    if words:
        raise InfraError(
            f"{domain.name}: main.py of {folder.name} fails in the {sandbox.name} sandbox before it imports a module: "
            f"{words}. `discoenv doctor` looks for the reason; `discoenv validate {domain.name}` tries again"
        )


def _failing_beginning(sandbox: Sandbox, domain: Domain, folder: Path) -> str:
    """The last words of ``main.py`` if it fails before the first module of an agent. What works is tried once."""
    digest = hashlib.sha256(domain.name.encode())
    for file in fixed_files(folder):
        digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    known = _begun.setdefault(sandbox, set())
    if digest.hexdigest() in known:
        return ""
    outcome = sandbox.run(
        Command(
            ("python", "-c", _BEGIN, *domain.modules),
            f"{WORKSPACE}/{folder.name}",
            mounts=(Mount(folder.parent, WORKSPACE),),
            env=learner_environment.on_cpu(),
            hidden_packages=tuple(domain.specification.hidden_packages),
            family=domain.specification.extra,
            python=domain.python,
        ),
        Limits(wall_s=_PATIENCE_S, memory_bytes=int(domain.specification.limits.memory_gib * 2**30)),
    )
    if outcome.reason == "exited" and outcome.exit_code != 0:
        return (outcome.stderr.strip().splitlines() or [f"exit code {outcome.exit_code}"])[-1][:500]
    if outcome.reason == "exited":
        known.add(digest.hexdigest())
    return ""


def reason(sandbox: Sandbox, failed: dict[str, str]) -> str:
    """What cannot be imported, in one line."""
    names = ", ".join(failed)
    first = next(iter(failed.values()))
    return f"{names} cannot be imported in the {sandbox.name} sandbox ({first})"


def fix(failed: Collection[str], python: Path | None = None) -> str:
    """What to type so that modules can be imported inside: only what is installed with the interpreter is seen."""
    names = " ".join(packages.provider(name) for name in failed)
    return f"install into the environment of this interpreter: {python or sys.executable} -m pip install {names}"
