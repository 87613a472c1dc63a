"""Packages that are here and not in the sandbox are this machine's fault, and are named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.errors import InfraError
from discoenv.exams import imports
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.sandbox.base import Command, Limits, Outcome, Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.conftest import TOY, MakeVariant
from tests.exams.test_runner import line

MAIN = (TOY / "Toy/templates/default/main.py").read_text()


@pytest.fixture
def only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that this process can import by its path, as by PYTHONPATH, and learners cannot."""
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "only_here.py").touch()
    monkeypatch.syspath_prepend(folder)
    return "only_here"


@pytest.fixture
def examine(task: Task, sandbox: Sandbox, tmp_path: Path) -> Callable[..., ExamResult]:
    """Examines the base modules, of which one begins with other code, on a variant of the toy domain."""

    def examine(domain: Domain, code: str = "") -> ExamResult:
        modules = base_modules(task)
        changed = modules | {"model.py": code + modules["model.py"]}
        changed_task = task.model_copy(update={"domain": domain.name})
        with Host(sandbox) as host:
            return host.run(materialise(changed_task, tmp_path / "workspace", modules=changed), line(domain))

    return examine


def test_a_package_that_fixed_files_need_and_learners_cannot_see_is_no_score(
    make_variant: MakeVariant, examine: Callable[..., ExamResult], only_here: str
) -> None:
    domain = make_variant("Toy", files={"templates/default/main.py": f"import {only_here}\n{MAIN}"})
    with pytest.raises(
        InfraError, match=rf"{only_here} cannot be imported in the .*ModuleNotFoundError.*-m pip install only-here"
    ):
        examine(domain)


def test_a_package_that_only_the_agent_s_module_needs_is_its_own_fault(
    make_variant: MakeVariant, examine: Callable[..., ExamResult], only_here: str
) -> None:
    result = examine(make_variant("Toy"), f"import {only_here}\n")
    assert (result.status, result.message) == ("error", f"ModuleNotFoundError: No module named '{only_here}'")


BROKEN = 'raise OSError("the driver does not answer")\n'


@pytest.mark.parametrize("before", ["import numpy\n", "import exam\n"])
def test_what_fails_before_the_first_line_of_agent_code_is_no_score(
    make_variant: MakeVariant, examine: Callable[..., ExamResult], before: str
) -> None:
    domain = make_variant("Toy", files={"templates/default/main.py": f"{before}{BROKEN}{MAIN}"})
    message = "Toy: main.py of Line fails in the .* sandbox before any module of an agent is read: OSError: the driver"
    with pytest.raises(InfraError, match=message):
        examine(domain, BROKEN)


def test_what_fails_in_a_module_or_because_of_it_is_scored(
    make_variant: MakeVariant, examine: Callable[..., ExamResult], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Command] = []
    run = sandbox.run

    def noted(command: Command, limits: Limits) -> Outcome:
        if command.argv[1:2] == ("-c",) and "importlib" in command.argv[2]:
            tried.append(command)
        return run(command, limits)

    monkeypatch.setattr(sandbox, "run", noted)
    domain = make_variant("Toy", files={"templates/default/main.py": f"import psutil\n{MAIN}"})
    result = examine(domain, BROKEN)
    assert (result.status, result.message) == ("error", "OSError: the driver does not answer")
    assert tried == []  # the agent's module is in the traceback
    words = "import os, sys\nprint('OSError: the driver does not answer', file=sys.stderr)\nos._exit(1)\n"
    assert examine(domain, words).status == "error"
    first = len(tried)
    assert first == 1  # what fixed files import was tried, and works
    assert examine(domain, words).status == "error"
    assert len(tried) == first  # once


def test_needed_packages_are_those_that_files_cannot_do_without(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import os, numpy.linalg\nfrom sklearn.pipeline import Pipeline\nfrom . import near\nimport helper, kit\n"
        "try:\n    import perhaps\nexcept ImportError:\n    pass\n"
    )
    (tmp_path / "helper.py").write_text("import yaml\n")
    (tmp_path / "kit").mkdir()
    (tmp_path / "model.py").symlink_to(tmp_path / "helper.py")
    assert imports.fixed_files(tmp_path) == [tmp_path / "helper.py", tmp_path / "main.py"]
    assert imports.needed_by(imports.fixed_files(tmp_path)) == ["numpy", "sklearn", "yaml"]


def test_what_works_is_tried_once_and_what_does_not_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Command] = []
    run = sandbox.run

    def noted(command: Command, limits: Limits) -> Outcome:
        tried.append(command)
        return run(command, limits)

    monkeypatch.setattr(sandbox, "run", noted)
    for _ in range(2):
        assert imports.failing(sandbox, ["json"], family="") == {}
    for _ in range(2):
        assert list(imports.failing(sandbox, ["json", "no_such"], family="")) == ["no_such"]
    assert len(tried) == 3
    assert imports.fix(["yaml", "sklearn"]) == (
        f"install into the environment of this interpreter: {sys.executable} -m pip install pyyaml scikit-learn"
    )
