"""The domain's own code that uses a state, imported into the examiner's process.

Only code of the domain is imported: templates, base modules and kits, never a file of a workspace.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from discoenv.tasks.domain import Domain


def load(domain: Domain, *, backend: str, dataset: str) -> ModuleType:
    """``answer.py`` of a dataset's code base, with the base implementation of every module that it needs."""
    with tempfile.TemporaryDirectory(prefix="discoenv-answer-") as name:
        folder = Path(name)
        for path, text in answering_texts(domain, backend=backend, dataset=dataset).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        with importable(folder):
            return importlib.import_module("answer")


def answering_texts(domain: Domain, *, backend: str, dataset: str) -> dict[str, str]:
    """Text of the files that use a state, by their path in a dataset's folder; each module as its base."""
    exam = domain.specification.exam
    fixed = domain.fixed_texts(dataset, backend=backend)
    modules = {f"{name}.py": domain.module_text(name, backend=backend, start="base") for name in exam.answers_with}
    return {**{name: fixed[name] for name in exam.answering_files}, **domain.kit_texts(), **modules}


@contextlib.contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Within this, names mean the Python files and packages of a folder; after it, what they meant before.

    No bytecode is written. One thread at a time may use this.
    """
    names = {*(path.stem for path in folder.glob("*.py")), *(path.parent.name for path in folder.glob("*/*.py"))}
    before, bytecode = _forget(names), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path.remove(str(folder))
        _forget(names)
        sys.modules.update(before)


def _forget(names: Collection[str]) -> dict[str, Any]:
    """Take modules of these names and of packages of these names out of ``sys.modules``, and return them."""
    found = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}
