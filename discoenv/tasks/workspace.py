"""A task's files as the agent and the learner see them.

Materialising is atomic (a folder appears complete or not at all), idempotent, and gives the same bytes for the same
task. A workspace never contains examiner code, held-out data or the base of an editable module that starts as a stub.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from discoenv import objectives
from discoenv.machine import atomic
from discoenv.tasks.domain import Domain
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Selection, Side, Start, Task, TaskSide
from discoenv.tasks.yaml_text import dump

#: Folder of the editable modules.
DISCOVERED: Final = "discovered"

_RUN_MAIN = '''\
"""Run the exams of this task: `python run_main.py`, with an interpreter that has discoenv installed.

Prints {"results": {dataset: {...}}, "errors": {dataset: message}} as JSON. For other options see
`discoenv exam --help`.
"""

import sys
from pathlib import Path

from discoenv.cli.main import main

if __name__ == "__main__":
    sys.argv[1:1] = ["exam", str(Path(__file__).resolve().parent)]
    main()
'''


_INSTALL = """\
#!/bin/sh
# Installs the packages of requirements.txt into the Python that is first on the PATH, or that PYTHON names.
set -e
"${PYTHON:-python}" -m pip install -r "$(dirname "$0")/requirements.txt"
"""


def initial_modules(task: Selection) -> dict[str, str]:
    """Source text of each editable module at the start, by file name (``loss.py``)."""
    domain = task.resolve()
    return {f"{module}.py": _module_text(domain, module, task.backend, task.start) for module in task.modules}


def base_modules(task: Selection) -> dict[str, str]:
    """Baseline implementation of each editable module, by file name."""
    return initial_modules(task.model_copy(update={"start": "base"}))


def describe(task: TaskSide) -> str:
    """``description.md``: what the agent is to do, in Markdown."""
    domain = task.resolve()
    specification = domain.specification
    state = "stubs that you implement" if task.start == "stub" else "baseline implementations that you improve"
    work = (
        f"The files in `{DISCOVERED}/` are {state}. They are shared by all datasets: write algorithms, not solutions "
        "of one dataset, because the reward is decided on datasets that you do not see here."
    )
    nothing = "No module is editable: this is a view of the code base, with the baseline implementation of everything."
    title, description = _split_title(domain.description())
    parts = [
        f"# {title or specification.title}\n\n{description}",
        f"## Your task\n\n{work if task.modules else nothing}\n\n"
        f"{_scored(domain, task)} Scores are normalised: 0 is a trivial solution, 1 is the baseline implementation, "
        "more is better.\n\n"
        f"Objective: `{task.objective}`{_explained(task)}. Scale: `{task.scale}`. Backend: `{task.backend}` — "
        f"{specification.backends[task.backend].summary}\n",
        "## Modules\n\n"
        + "\n".join(
            f"### `{DISCOVERED}/{module}.py`\n\n{domain.prompt(module, backend=task.backend).strip()}\n"
            for module in task.modules
        ),
        _imports(domain) if task.modules else "",
        _contract(domain),
        "## Datasets\n\n" + "\n".join(_describe_dataset(domain, dataset) for dataset in task.datasets),
    ]
    return "\n".join(part for part in parts if part)


def _describe_dataset(domain: Domain, dataset: str) -> str:
    title, text = _split_title(domain.dataset_description(dataset))
    for name in domain.pictures(dataset):
        text = text.replace(f"]({name})", f"]({dataset}/{name})")
    return f"### `{dataset}/`{'' if title in ('', dataset) else f': {title}'}\n\n{text}"


def _split_title(text: str) -> tuple[str, str]:
    """The heading that a description begins with, empty if it has none, and the rest."""
    first, _, rest = text.lstrip().partition("\n")
    return (first[2:].strip(), rest.lstrip("\n")) if first.startswith("# ") else ("", text)


def _scored(domain: Domain, task: TaskSide) -> str:
    metrics = {metric for dataset in task.datasets for metric in domain.metrics(dataset)}
    names = ", ".join(
        f"`{metric.name}` ({metric.unit}; {'higher' if metric.direction == 'max' else 'lower'} is better)"
        for metric in sorted(metrics, key=lambda metric: metric.name)
    )
    if domain.self_reported:
        several = any(len(domain.metrics(dataset)) > 1 for dataset in task.datasets)
        worst = " A dataset that has several of them is as good as the worst, each normalised." if several else ""
        return (
            f"An exam runs `main.py` with your modules; what it prints as its last line of JSON counts: {names}.{worst}"
        )
    exam = domain.specification.exam
    if not exam.hands_over:
        return (
            "An exam trains with your modules (`main.py`) and then questions the result from another process. "
            f"Its metric is {names}.{_also_measured(domain)}"
        )
    return (
        "An exam trains with your modules (`main.py`) until arrays are handed over, which are all that is examined "
        f"(`answer.py` says how they are used; at most {exam.state_mib:g} MiB). Its metric is {names}."
        f"{_also_measured(domain)}"
    )


def _also_measured(domain: Domain) -> str:
    """What examiners report besides the metric."""
    others = "; ".join(f"`{name}` ({meaning})" for name, meaning in domain.specification.other_metrics.items())
    return f" Also measured and shown, without counting: {others}." if others else ""


def _imports(domain: Domain) -> str:
    packages = domain.importable_packages
    if packages is None:
        return ""
    return (
        f"Modules may import {', '.join(f'`{name}`' for name in packages)}, each other, the Python files beside "
        "`main.py`, and of the standard library what computes (`math`, `functools`, `dataclasses`, `typing`, …). An "
        "edit that imports anything else is refused. Reflection, files and changes of other code are flagged in the "
        "record.\n"
    )


def _contract(domain: Domain) -> str:
    questions = domain.specification.contract
    if not questions:
        return ""
    lines = "\n".join(f"* `{question}` — {meaning}" for question, meaning in questions.items())
    return f"## What the examiner asks\n\n{lines}\n"


def _explained(task: TaskSide) -> str:
    cost = objectives.get(task.objective).cost if task.objective in objectives.names() else ""
    if not cost:
        return ""
    return (
        f" — the fewer the {cost}, the better, compared with the baseline's; but nothing counts "
        f"unless the normalised score of every dataset reaches {task.baseline_scale:g}"
    )


def workspace_files(task: TaskSide) -> dict[str, str]:
    """Text of every file of a workspace but the modules in ``discovered/``, by relative path."""
    domain = task.resolve()
    files = {
        "description.md": describe(task),
        "task.yaml": task.to_yaml(),
        "requirements.txt": "\n".join(domain.specification.requirements) + "\n",
        "install.sh": domain.installer or _INSTALL,
        "run_main.py": _RUN_MAIN,
    }
    fixed = [module for module in domain.modules if module not in task.modules]
    modules = {f"{module}.py": _module_text(domain, module, task.backend, "base") for module in fixed}
    kits = _kit_texts(domain, task.modules)
    for dataset in task.datasets:
        for name, text in {**_fixed_files(domain, task.backend, dataset, task.scale), **kits, **modules}.items():
            files[f"{dataset}/{name}"] = text
    return files


@functools.lru_cache(maxsize=4096)
def _fixed_files(domain: Domain, backend: str, dataset: str, scale: Scale) -> Mapping[str, str]:
    files = domain.fixed_texts(dataset, backend=backend)
    config = domain.config(dataset, scale)
    if config:
        files["config.yaml"] = dump(config, sort_keys=True)
    return files


@functools.lru_cache(maxsize=4096)
def _kit_texts(domain: Domain, editable: tuple[str, ...]) -> Mapping[str, str]:
    return domain.kit_texts(editable)


@functools.lru_cache(maxsize=4096)
def _module_text(domain: Domain, module: str, backend: str, start: Start) -> str:
    return domain.module_text(module, backend=backend, start=start)


def materialise(
    task: Task, destination: Path, *, modules: Mapping[str, str] | None = None, side: Side = "meta_train"
) -> Path:
    """Write a task's workspace to ``destination``, replacing what was there.

    Args:
        task: the task.
        destination: the folder to make; its parent must exist.
        modules: text of the editable modules by file name; None: the task's start.
        side: which datasets to lay out.

    Returns:
        ``destination``.
    """
    return lay_out(task.side(side), destination, modules=modules)


def lay_out(layout: TaskSide, destination: Path, *, modules: Mapping[str, str] | None = None) -> Path:
    """As :func:`materialise`, for one side that need not belong to a task."""
    modules = initial_modules(layout) if modules is None else modules
    files = workspace_files(layout) | {f"{DISCOVERED}/{name}": text for name, text in modules.items()}
    names = sorted(files)
    folders = sorted({Path(DISCOVERED), *(folder for name in names for folder in Path(name).parents)})
    temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        for folder in folders[1:]:  # the first is the workspace itself
            (temporary / folder).mkdir()
        for name in names:
            (temporary / name).write_text(files[name], encoding="utf-8", newline="")
        for dataset in layout.datasets:
            up = Path(*[".."] * len(Path(dataset).parts))
            for name in sorted(modules):
                (temporary / dataset / name).symlink_to(up / DISCOVERED / name)
        temporary.chmod(0o755)
        _set_mode(0o755, [temporary / folder for folder in folders[1:]])
        _set_mode(0o644, [temporary / name for name in names])
        _replace(temporary, destination)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return destination


def _set_mode(mode: int, paths: Sequence[Path]) -> None:
    """The same mode for files, or folders, that were made in the same way, whatever the user's umask is."""
    if stat.S_IMODE(paths[0].stat().st_mode) != mode:
        for path in paths:
            path.chmod(mode)


def lay_out_in_place(layout: TaskSide, destination: Path, *, keep_discovered: bool = False) -> Path:
    """As :func:`lay_out`, but a folder that exists stays the same folder: shells and editors in it go on working.

    With ``keep_discovered``, its ``discovered/`` stays as it is and gets the modules that it lacks. Another process may
    see the folder half done; if laying out fails, everything is put back.
    """
    if not destination.exists():
        return lay_out(layout, destination)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=destination, ignore_cleanup_errors=True) as name:
        new, old = Path(name) / "new", Path(name) / "old"
        old.mkdir()
        lay_out(layout, new)
        kept = keep_discovered and (destination / DISCOVERED).is_dir()
        stays = {Path(name).name, "task.yaml", *([DISCOVERED] if kept else [])}
        moves = [(path, old / path.name) for path in destination.iterdir() if path.name not in stays]
        moves += [(path, destination / path.name) for path in new.iterdir() if path.name not in stays]
        if kept:
            added = [(path, destination / DISCOVERED / path.name) for path in (new / DISCOVERED).iterdir()]
            moves += [(path, target) for path, target in added if not os.path.lexists(target)]
        moves.append((new / "task.yaml", destination / "task.yaml"))  # last: it marks the folder as a workspace
        done: list[tuple[Path, Path]] = []
        try:
            for source, target in moves:
                source.rename(target)
                done.append((source, target))
        except BaseException:
            for source, target in reversed(done):
                target.rename(source)
            raise
    return destination


def _replace(new: Path, destination: Path) -> None:
    """Put ``new`` in the place of ``destination``, which stays as it is if that fails."""
    if not destination.exists():
        new.rename(destination)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        destination.rename(aside)
        try:
            new.rename(destination)
        except BaseException:
            aside.rename(destination)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_modules(workspace: Path, modules: Mapping[str, str]) -> None:
    """Replace the text of editable modules in a workspace, each file atomically."""
    for name, text in modules.items():
        atomic.write_text(workspace / DISCOVERED / name, text)
