"""A task's files as the agent and the learner see them.

Materialising is atomic (a folder appears complete or not at all), idempotent, and gives the same bytes for the same
task. A workspace never contains examiner code, held-out data or the base of an editable module that starts as a stub.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import yaml

from discoenv import atomic
from discoenv.tasks import stubs
from discoenv.tasks.config import TaskConfig
from discoenv.tasks.domain import Domain

Side = Literal["meta_train", "meta_test"]
#: Folder of the editable modules.
DISCOVERED: Final = "discovered"

_EXAM = Path(__file__).resolve().parent.parent / "exams" / "exam.py"
_RUN_MAIN = '''\
"""Run the exams of this task: `python run_main.py`, with an interpreter that has discoenv installed.

Prints {"results": {dataset: {...}}, "errors": {dataset: message}} as JSON. For other options see
`discoenv exam --help`.
"""

import sys
from pathlib import Path

from discoenv.cli import app

if __name__ == "__main__":
    app(["exam", str(Path(__file__).resolve().parent), *sys.argv[1:]])
'''


def initial_modules(task: TaskConfig) -> dict[str, str]:
    """Source text of each editable module at the start, by file name (``loss.py``)."""
    domain = task.resolve()
    derive = stubs.stub if task.start == "stub" else stubs.base
    return {
        f"{module}.py": derive(domain.module_source(module, backend=task.backend), f"{module}.py")
        for module in task.modules
    }


def base_modules(task: TaskConfig) -> dict[str, str]:
    """Baseline implementation of each editable module, by file name."""
    return initial_modules(task.model_copy(update={"start": "base"}))


def describe(task: TaskConfig, side: Side = "meta_train") -> str:
    """``description.md``: what the agent is to do, in Markdown."""
    domain = task.resolve()
    specification = domain.specification
    metric = specification.metric
    goal = "higher is better" if metric.direction == "max" else "lower is better"
    state = "stubs that you implement" if task.start == "stub" else "baseline implementations that you improve"
    parts = [
        f"# {specification.title}\n\n{domain.description()}",
        "## Your task\n\n"
        f"The files in `{DISCOVERED}/` are {state}. They are shared by all datasets: write algorithms, not solutions "
        "of one dataset, because the reward is decided on datasets that you do not see here.\n\n"
        f"An exam trains with your modules (`main.py`) and then questions the result from another process. "
        f"Its metric is `{metric.name}` ({metric.unit}; {goal}). Scores are normalised: 0 is a trivial solution, "
        "1 is the baseline implementation, more is better.\n\n"
        f"Objective: `{task.objective}`. Scale: `{task.scale}`. Backend: `{task.backend}` — "
        f"{specification.backends[task.backend].summary}\n",
        "## Modules\n\n"
        + "\n".join(
            f"### `{DISCOVERED}/{module}.py`\n\n{domain.prompt(module, backend=task.backend).strip()}\n"
            for module in task.modules
        ),
        "## What the examiner asks\n\n"
        + "\n".join(f"* `{question}` — {meaning}" for question, meaning in specification.contract.items())
        + "\n",
        "## Datasets\n\n"
        + "\n".join(f"### `{dataset}/`\n\n{domain.dataset_description(dataset)}" for dataset in getattr(task, side)),
    ]
    return "\n".join(parts)


def workspace_files(task: TaskConfig, side: Side = "meta_train") -> dict[str, str]:
    """Text of every file of a workspace but the modules in ``discovered/``, by relative path."""
    domain = task.resolve()
    files = {
        "description.md": describe(task, side),
        "task.yaml": task.to_yaml(),
        "requirements.txt": "\n".join(domain.specification.requirements) + "\n",
        "run_main.py": _RUN_MAIN,
    }
    exam = _EXAM.read_text(encoding="utf-8")
    for dataset in getattr(task, side):
        for name, text in _dataset_files(domain, task, dataset).items():
            files[f"{dataset}/{name}"] = text
        files[f"{dataset}/exam.py"] = exam
    return files


def _dataset_files(domain: Domain, task: TaskConfig, dataset: str) -> dict[str, str]:
    files = {
        name: domain.file(name, dataset=dataset, backend=task.backend).read_text(encoding="utf-8")
        for name in domain.specification.fixed_files
    }
    for module in domain.modules:
        if module not in task.modules:
            name = f"{module}.py"
            files[name] = stubs.base(domain.module_source(module, backend=task.backend), name)
    files["config.yaml"] = yaml.safe_dump(domain.config(dataset, task.scale), sort_keys=True)
    return files


def materialise(
    task: TaskConfig, destination: Path, *, modules: Mapping[str, str] | None = None, side: Side = "meta_train"
) -> Path:
    """Write a task's workspace to ``destination``, replacing what was there.

    Args:
        task: the task.
        destination: the folder to make; its parent must exist.
        modules: text of the editable modules by file name; None stands for the task's start.
        side: which datasets to lay out.

    Returns:
        ``destination``.
    """
    modules = initial_modules(task) if modules is None else modules
    files = workspace_files(task, side) | {f"{DISCOVERED}/{name}": text for name, text in modules.items()}
    temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        for name in sorted(files):
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name], encoding="utf-8", newline="")
        for dataset in getattr(task, side):
            up = Path(*[".."] * len(Path(dataset).parts))
            for name in sorted(modules):
                (temporary / dataset / name).symlink_to(up / DISCOVERED / name)
        for folder, _, _ in os.walk(temporary):
            Path(folder).chmod(0o755)
        if destination.exists():
            shutil.rmtree(destination)
        temporary.rename(destination)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return destination


def write_modules(workspace: Path, modules: Mapping[str, str]) -> None:
    """Replace the text of editable modules in a workspace, each file atomically."""
    for name, text in modules.items():
        atomic.write_text(workspace / DISCOVERED / name, text)
