"""Writes tasks as folders of Harbor; see the package."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from discoenv import __version__
from discoenv.adapters.harbor import client, wheel
from discoenv.adapters.harbor.exam_server import PORT
from discoenv.adapters.session import TaskEntry
from discoenv.episodes import feedback
from discoenv.episodes.episode import EpisodeLimits
from discoenv.errors import ArgumentError, SandboxError, UnknownName
from discoenv.exams import secrets
from discoenv.exams.secrets import Secret
from discoenv.sandbox.containers import images
from discoenv.scoring import baselines
from discoenv.scoring.budgets import budget_s
from discoenv.scoring.scores import Scoring
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import DISCOVERED, base_modules, describe, materialise

#: Where the workspace is in the agent's container.
WORKSPACE: Final = "/app"
#: What comes out of it, and all that the verifier gets of it.
ARTIFACT: Final = f"{WORKSPACE}/{DISCOVERED}"
_SANDBOXES: Final = "bubblewrap,process"
#: Seconds for the start of containers and examiners, besides those of exams.
_OVERHEAD_S: Final = 600.0
#: Wall-clock seconds per second of compute budget.
_SLACK: Final = 2.0
#: Seconds that an agent gets to think, besides those of exams.
_THINKING_S: Final = 3600.0


@dataclass(frozen=True)
class HarborOptions:
    """How task folders are written.

    Attributes:
        max_runs: runs on the meta-train side that the agent may have.
        seed: of the episode that the verifier scores.
        secret: of the verifier, which fixes the held-out data together with the seed; None: a new one per export. Who
            has the folder has the secret: do not hand ``tests/`` to agents.
        oracle: whose modules ``solution/`` holds: ``base``, or a candidate of the domain.
        python: version of Python in the images, ``3.X``.
        pinned: whether requirements of images are pinned to the versions that are installed here.
    """

    max_runs: int = 10
    seed: int = 0
    secret: Secret | None = None
    oracle: str = "base"
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    pinned: bool = True


def with_options(options: HarborOptions, *, python: str, secret: Secret | None) -> HarborOptions:
    """Options with another Python and another secret, if they are given.

    Raises:
        ArgumentError: the version is not of the form ``3.X``.
    """
    if python and not re.fullmatch(r"3\.\d+", python):
        raise ArgumentError(f"python is {python!r}; it must be a version such as 3.12")
    return replace(options, python=python or options.python, secret=secret or options.secret)


def export(entries: Sequence[TaskEntry], out: Path, options: HarborOptions = HarborOptions()) -> list[Path]:
    """Write a folder per task.

    Args:
        entries: the tasks.
        out: the folder to write them into; those of the same names are replaced.
        options: how.

    Returns:
        The folders.

    Raises:
        UnknownName: the domain of a task has no candidate of the oracle's name.
        NoBaseline: a dataset has not been calibrated.
        ArgumentError: two tasks have the same name.
    """
    names = [folder_name(entry) for entry in entries]
    if len(set(names)) < len(names):
        raise ArgumentError(f"two tasks are called {next(name for name in names if names.count(name) > 1)!r}")
    out.mkdir(parents=True, exist_ok=True)
    secret = options.secret or secrets.new()
    built = out / ".wheel"
    built.mkdir(exist_ok=True)
    try:
        package = wheel.build_wheel(built)
        return [
            _export_one(entry, out / name, secret, package, options) for name, entry in zip(names, entries, strict=True)
        ]
    finally:
        for left in (built, *out.glob(".*.new")):
            shutil.rmtree(left, ignore_errors=True)


def folder_name(entry: TaskEntry) -> str:
    """Name of a task's folder: lower case, with hyphens."""
    name = entry.name if entry.split == "discobench" else f"{entry.task.domain}-{entry.name}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _export_one(entry: TaskEntry, folder: Path, secret: Secret, package: Path, options: HarborOptions) -> Path:
    task = entry.task
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name in ("environment/exams", "solution", "tests"):
        (new / name).mkdir(parents=True)
    settings = {name: task.setting(name) for name in (*task.meta_train, *task.meta_test)}
    entries = {name: baselines.entry(setting) for name, setting in settings.items()}
    budgets = {
        name: budget_s(setting, entries[name], None, scale=EpisodeLimits.budget_scale, on_gpu=setting.wants_gpu)
        for name, setting in settings.items()
    }
    _write(new / "instruction.md", _instruction(task, entries, budgets, options.max_runs))
    _write(new / "task.toml", _task_toml(entry, folder.name, budgets, options))
    _write_environment(new / "environment", task, package, options)
    _write_verifier(new / "tests", task, secret, package, options)
    for name, text in _oracle(task, options.oracle).items():
        _write(new / "solution" / name, text)
    _write(new / "solution" / "solve.sh", _script(f"cp /solution/*.py {ARTIFACT}/"), executable=True)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return folder


def _oracle(task: Task, name: str) -> dict[str, str]:
    modules = base_modules(task)
    if name == "base":
        return modules
    candidates = task.resolve().candidates()
    if name not in candidates:
        raise UnknownName("candidate", name, ["base", *candidates], task.domain)
    return {file: candidates[name].get(file, text) for file, text in modules.items()}


# ---- what the agent reads


def _instruction(
    task: Task, entries: Mapping[str, baselines.Baseline], budgets: Mapping[str, float], max_runs: int
) -> str:
    files = ", ".join(f"`{ARTIFACT}/{module}.py`" for module in task.modules)
    lines = "\n".join(f"* {dataset}: {budgets[dataset]:.3g} s" for dataset in task.meta_train)
    return (
        f"{describe(task.side('meta_train'))}\n"
        "## How to act\n\n"
        f"You are in the workspace, `{WORKSPACE}`. Edit {files}, at most {EpisodeLimits.max_file_bytes} bytes each; "
        "other files do not count. When you stop, the modules are trained and scored on hidden datasets, and that is "
        "your reward. Three commands help you until then:\n\n"
        "* `discoenv run [DATASET …] [--seeds N] [--race]` trains with your modules on the datasets above, and reports "
        "the scores; with `--seeds` in that many exams per dataset, with `--race` in only as many as decide whether "
        f"they are better than the best ones yet. You have {max_runs} runs; a run of files that were run before is "
        "free.\n"
        "* `discoenv history` lists the runs.\n"
        "* `discoenv compare [RUN] [RUN]` compares two of them in the exams that both have had.\n\n"
        f"`{WORKSPACE}/DATASET/main.py` is the program that trains; exams start it, and it cannot be started "
        "by hand.\n\n"
        "Training and answering together may take about this much compute (seconds of one processor core, or of a "
        f"GPU), or the exam has failed:\n\n{lines}\n"
        f"{feedback.scoring(task, entries, Scoring())}"
    )


# ---- the folder


def _task_toml(entry: TaskEntry, name: str, budgets: Mapping[str, float], options: HarborOptions) -> str:
    task, domain = entry.task, entry.task.resolve()
    limits = domain.specification.limits
    gpu = any(task.setting(dataset).wants_gpu for dataset in (*task.meta_train, *task.meta_test))
    training = sum(budgets[dataset] * task.train_seeds for dataset in task.meta_train)
    testing = sum(budgets[dataset] * task.test_seeds for dataset in task.meta_test)
    memory_mb = int((limits.memory_gib + limits.scratch_gib + 4) * 1024)
    resources: dict[str, Any] = {
        "cpus": 2,
        "memory_mb": memory_mb,
        "storage_mb": 20480,
        "build_timeout_sec": 3600.0,
        **({"gpus": 1} if gpu else {}),
    }
    facts = {key: value for key, value in entry.facts().items() if key not in ("name", "seed", "index")}
    modules = ", ".join(task.modules)
    return "\n".join(
        [
            'schema_version = "1.4"',
            f"artifacts = {json.dumps([ARTIFACT])}",
            "",
            _table(
                "task",
                {
                    "name": f"discoenv/{name}",
                    "version": __version__,
                    "description": f"{domain.specification.title}: discover {modules}.",
                    "keywords": ["algorithm discovery", "machine learning", task.domain],
                },
            ),
            _table("metadata", {**facts, "seed": options.seed, "discoenv": __version__}),
            _table(
                "agent",
                {"timeout_sec": _THINKING_S + _SLACK * options.max_runs * training + _OVERHEAD_S, "user": "agent"},
            ),
            _table("environment", {**resources, "workdir": WORKSPACE}),
            _table(
                "verifier",
                {"timeout_sec": _SLACK * testing + _OVERHEAD_S, "environment_mode": "separate", "user": "root"},
            ),
            _table("verifier.environment", {**resources, "network_mode": "no-network"}),
        ]
    )


def _write_environment(folder: Path, task: Task, package: Path, options: HarborOptions) -> None:
    materialise(task, folder / "workspace")
    for path in sorted((folder / "workspace").rglob("*")):
        if path.is_symlink():  # to a module: the image has it again, and archives of the folder need not
            path.unlink()
    for name in ("run_main.py", "install.sh"):  # they need discoenv, or the network
        (folder / "workspace" / name).unlink()
    shutil.copyfile(client.__file__, folder / "discoenv-client")
    (folder / "discoenv-client").chmod(0o755)
    _write(folder / "requirements.txt", _requirements(task, options))
    _write(folder / "Dockerfile", _agent_image(task, options))
    _write(folder / "docker-compose.yaml", _COMPOSE)
    exams = folder / "exams"
    _place_wheel(package, exams)
    _write(exams / "task.yaml", task.to_yaml())
    _write(exams / "requirements.txt", _requirements(task, options))
    command = ["discoenv", "serve-exams", "--task", "/exams/task.yaml", "--max-runs", str(options.max_runs)]
    command += ["--host", "0.0.0.0", "--port", str(PORT), "--runs", "/exams/runs", "--sandbox", _SANDBOXES]  # noqa: S104
    _write(exams / "Dockerfile", _host_image(package.name, "/exams", options, f"CMD {json.dumps(command)}"))


def _write_verifier(folder: Path, task: Task, secret: Secret, package: Path, options: HarborOptions) -> None:
    _place_wheel(package, folder)
    _write(folder / "task.yaml", task.to_yaml())
    _write(folder / "secret", f"{secret.key.hex()}\n", mode=0o600)
    _write(folder / "requirements.txt", _requirements(task, options))
    _write(folder / "Dockerfile", _host_image(package.name, "/tests", options, "COPY test.sh /tests/test.sh"))
    score = (
        f"DISCOENV_SECRET_FILE=/tests/secret discoenv score --workspace {ARTIFACT} --task /tests/task.yaml "
        f"--seed {options.seed} --sandbox {_SANDBOXES} --json /logs/verifier/reward.json"
    )
    _write(folder / "test.sh", _script(score), executable=True)


def _place_wheel(package: Path, folder: Path) -> None:
    """Put the wheel there: one file on disk for all tasks, where the file system can."""
    try:
        os.link(package, folder / package.name)
    except OSError:
        shutil.copyfile(package, folder / package.name)


def _requirements(task: Task, options: HarborOptions) -> str:
    """What learners import, in the versions that are installed here."""
    family = task.resolve().specification.extra
    if options.pinned:
        with contextlib.suppress(SandboxError):
            return "".join(f"{line}\n" for line in images.requirements(family))
    return "".join(f"{line}\n" for line in ("numpy", "pyyaml", *task.resolve().specification.requirements))


def _agent_image(task: Task, options: HarborOptions) -> str:
    links = " && ".join(
        f"ln -s {'../' * len(Path(dataset).parts)}{DISCOVERED}/{module}.py {WORKSPACE}/{dataset}/{module}.py"
        for dataset in task.meta_train
        for module in task.modules
    )
    return f"""\
# What the agent sees: the packages of learners, the workspace of the meta-train side, and a client for exams.
# Nothing of discoenv, of its examiners and of the meta-test side is here.
FROM python:{options.python}-slim
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt && rm /tmp/requirements.txt
RUN useradd --create-home agent
COPY discoenv-client /usr/local/bin/discoenv
COPY --chown=agent workspace {WORKSPACE}
RUN {links}
USER agent
WORKDIR {WORKSPACE}
"""


def _host_image(package: str, folder: str, options: HarborOptions, last: str) -> str:
    return f"""\
# Holds exams: discoenv and the packages of learners, in the versions that the baselines were measured with.
FROM python:{options.python}-slim
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap && rm -rf /var/lib/apt/lists/*
COPY requirements.txt {package} {folder}/
RUN pip install --no-cache-dir --disable-pip-version-check -r {folder}/requirements.txt {folder}/{package}
COPY . {folder}
{last}
"""


_COMPOSE: Final = f"""\
# The service that trains and examines the agent's modules on the meta-train side.
services:
  main:
    environment:
      DISCOENV_EXAMS: http://exams:{PORT}
    depends_on: [exams]
  exams:
    build:
      context: ./exams
    init: true
"""


def _script(command: str) -> str:
    return f"#!/bin/sh\nset -e\n{command}\n"


def _table(name: str, content: Mapping[str, Any]) -> str:
    """A table of TOML; JSON's spelling of texts, numbers and lists is TOML's, too."""
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in content.items()), ""])


def _write(path: Path, text: str, *, executable: bool = False, mode: int = 0o644) -> None:
    path.write_text(text, encoding="utf-8", newline="")
    path.chmod(0o755 if executable else mode)
