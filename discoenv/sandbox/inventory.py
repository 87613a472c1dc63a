"""What runs on this machine on behalf of discoenv, and the removal of what dead owners left."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from discoenv.errors import SandboxError, SandboxUnavailable
from discoenv.machine import started
from discoenv.machine.gpus import held
from discoenv.machine.owner import is_abandoned, owner_pid
from discoenv.sandbox.containers.engine import Engine
from discoenv.sandbox.local import cgroup
from discoenv.sandbox.local.forkserver import fork_servers

_FOLDERS = ("discoenv-scratch-*", "discoenv-mounts-*")


@dataclass(frozen=True)
class OwnedResource:
    """Something of ours: a container, a control group with what runs in it, a process, or the lease of a GPU."""

    provider: str
    name: str
    owner_pid: int
    owner_lives: bool
    detail: str


def running() -> list[OwnedResource]:
    """Containers of every engine that answers, control groups of the other sandboxes, examiners, and leased GPUs."""
    entries = []
    for engine in _engines():
        for each in engine.containers():
            pid = owner_pid(f"discoenv-{each.owner}-")
            entries.append(
                OwnedResource(engine.name, each.name, pid, not each.abandoned, f"{each.image}, {each.status}")
            )
    place = cgroup.find_place()
    groups = {group.name: group for group in cgroup.ours(place)} if place else {}
    for name, group in sorted(groups.items()):
        programs = ", ".join(cgroup.programs(group)) or "empty"
        entries.append(OwnedResource("bubblewrap", name, owner_pid(name), not is_abandoned(name), programs))
    for process in started.started():
        provider = "process" if process.kind == "command" else process.kind
        owner, lives = process.owner_pid, not process.abandoned
        entries.append(OwnedResource(provider, f"{process.pid}", owner, lives, process.detail))
    for pid, owner in fork_servers():
        entries.append(OwnedResource("fork server", f"{pid}", owner, True, "waits for learners"))
    for name, pids in held().items():
        entries += [OwnedResource("gpu", name, pid, True, "leased") for pid in pids]
    return entries


def reap() -> list[str]:
    """Remove containers, control groups, processes and folders of dead owners; returns what was removed, in words."""
    removed = []
    for engine in _engines():
        removed += [f"{engine.name} container {name}" for name in engine.reap()]
    place = cgroup.find_place()
    if place:
        groups = {group.name for group in cgroup.ours(place) if is_abandoned(group.name)}
        cgroup.reap(place)
        removed += [f"control group {name}" for name in sorted(groups)]
    removed += [f"{process.kind} {process.pid}" for process in started.reap()]
    return removed + [f"folder {folder}" for folder in remove_abandoned_folders()]


def remove_abandoned_folders() -> list[Path]:
    """Remove the temporary folders of sandboxes whose owner is dead, and return their paths."""
    removed = []
    for kind in _FOLDERS:
        for folder in Path(tempfile.gettempdir()).glob(kind):
            if is_abandoned(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _engines() -> Iterator[Engine]:
    for name in ("docker", "podman"):
        with contextlib.suppress(SandboxUnavailable, SandboxError):
            yield Engine(name)
