"""Containers started ahead, each handed out once and never used again.

A container that waits has its mounts already: its own empty folders, read-only inside. Handing it out fills them
with hard links to the exam's files and socket. Nothing is mounted later (that takes root on the host) and nothing is
run through the engine's ``exec`` (which escapes the container's init); what an earlier command saw cannot remain,
because there was none. Commands with writable or single-file mounts get a container made for them.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import weakref
from collections import deque
from typing import Any

from discoenv.errors import SandboxError
from discoenv.sandbox.base import Mount
from discoenv.sandbox.containers.container import Container, Recipe
from discoenv.sandbox.containers.engine import Engine


class ContainerPool:
    """At most ``size`` waiting containers for each recipe that was asked for. Thread safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._filling = threading.Lock()
        self._waiting: dict[str, deque[Container]] = {}
        self._recipes: dict[str, tuple[Engine, Recipe]] = {}
        self._closed = False
        _pools.add(self)

    def take(self, engine: Engine, config: dict[str, Any], processes: int, mounts: tuple[Mount, ...]) -> Container:
        """A container for one command: a waiting one where there is one, else a new one."""
        if self._size and _can_wait(mounts):
            key = self._remember(engine, config, processes, mounts)
            while (container := self._pop(key)) is not None:
                try:
                    if container.is_alive() and container.fill(mounts):
                        return container
                except BaseException:
                    container.close()
                    raise
                container.close()
        return Container(engine, Recipe(config, processes, mounts))

    def prepare(self, engine: Engine, config: dict[str, Any], processes: int, mounts: tuple[Mount, ...]) -> None:
        """Fill the pool for commands like this one before the first of them."""
        if self._size and _can_wait(mounts):
            self._remember(engine, config, processes, mounts)
            self._fill()

    def refill(self) -> None:
        """Start what is missing, in the background: called when a command has ended, so as not to disturb one."""
        if self._size and self._recipes and not self._closed:
            threading.Thread(target=self._fill_quietly, name="discoenv-pool", daemon=True).start()

    def close(self) -> None:
        """Remove what waits. Safe to call again. Nothing in a child's process: the containers are its parent's."""
        if os.getpid() != self._owner:
            return
        self._closed = True
        with self._filling:
            while containers := [key for key, waiting in self._waiting.items() if waiting]:
                for key in containers:
                    if container := self._pop(key):
                        container.close()
            self._closed = False
            self._recipes.clear()

    def _remember(self, engine: Engine, config: dict[str, Any], processes: int, mounts: tuple[Mount, ...]) -> str:
        targets = tuple(mount.target for mount in mounts)
        key = json.dumps([config, processes, targets], sort_keys=True)
        with self._lock:
            self._recipes[key] = engine, Recipe(config, processes, targets=targets)
            self._waiting.setdefault(key, deque())
        return key

    def _pop(self, key: str) -> Container | None:
        with self._lock:
            waiting = self._waiting.get(key)
            return waiting.popleft() if waiting else None

    def _fill(self) -> None:
        with self._filling:
            for key, (engine, recipe) in list(self._recipes.items()):
                while not self._closed and len(self._waiting[key]) < self._size:
                    container = Container(engine, recipe)
                    with self._lock:
                        self._waiting[key].append(container)

    def _fill_quietly(self) -> None:
        try:
            self._fill()
        except SandboxError:
            return  # the next command starts its own container, and says what is wrong


_pools: weakref.WeakSet[ContainerPool] = weakref.WeakSet()


def _can_wait(mounts: tuple[Mount, ...]) -> bool:
    return all(not mount.writable and mount.source.is_dir() for mount in mounts)


@atexit.register
def _close_all() -> None:
    for pool in list(_pools):
        pool.close()
