"""What the learners of a domain compile does not depend on the exam, so that later exams need not compile it again."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from discoenv.exams import compile_cache
from discoenv.exams.compile_cache import CompileCache
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.quick import quick_task
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.workspace import materialise


def kept(folder: Path, spec: ExamSpec) -> CompileCache:
    """Use no program, and keep those that are compiled."""
    return CompileCache(kept_in=folder)


COMPILING = [name for name in get_domains() if compile_cache.compiles(get_domain(name))]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILING)
def test_exams_of_other_seeds_compile_the_same_programs(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Data of an exam that is a constant of a program makes another program of it."""
    task = quick_task(get_domain(name), start="base")
    setting = task.setting(task.meta_train[0])
    workspace = materialise(task, tmp_path / "workspace")
    compiled: list[set[str]] = []
    with Host(sandbox) as host:
        for seed in (1, 2):
            folder = tmp_path / f"programs{seed}"
            spec = ExamSpec(setting, seed, 3600.0, "meta_train", False, tuple(get_domain(name).modules))
            result = host.run(workspace, spec, programs=functools.partial(kept, folder))
            assert result.status == "ok", result.message
            compiled.append({file.name for each in folder.parent.glob(f"{folder.name}*") for file in each.iterdir()})
    assert compiled[0], "no program was handed over"
    assert compiled[1] == compiled[0]
