"""The code that a domain's learners run, written to a folder and imported in this process."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

from discoenv.errors import DomainError
from discoenv.exams.fixed_code import importable
from discoenv.machine import scratch
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import TaskSide
from discoenv.tasks.workspace import lay_out


def write_workspace(
    domain: Domain,
    folder: Path,
    *,
    dataset: str = "",
    backend: str = "default",
    stubs: Collection[str] = (),
    modules: Mapping[str, str] | Path | None = None,
) -> Path:
    """Write the workspace of one dataset at its smallest scale; every module is editable.

    Args:
        domain: whose, as :func:`discoenv.get_domain` gives it.
        folder: the workspace's folder; its parent must exist.
        dataset: its id; default: the domain's first.
        backend: the domain's code base.
        stubs: names of the modules of which only the interface is written.
        modules: text of further modules by name (``loss``), or a folder of their files, as a candidate is; the
            others have their base implementation.

    Returns:
        The folder in which an exam of the dataset runs ``main.py``: :func:`import_workspace` imports its files.

    Raises:
        UnknownName: there is no such dataset, backend or module.
    """
    dataset = dataset or domain.datasets[0]
    if isinstance(modules, Path):
        modules = {path.stem: path.read_text(encoding="utf-8") for path in sorted(modules.glob("*.py"))}
    for module in (*stubs, *(modules or {})):
        domain.require(module=module)
    domain.require(dataset=dataset, backend=backend)
    texts = {
        module: domain.module_text(module, backend=backend, start="stub" if module in stubs else "base")
        for module in domain.modules
    }
    side = TaskSide(
        domain=domain.name,
        modules=tuple(domain.modules),
        backend=backend,
        scale=domain.scales(dataset)[0],
        datasets=(dataset,),
    )
    files = {f"{module}.py": text for module, text in {**texts, **(modules or {})}.items()}
    return lay_out(side, folder, modules=files) / dataset


@contextlib.contextmanager
def import_workspace(folder: Path, module: str = "main") -> Iterator[SimpleNamespace]:
    """Import all modules of a folder under their plain names, as a learner does, and forget them at the end.

    Inside the ``with`` block the names mean the folder's files, also for imports inside functions. After it they mean
    what they meant before, and settings of JAX (double precision) and torch (threads) that the block changed are put
    back. No bytecode is written. One thread at a time may use this.

    Args:
        folder: a dataset's folder of a workspace (see :func:`write_workspace`), or any folder of Python files.
        module: the file to import first; the rest follows in alphabetical order. ``main`` is what an exam runs.

    Yields:
        The modules as attributes: ``code.main``, ``code.loss``; and the packages: ``code.rl_jax.wrappers``, if a module
        imports it.

    Raises:
        DomainError: the folder has no file of that name.
        Exception: whatever the files raise when they are imported.
    """
    names = sorted(path.stem for path in folder.glob("*.py"))
    if module not in names:
        raise DomainError(
            f"{folder}: there is no {module}.py in it; give the folder of a dataset, or one of its files as `module` "
            f"({', '.join(names) or 'it has none'})"
        )
    packages = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    restore = _framework_settings()
    try:
        with importable(folder):
            importlib.import_module(module)
            yield SimpleNamespace(**{name: importlib.import_module(name) for name in (*names, *packages)})
    finally:
        restore()


@contextlib.contextmanager
def import_learner(
    domain: Domain,
    *,
    dataset: str = "",
    backend: str = "default",
    stubs: Collection[str] = (),
    modules: Mapping[str, str] | Path | None = None,
) -> Iterator[SimpleNamespace]:
    """Import the code that a learner of a domain runs: :func:`write_workspace` and :func:`import_workspace` in one.

    Example::

        with import_learner(get_domain("OnPolicyRL"), stubs=["loss"]) as code:
            config = code.main.get_config(...)
    """
    directory = scratch.make()
    try:
        folder = write_workspace(
            domain, directory / "workspace", dataset=dataset, backend=backend, stubs=stubs, modules=modules
        )
        with import_workspace(folder) as code:
            yield code
    finally:
        scratch.remove(directory)


def _framework_settings() -> Callable[[], None]:
    """A function that puts back the present settings of the frameworks that are imported already."""
    jax, torch = sys.modules.get("jax"), sys.modules.get("torch")
    double = jax.config.jax_enable_x64 if jax else None
    threads = torch.get_num_threads() if torch else None

    def restore() -> None:
        if jax:
            jax.config.update("jax_enable_x64", double)
        if torch:
            torch.set_num_threads(threads)

    return restore
