"""What tests share: a toy domain whose exams take a fraction of a second, and variants of it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from discoenv.env import DiscoGenEnv
from discoenv.errors import SandboxError
from discoenv.machine.locks import FOLDER_VARIABLE
from discoenv.sandbox.base import Check, Command, Limits, Running, Sandbox
from discoenv.tasks import registry as domains
from discoenv.tasks.domain import Domain
from discoenv.tasks.new_domain import copy_template
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from discoenv.tools import ToolSession

# Tests hold the machine's cores for themselves as far as they share a folder for temporary files.
os.environ.setdefault(FOLDER_VARIABLE, f"{tempfile.gettempdir()}/discoenv-locks")


def _make_toy() -> Path:
    """A folder ``toy`` with the domain ``Toy``: the template domain, whose exams take a fraction of a second.

    It is no part of DiscoBench, so that none of its tasks is left out when tasks are sampled. Its modules may import
    all of the standard library, because tests misbehave in many ways.
    """
    directory = Path(tempfile.mkdtemp(prefix="toy-"))  # not named as discoenv's own, which tests look for
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    (directory / "toy").mkdir()
    specification = copy_template(directory / "toy" / "Toy", title="Toy regression") / "domain.yaml"
    content = yaml.safe_load(specification.read_text())
    del content["discobench"]
    content["imports"] = ["numpy", *sorted(sys.stdlib_module_names)]
    specification.write_text(yaml.safe_dump(content, sort_keys=False))
    return directory / "toy"


TOY = _make_toy()
#: Better than the baseline on every dataset of the toy domain.
POLYNOMIAL_FEATURES = '''\
"""Powers of the input."""

import numpy as np


def features(x):
    """Features float64[N, 6] of inputs float64[N]."""
    return np.stack([x**power for power in range(6)], axis=1)
'''


MakeSession = Callable[..., ToolSession]


class MakeVariant(Protocol):
    """Makes a domain that differs from the toy domain, and makes it known."""

    def __call__(
        self,
        name: str = ...,
        *,
        change: Callable[[dict[str, Any]], object] | None = ...,
        files: Mapping[str, str | None] | None = ...,
    ) -> Domain: ...


class Install(Protocol):
    """Installs a small package: puts a folder with its metadata and modules on ``sys.path``."""

    def __call__(
        self, name: str, entry_points: Mapping[str, Mapping[str, str]], *, files: Mapping[str, str] = ...
    ) -> Path: ...


def each_exam(score: Mapping[str, Any], key: str) -> list[Any]:
    """A field of each exam of a dataset's score, as ``info`` holds it."""
    return [exam[key] for exam in score["exams"]]


class FailingSandbox(Sandbox):
    """A sandbox that cannot start anything, as often as it is asked to."""

    name = "failing"

    def __init__(self, inner: Sandbox, failures: int) -> None:
        self.inner = inner
        self.failures = failures

    @classmethod
    def check(cls) -> Check:
        return Check("failing", False, "it always fails")

    def start(self, command: Command, limits: Limits) -> Running:
        if self.failures:
            self.failures -= 1
            raise SandboxError("no space for another sandbox")
        return self.inner.start(command, limits)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Domain:
    """The toy domain; it is the only one known, and the user's cache is an empty folder."""
    monkeypatch.setattr(domains, "BUILTIN", TOY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return get_domain("Toy")


@pytest.fixture
def copy_of_toy(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Copies the toy domain's folder, for tests that change files."""
    count = 0

    def copy(name: str = "Toy") -> Path:
        nonlocal count
        count += 1
        folder = tmp_path / f"domains-{count}" / name
        shutil.copytree(TOY / "Toy", folder, ignore=shutil.ignore_patterns("__pycache__"))
        return folder

    yield copy


@pytest.fixture
def make_variant(toy: Domain, copy_of_toy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> MakeVariant:
    """Makes a domain out of the toy domain: ``change`` edits ``domain.yaml``, ``files`` replaces (None: removes)."""

    def make(
        name: str = "Variant",
        *,
        change: Callable[[dict[str, Any]], object] | None = None,
        files: Mapping[str, str | None] | None = None,
    ) -> Domain:
        folder = copy_of_toy(name)
        content = yaml.safe_load((folder / "domain.yaml").read_text())
        content["name"] = name
        if change:
            change(content)
        (folder / "domain.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        for path, text in (files or {}).items():
            if text is None:
                (folder / path).unlink()
            else:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
        monkeypatch.setattr(domains, "BUILTIN", folder.parent)
        return get_domain(name)

    return make


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs packages for the time of a test: version 1.2, ``entry_points`` by group and name, ``files`` by path."""

    def make(
        name: str, entry_points: Mapping[str, Mapping[str, str]], *, files: Mapping[str, str] | None = None
    ) -> Path:
        root = tmp_path / "site-packages" / name
        groups = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            for group, points in entry_points.items()
        ]
        written = {
            f"{name}-1.2.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n",
            f"{name}-1.2.dist-info/entry_points.txt": "\n".join(groups),
            **(files or {}),
        }
        for path, text in written.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        monkeypatch.syspath_prepend(str(root))
        return root

    return make


@pytest.fixture
def task(toy: Domain) -> Task:
    """Both modules of the toy domain, one dataset on each side, one seed."""
    return Task(
        domain=toy.name,
        modules=("model", "features"),
        meta_train=("Line",),
        meta_test=("Wave",),
        scale="tiny",
        test_seeds=1,
    )


@pytest.fixture
def good(task: Task) -> dict[str, str]:
    """Modules that are better than the baseline on every dataset of the toy domain."""
    return base_modules(task) | {"features.py": POLYNOMIAL_FEATURES}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts this process and what it starts, also where tests run with it ignored (``nohup``, ``&``)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def make_session(sandbox: Sandbox, task: Task, tmp_path: Path) -> Iterator[MakeSession]:
    """Sessions of the toy task, closed after the test."""
    made: list[ToolSession] = []

    def make(**arguments: Any) -> ToolSession:
        defaults: dict[str, Any] = {"task": task, "sandbox": sandbox, "runs_dir": tmp_path / "runs"}
        made.append(ToolSession(DiscoGenEnv(**(defaults | arguments)), seed=0))
        return made[-1]

    yield make
    for session in made:
        session.close()
