"""Checks of a domain that run its code, in a sandbox, as exams do."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Final

from discoenv.exams import learner_environment
from discoenv.exams.host import Host
from discoenv.exams.result import WORKSPACE, ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.machine import scratch
from discoenv.sandbox.base import Command, Limits, Mount
from discoenv.tasks.domain import Domain
from discoenv.tasks.quick import quick_task
from discoenv.tasks.task import Setting
from discoenv.tasks.workspace import base_modules, lay_out, materialise
from discoenv.testing.code import write_workspace
from discoenv.testing.findings import Findings, counted

_SEED: Final = 20_240_229
#: The longest that anything here may take; what is checked is not how fast it is.
_MOST_S: Final = 600.0
_IMPORTING: Final = '''\
"""Imports the files of each folder that is given, and prints as JSON those that fail: [number, file, error]."""

import importlib
import json
import os
import sys

failed = []
for number, folder in enumerate(sys.argv[1:]):
    os.chdir(folder)
    sys.path.insert(0, folder)
    names = sorted(name[:-3] for name in os.listdir() if name.endswith(".py"))
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed.append([number, name, f"{type(error).__name__}: {error}"])
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(folder):
            del sys.modules[name]
    sys.path.remove(folder)
    importlib.invalidate_caches()
print("\\n" + json.dumps(failed))
'''


def check_imports(domain: Domain, found: Findings, *, host: Host) -> None:
    """In a sandbox, all files of a workspace can be imported, with base modules and with stubs, for each backend."""
    task = quick_task(domain)
    (dataset,) = task.meta_train
    directory = scratch.make()
    try:
        directory.chmod(0o755)
        (directory / "check").mkdir()
        (directory / "check" / "import_all.py").write_text(_IMPORTING, encoding="utf-8")
        cases = list(product(domain.backends, ("base", "stub")))
        for backend, start in cases:
            stubs = domain.modules if start == "stub" else ()
            write_workspace(domain, directory / f"{backend}-{start}", dataset=dataset, backend=backend, stubs=stubs)
        folders = [f"{WORKSPACE}/{backend}-{start}/{dataset}" for backend, start in cases]
        specification = domain.specification
        command = Command(
            argv=("python", f"{WORKSPACE}/check/import_all.py", *folders),
            cwd=WORKSPACE,
            mounts=(Mount(directory, WORKSPACE),),
            env=learner_environment.on_cpu(),
            hidden_packages=tuple(specification.hidden_packages),
            family=specification.extra,
            preload=learner_environment.preloaded(specification.requirements),
        )
        limits = Limits(wall_s=_MOST_S, memory_bytes=int(specification.limits.memory_gib * 2**30))
        outcome = host.sandbox.run(command, limits)
    finally:
        scratch.remove(directory)
    lines = outcome.stdout.strip().splitlines()
    if outcome.exit_code != 0 or not lines:
        found.fail(f"importing ended by {outcome.reason}, exit code {outcome.exit_code}: {outcome.stderr[-1000:]}")
        return
    for number, name, error in json.loads(lines[-1]):
        backend, start = cases[number]
        found.fail(f"backend {backend}, {start}: importing {name}.py raises {error}")
    found.looked_at = f"base modules and stubs of {counted(len(domain.backends), 'backend')}"


def check_exams(domain: Domain, found: Findings, *, host: Host) -> None:
    """The base modules pass an exam of both quick datasets. They and the floor have metrics of ``domain.yaml``."""
    task = quick_task(domain, modules=tuple(domain.modules), start="base")
    settings = [task.setting(dataset) for dataset in (*task.meta_train, *task.meta_test)]
    side = task.side("meta_train").model_copy(update={"datasets": tuple(each.dataset for each in settings)})
    directory = scratch.make()
    try:
        workspace = lay_out(side, directory / "workspace")
        results = host.run_all(workspace, [ExamSpec(setting, _SEED, _MOST_S, editable=()) for setting in settings])
    finally:
        scratch.remove(directory)
    for setting, result in zip(settings, results, strict=True):
        _check_result(setting, result, host.floor(setting, _SEED), found)
    passed = [f"{result.dataset} in {result.seconds:.1f} s" for result in results if result.seconds is not None]
    found.looked_at = f"base modules pass {' and '.join(passed)}"


def _check_result(setting: Setting, result: ExamResult, floor: dict[str, float], found: Findings) -> None:
    metric, place = setting.metric, setting.dataset
    if result.metrics is None:
        found.fail(f"{place}: {result.status}: {result.message}\n{result.traceback}".strip())
        return
    declared = {metric.name, *setting.domain.specification.other_metrics}
    if undeclared := sorted({*result.metrics, *floor} - declared):
        found.fail(f"{place}: {', '.join(undeclared)}: the metrics of domain.yaml have no such name")
    if differing := sorted(set(result.metrics) ^ set(floor)):
        found.fail(f"{place}: examine() and floor() do not have the same metrics: {', '.join(differing)}")
    low = -math.inf if metric.lower is None else metric.lower
    high = math.inf if metric.upper is None else metric.upper
    for name, metrics in (("examine", result.metrics), ("floor", floor)):
        value = metrics[metric.name]
        if not (math.isfinite(value) and low <= value <= high):
            found.fail(f"{place}: {name}() gives {metric.name} {value}; its bounds are {low} and {high}")
    if metric.sign * (result.metrics[metric.name] - floor[metric.name]) <= 0:
        found.warn(f"{place}: in this exam, the base modules are not better than the floor")


def check_stub_exams(domain: Domain, found: Findings, *, host: Host) -> None:
    """Every module counts: where one of them is a stub, the exam ends with the message of that stub."""
    task = quick_task(domain, modules=tuple(domain.modules), start="base")
    directory = scratch.make()

    def examine(module: str) -> ExamResult:
        stub = domain.module_text(module, backend=task.backend, start="stub")
        modules = base_modules(task) | {f"{module}.py": stub}
        spec = ExamSpec(task.setting(task.meta_train[0]), _SEED, _MOST_S, editable=(module,))
        return host.run(materialise(task, directory / module, modules=modules), spec)

    try:
        with ThreadPoolExecutor(host.cores.count) as threads:
            results = list(threads.map(examine, domain.modules))
    finally:
        scratch.remove(directory)
    for module, result in zip(domain.modules, results, strict=True):
        if result.status == "ok":
            found.fail(f"{module}.py: the exam is passed with its stub, so nothing calls it")
        elif not result.message.startswith(f"NotImplementedError: {module}.py: "):
            found.fail(f"{module}.py: with its stub, the exam ends by {result.status}: {result.message}")
    found.looked_at = f"exams end at the stubs of {counted(len(results), 'module')}"
