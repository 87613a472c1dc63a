"""Checks of a domain that read its files and run none of its code."""

from __future__ import annotations

import ast
import functools
import re
import textwrap
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from discoenv import module_code
from discoenv.audit.exploits import exploits_of
from discoenv.errors import DomainError
from discoenv.machine import packages
from discoenv.python_text import parse
from discoenv.scoring import baselines
from discoenv.tasks import stubs
from discoenv.tasks.domain import Domain
from discoenv.tasks.drafting.compose import GAP
from discoenv.tasks.drafting.writing import gaps
from discoenv.tasks.ladder import ladder_of, method_text
from discoenv.tasks.quick import quick_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting, TaskSide
from discoenv.tasks.workspace import DISCOVERED, initial_modules, workspace_files
from discoenv.testing.findings import Findings, counted

#: A text that an agent reads has at least this many words.
_LEAST_WORDS: Final = {"description.md": 15, "prompt": 8, "dataset": 5, "other": 3}
_UNFINISHED: Final = re.compile(r"\b(TODO|FIXME|TBD|XXX|lorem ipsum)\b", re.IGNORECASE)
#: Seconds that a base module's exam may take at a scale, as measured for its baseline.
_MOST_S: Final[dict[Scale, float]] = {"tiny": 20.0, "small": 120.0}
_Function = ast.FunctionDef | ast.AsyncFunctionDef
#: A solution of fewer characters may be found elsewhere by chance.
_SHORTEST_SOLUTION: Final = 24


def check_names(domain: Domain, found: Findings) -> None:
    """Names in ``domain.yaml`` are used nowhere else, and its lists name what exists."""
    specification = domain.specification
    plain = re.fullmatch(r"[A-Z][A-Za-z0-9]*", specification.name)
    found.require(plain is not None, f"name: {specification.name!r} is not in CamelCase, as names of domains are")
    reserved = {"main", "exam", "run_main", "conftest", *(Path(name).stem for name in specification.fixed_files)}
    for module in domain.modules:
        found.require(module not in reserved, f"modules.{module}: {module}.py is a fixed file of every workspace")
    metric = specification.metric
    found.require(metric.name not in specification.other_metrics, f"other_metrics: {metric.name} is the metric")
    found.looked_at = ", ".join(
        (
            counted(len(domain.modules), "module"),
            counted(len(domain.datasets), "dataset"),
            counted(len(domain.backends), "backend"),
        )
    )


def check_files(domain: Domain, found: Findings) -> None:
    """Every file that ``domain.yaml`` names exists for each backend and dataset, and no other lies in between."""
    fixed = domain.specification.fixed_files
    for backend, module in product(domain.backends, domain.modules):
        _collect(found, functools.partial(domain.module_source, module, backend=backend))
    for backend, dataset in product(domain.backends, domain.datasets):
        _collect(found, functools.partial(domain.fixed_texts, dataset, backend=backend))
    if not domain.self_reported:
        wanted = {*fixed, *(f"{module}.py" for module in domain.modules)}
        templates = domain.directory / "templates"
        for folder in sorted(path for path in templates.iterdir() if path.is_dir()):
            if folder.name not in domain.backends:
                found.fail(f"templates/{folder.name}: backends of domain.yaml has no such name")
            for path in _files(folder):
                name = path.relative_to(folder).as_posix()
                found.require(name in wanted, f"templates/{folder.name}/{name}: it is no module and no fixed file")
        datasets = domain.directory / "datasets"
        for path in sorted(datasets.rglob("config.yaml")):
            name = path.parent.relative_to(datasets).as_posix()
            found.require(name in domain.datasets, f"datasets/{name}: datasets of domain.yaml has no such name")
    found.looked_at = f"{len(fixed)} fixed files and {len(domain.modules)} modules for each backend and dataset"


def check_gaps(domain: Domain, found: Findings) -> None:
    """Nothing is left of the marks of a draft."""
    for gap in gaps(domain.directory):
        found.fail(f"{gap.place}: {gap.what}")


def check_texts(domain: Domain, found: Findings) -> None:
    """All that an agent reads is there and says something."""
    specification = domain.specification
    texts = [
        ("description.md", domain.description(), "description.md"),
        ("summary", specification.summary, "other"),
        *((f"backends.{name}.summary", each.summary, "other") for name, each in specification.backends.items()),
        *((f"contract.{question}", meaning, "other") for question, meaning in specification.contract.items()),
        *((f"other_metrics.{name}", meaning, "other") for name, meaning in specification.other_metrics.items()),
        *(
            (f"prompt of {module}, backend {backend}", domain.prompt(module, backend=backend), "prompt")
            for module, backend in product(domain.modules, domain.backends)
        ),
        *((f"datasets/{name}/description.md", domain.dataset_description(name), "dataset") for name in domain.datasets),
    ]
    for name, text, kind in texts:
        words = len(text.split())
        found.require(words >= _LEAST_WORDS[kind], f"{name}: {counted(words, 'word')}, too few for an agent")
        unfinished = _UNFINISHED.search(text.replace(GAP, ""))  # gaps of drafts are listed apart
        found.require(unfinished is None, f"{name}: it is unfinished ({unfinished and unfinished.group()})")
    if not specification.contract and not domain.self_reported:
        found.fail("contract: it does not say what the examiner asks")
    found.looked_at = counted(len(texts), "text")


def check_stubs(domain: Domain, found: Findings) -> None:
    """Each stub keeps its interface and says what is missing."""
    for backend, module in product(domain.backends, domain.modules):
        place = f"{module}.py, backend {backend}"
        try:
            stub = domain.module_text(module, backend=backend, start="stub")
            tree = parse(stub)
        except (DomainError, SyntaxError) as error:
            found.fail(f"{place}: {error}")
            continue
        interface = [(function, _says(function)) for function in _interface(tree)]
        raising = [(function, says) for function, says in interface if says is not None]
        found.require(bool(raising), f"{place}: no function of the stub raises NotImplementedError")
        for function, says in raising:
            found.require(says != "", f"{place}: NotImplementedError in {function.name} does not say what is missing")
            public = not function.name.startswith("_")
            if public and ast.get_docstring(function) is None:
                found.fail(f"{place}: {function.name} has no docstring; an agent knows its arguments from there")
    found.looked_at = counted(len(domain.backends) * len(domain.modules), "stub")


def check_workspace(domain: Domain, found: Findings) -> None:
    """A workspace holds no examiner, no held-out file, no solution of an editable module and nothing of discoenv."""
    trusted = {path.read_text(encoding="utf-8"): path.name for path in sorted(domain.directory.glob("*.py"))}
    number = 0
    for backend, dataset in product(domain.backends, domain.datasets):
        side = TaskSide(
            domain=domain.name,
            modules=tuple(domain.modules),
            datasets=(dataset,),
            backend=backend,
            scale=domain.scales(dataset)[0],
        )
        downloaded = {file.name for file in domain.specification.datasets[dataset].to_fetch}
        files = workspace_files(side)
        files |= {f"{DISCOVERED}/{name}": text for name, text in initial_modules(side).items()}
        solutions = {
            module: _solutions(domain.module_source(module, backend=backend), f"{module}.py")
            for module in domain.modules
            if not domain.self_reported
        }
        for name, text in files.items():
            number += 1
            place = f"backend {backend}: {name}"
            if text in trusted and text.strip():
                found.fail(f"{place}: it is {trusted[text]}, which the learner must not see")
            if Path(name).name in downloaded:
                found.fail(f"{place}: it is a file of the examiner's data")
            if str(domain.directory) in text:
                found.fail(f"{place}: it names the domain's folder on this machine")
            if name.endswith(".py") and name != "run_main.py" and _imports(text, "discoenv"):
                found.fail(f"{place}: it imports discoenv, which no learner can")
            squeezed = _squeeze(text)
            for module, parts in solutions.items():
                if any(part in squeezed for part in parts):
                    found.fail(f"{place}: it holds the solution of {module}.py, which is editable here")
    found.failures = list(dict.fromkeys(found.failures))
    workspaces = counted(len(domain.datasets) * len(domain.backends), "workspace")
    found.looked_at = f"{counted(number, 'file')} of {workspaces}"


def check_configs(domain: Domain, found: Findings) -> None:
    """Each dataset has the same keys at all its scales, and the scale that tasks have by default."""
    for dataset in domain.datasets:
        place = f"datasets/{dataset}/config.yaml"
        try:
            configs = {scale: domain.config(dataset, scale) for scale in domain.scales(dataset)}
        except DomainError as error:
            found.fail(str(error))
            continue
        keys = {key for config in configs.values() for key in config}
        for scale, config in configs.items():
            if lacking := sorted(keys - set(config)):
                found.fail(f"{place}: {scale} lacks {', '.join(lacking)}, which other scales have")
        if "small" not in configs and not domain.self_reported:
            found.fail(f"{place}: there is no scale 'small', which tasks have unless they say otherwise")
    found.looked_at = f"{counted(len(domain.datasets), 'dataset')} at their scales"


def check_lists(domain: Domain, found: Findings) -> None:
    """``quick`` and ``discobench`` name datasets that need no network and were calibrated."""
    specification = domain.specification
    task = quick_task(domain)
    shipped = baselines.entries(domain.directory / "baselines.json")
    lists: list[tuple[str, tuple[str, ...], Scale]] = [("quick", (*task.meta_train, *task.meta_test), "tiny")]
    if specification.quick is None:
        found.warn("quick: it is missing, so audits take the first module and the first two datasets")
    bench = specification.discobench
    if bench is None:
        found.warn("discobench: it is missing, so the domain has no DiscoBench task and no example")
    else:
        lists.append(("discobench", (*bench.meta_train, *bench.meta_test), "small"))
        for kind, sides in bench.splits.items():
            lists.append((f"discobench.{kind}", (*sides.meta_train, *sides.meta_test), "small"))
    for key, datasets, scale in lists:
        for dataset in datasets:
            place = f"{key}: {dataset}"
            found.require(specification.datasets[dataset].source == "offline", f"{place} has to be downloaded")
            if scale not in domain.scales(dataset):
                found.fail(f"{place} has no scale {scale}")
            elif Setting(domain, "default", dataset, scale).key not in shipped:
                found.fail(f"{place} has no baseline at scale {scale}")
    found.looked_at = "quick and discobench"


def check_breadth(domain: Domain, found: Findings) -> None:
    """There is enough to choose from, for a distribution of tasks that asks for generalisation."""
    offline = [
        name
        for name, entry in domain.specification.datasets.items()
        if entry.source == "offline" and "small" in domain.scales(name)
    ]
    if len(domain.modules) < 4:
        found.warn(f"{counted(len(domain.modules), 'module')}; a domain has four to seven, each with one role")
    if len(offline) < 6:
        found.warn(f"{counted(len(offline), 'dataset')} without downloads at scale small; a domain has six and more")
    found.looked_at = f"{counted(len(domain.modules), 'module')}, {counted(len(offline), 'dataset')} without downloads"


def check_baselines(domain: Domain, found: Findings, *, least_errors: float) -> None:
    """Baselines belong to this version and these modules, and are better than floors by ``least_errors``."""
    shipped = baselines.entries(domain.directory / "baselines.json")
    known = set()
    for backend, dataset in product(domain.backends, domain.datasets):
        declared = domain.specification.datasets[dataset]
        for scale in domain.scales(dataset):
            setting = Setting(domain, backend, dataset, scale)
            known.add(setting.key)
            if setting.key in shipped:
                _check_entry(setting, shipped[setting.key], found, least_errors)
            elif scale != "full" and declared.source == "offline" and scale not in declared.gpu:
                found.fail(f"baselines.json: {setting.key} is missing")
    for key in sorted(set(shipped) - known):
        found.fail(f"baselines.json: {key}: the domain has no such backend, dataset or scale")
    found.looked_at = counted(len(shipped), "baseline")


def _check_entry(setting: Setting, entry: baselines.Baseline, found: Findings, least_errors: float) -> None:
    domain, metric = setting.domain, setting.metric
    place = f"baselines.json: {setting.key}"
    if entry.domain_version != domain.version:
        found.fail(f"{place} was measured for version {entry.domain_version}; domain.yaml has {domain.version}")
    found.require(entry.metric == metric.name, f"{place} is of {entry.metric}, not {metric.name}")
    for module in domain.modules:
        size = module_code.size(domain.module_text(module, backend=setting.backend, start="base"))
        if entry.code_bytes.get(f"{module}.py") != size:
            found.warn(f"{place} was measured with another {module}.py; if it does something else, raise the version")
    distance = metric.sign * (entry.baseline.mean - entry.floor.mean)
    error = standard_error(entry)
    if distance <= 0:
        found.warn(f"{place}: the baseline ({entry.baseline.mean:.4g}) is not better than the floor "
                   f"({entry.floor.mean:.4g})")  # fmt: skip
    elif distance < least_errors * error:
        found.warn(f"{place}: the baseline is better than the floor by {distance / error:.2f} standard errors only")
    most_s = _MOST_S.get(setting.scale)
    if most_s is not None and entry.work_s > most_s:
        found.warn(f"{place}: an exam takes {entry.work_s:.0f} s, more than {most_s:.0f}")


def standard_error(entry: baselines.Baseline) -> float:
    """Standard error of the difference between the means of baseline and floor, in the metric's unit."""
    parts = [sample.std**2 / len(sample.values) for sample in (entry.baseline, entry.floor) if sample.values]
    return float(np.sqrt(sum(parts)))


def check_candidates(domain: Domain, found: Findings) -> None:
    """Each candidate has modules of the domain, as Python that a learner can import."""
    candidates = domain.candidates()
    for candidate, modules in candidates.items():
        found.require(bool(modules), f"candidates/{candidate}: there is no module in it")
        for name, text in modules.items():
            place = f"candidates/{candidate}/{name}"
            module = name.removesuffix(".py")
            found.require(module in domain.modules, f"{place}: the domain has no module {module}")
            try:
                found.require(not _imports(text, "discoenv"), f"{place}: it imports discoenv, which no learner can")
            except SyntaxError as error:
                found.fail(f"{place}: not valid Python: line {error.lineno}: {error.msg}")
    if not candidates:
        found.warn("candidates: there are none, so scripted agents have nothing to play")
    found.looked_at = counted(len(candidates), "candidate")


def check_ladder(domain: Domain, found: Findings) -> None:
    """Each known method is a module that a learner can import; what was measured of it is of its present text."""
    ladders = ladder_of(domain)
    for module, ladder in ladders.items():
        for name in ladder.methods:
            place = f"ladder/{module}/{name}.py"
            try:
                imports = _imports(method_text(domain, module, name), "discoenv")
                found.require(not imports, f"{place}: it imports discoenv, which no learner can")
            except SyntaxError as error:
                found.fail(f"{place}: not valid Python: line {error.lineno}: {error.msg}")
    lacking = [module for module in domain.modules if module not in ladders]
    if lacking:
        found.warn(f"ladder: no known methods for {', '.join(lacking)}")
    found.looked_at = counted(sum(len(ladder.methods) for ladder in ladders.values()), "known method")


def check_exploits(domain: Domain, found: Findings) -> None:
    """The exploits that can be tried on the domain are Python, those of its ``exploits.py`` included."""
    exploits = exploits_of(domain)
    for exploit in exploits:
        for code in (exploit.code, exploit.after):
            try:
                parse(textwrap.dedent(code))
            except SyntaxError as error:
                found.fail(f"exploit {exploit.name!r}: not valid Python: line {error.lineno}: {error.msg}")
    found.looked_at = counted(len(exploits), "exploit")


def check_packages(domain: Domain, found: Findings) -> None:
    """What the domain and its quick datasets require is installed."""
    for name in packages.missing(domain.specification.requirements):
        found.fail(f"requirements: {name} is not installed")
    task = quick_task(domain)
    for dataset in (*task.meta_train, *task.meta_test):
        for name in domain.missing_packages(dataset):
            found.fail(f"datasets.{dataset}.requires: {name} cannot be imported")
    found.looked_at = ", ".join(domain.specification.requirements)


def _collect(found: Findings, read: Callable[[], object]) -> None:
    """Read something of a domain; if that is an error of the domain's, it is a finding."""
    try:
        read()
    except (DomainError, UnicodeDecodeError) as error:
        found.fail(str(error))


def _interface(tree: ast.Module | ast.ClassDef) -> Iterator[_Function]:
    """Functions and methods, but for those inside functions."""
    for node in tree.body:
        if isinstance(node, _Function):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _interface(node)


def _says(function: _Function) -> str | None:
    """What a function says in the ``NotImplementedError`` that it raises; None if it raises none."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            call = node.exc
            name = call.func if isinstance(call, ast.Call) else call
            if isinstance(name, ast.Name) and name.id == "NotImplementedError":
                return ast.unparse(call.args[0]) if isinstance(call, ast.Call) and call.args else ""
    return None


def _imports(text: str, package: str) -> bool:
    """Whether Python code imports a package."""
    for node in ast.walk(parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.partition(".")[0] == package for name in names):
            return True
    return False


def _solutions(source: str, name: str) -> list[str]:
    """The marked parts of a module, squeezed, but for those that are too short to be distinguished from other code."""
    parts = (_squeeze("".join(lines)) for lines in stubs.solutions(source, name))
    return [part for part in parts if len(part) >= _SHORTEST_SOLUTION]


def _squeeze(text: str) -> str:
    """Text without white space, so that indentation and line breaks do not count."""
    return re.sub(r"\s+", "", text)


def _files(folder: Path) -> list[Path]:
    """Files below a folder, but for what Python and editors leave behind."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )
