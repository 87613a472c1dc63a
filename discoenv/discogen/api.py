"""Tasks as files, by hand or sampled: the functions of DiscoGen, with their names and arguments.

Where DiscoGen's behaviour loses work or depends on chance, this differs: a folder that is no workspace is never wiped,
a sampled task lies in a folder of its domain's, and a meta-test build can start from nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv import objectives
from discoenv.discogen.config import (
    Configuration,
    config_from_task,
    discobench_config,
    example_config,
    flat_config,
    task_from_config,
)
from discoenv.errors import TaskError
from discoenv.scoring import offered
from discoenv.tasks.discobench import domain_of, get_discobench_tasks
from discoenv.tasks.reading import read_file, read_task
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.sampling import MAX_ATTEMPTS, available_datasets, count_tasks, sample_choices
from discoenv.tasks.specification import Scale, Split
from discoenv.tasks.task import Task, TaskSide
from discoenv.tasks.workspace import lay_out_in_place

__all__ = [
    "config_from_task",
    "create_config",
    "create_discobench",
    "create_task",
    "get_discobench_tasks",
    "get_domains",
    "get_modules",
    "sample_task_config",
    "sizes",
    "task_from_config",
]


def get_modules() -> dict[str, list[str]]:
    """Names of each domain's modules, by domain."""
    return {name: get_domain(name).modules for name in get_domains()}


def create_config(task_domain: str) -> dict[str, Any]:
    """The default configuration of a domain: no module is editable, and every dataset is on both sides.

    It is a starting point: set ``change_<module>`` to True, and choose ``train_task_id`` and ``test_task_id``.

    Raises:
        UnknownName: the domain does not exist; the message suggests one.
    """
    domain = get_domain(task_domain)
    datasets = tuple(name for name in domain.datasets if domain.specification.datasets[name].sampled)
    return flat_config(domain, modules=(), meta_train=datasets, meta_test=datasets)


def create_task(
    task_domain: str,
    test: bool = False,
    example: bool = False,
    use_base: bool | None = None,
    no_data: bool = False,
    config_path: str | Path | None = None,
    config_dict: Mapping[str, Any] | None = None,
    eval_type: str | None = None,
    baseline_scale: float | None = None,
    cache_root: str | Path | None = None,
    *,
    scale: Scale | None = None,
) -> Path:
    """Write a task's workspace, one side of it, to the ``source_path`` of its configuration.

    A meta-train build (``test=False``) replaces the workspace that is there. A meta-test build keeps its
    ``discovered/``, adds the modules that are missing there, and replaces everything else. The configuration is the
    domain's default one (see :func:`create_config`), unless ``example``, ``config_path`` or ``config_dict`` is given.

    Args:
        task_domain: name of the domain.
        test: lay out the meta-test datasets instead of the meta-train ones.
        example: use the domain's example configuration.
        use_base: whether editable modules start from the baseline implementation; None: as configured, or False.
        no_data: do not fetch data into the user's cache. Only domains of packs fetch data; those that come with
            discoenv need none, so this changes nothing for them.
        config_path: YAML file of the configuration.
        config_dict: the configuration.
        eval_type: the objective (see :func:`discoenv.objectives.names`); None: as configured, or ``performance``.
        baseline_scale: for objectives with a threshold, its place between floor (0) and baseline (1); None: as
            configured, or 1.
        cache_root: where fetched data is kept; None: the user's cache. The workspace links
            to it (``<dataset>/data``).
        scale: how much compute one run takes; None: as configured, or :attr:`Domain.default_scale`.

    Returns:
        The workspace. A relative ``source_path`` is relative to the working directory; but within a workspace whose
        path ends in ``source_path``, it is that workspace.

    Raises:
        TaskError: the configuration is wrong, or the folder holds something else than such a workspace.
        UnknownName: a name does not exist; the message suggests one.
        DatasetUnavailable: the data of a dataset cannot be fetched, and ``no_data`` is False.
    """
    domain = get_domain(task_domain)
    if sum([example, config_path is not None, config_dict is not None]) > 1:
        raise TaskError("give only one of example, config_path and config_dict")
    if example:
        config, source = example_config(task_domain), f"example of {task_domain}"
    elif config_path is not None:
        config, source = read_file(config_path), str(config_path)
    else:
        config, source = dict(create_config(task_domain) if config_dict is None else config_dict), "config"
    given = {"use_base": use_base, "eval_type": eval_type, "baseline_scale": baseline_scale, "scale": scale}
    config |= {key: value for key, value in given.items() if value is not None}
    configuration = Configuration.read(domain, config, source)
    _require_objective(configuration.eval_type)
    layout = configuration.side("meta_test" if test else "meta_train")
    data = {} if no_data else _fetched(layout, None if cache_root is None else Path(cache_root).expanduser().resolve())
    workspace = _build(layout, _destination(configuration.source_path), keep=test)
    for dataset, place in data.items():
        (workspace / dataset / "data").symlink_to(place)
    return workspace


def create_discobench(
    task_name: str,
    test: bool = False,
    use_base: bool = False,
    no_data: bool = False,
    eval_type: str | None = "performance",
    cache_root: str | Path | None = None,
    source_path: str | None = None,
    baseline_scale: float = 1.0,
    *,
    scale: Scale | None = None,
) -> Path:
    """Write the workspace of a DiscoBench task, to ``task_src/<task_name>`` or ``source_path``.

    ``task_name`` is one of :func:`get_discobench_tasks`; the other arguments, the result and the errors are those of
    :func:`create_task`.
    """
    config = discobench_config(task_name)
    if source_path is not None:
        config["source_path"] = str(source_path)
    return create_task(
        domain_of(task_name),
        test=test,
        use_base=use_base,
        no_data=no_data,
        config_dict=config,
        eval_type=eval_type,
        baseline_scale=baseline_scale,
        cache_root=cache_root,
        scale=scale,
    )


def sample_task_config(
    p_edit: float = 0.3,
    p_data: Sequence[float] = (0.4, 0.4, 0.2),
    p_use_base: float = 0.5,
    eval_type: str = "random",
    use_backends: bool = True,
    source_path: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
    *,
    scale: Scale | None = None,
    domains: Sequence[str] | None = None,
    gpu: bool = False,
    download: bool = False,
    split: Split = "random",
    allow_discobench: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Sample a random task. The same seed gives the same task on every platform and Python version.

    Args:
        p_edit: probability that a module is editable.
        p_data: two probabilities of a dataset falling into meta-train and meta-test, with a sum of at most 1; or three
            weights, of meta-train, meta-test and neither.
        p_use_base: probability that the editable modules start from the baseline implementation.
        eval_type: the objective; ``random`` draws one of :func:`discoenv.objectives.names`.
        use_backends: draw from all backends of the domain rather than taking ``default``.
        source_path: where the task will be created; None: ``task_src/<domain>``.
        max_attempts: how often modules and datasets are sampled until there are some of each.
        rng, seed: source of randomness; give one of them, or none for a task that cannot be repeated.
        scale: how much compute one run takes; datasets that lack the scale are not sampled. None: ``small``, and for
            domains of packs the one that they have.
        domains: candidates; None: all.
        gpu, download: whether datasets that need a GPU, or a download, may be sampled.
        split: how meta-test datasets differ from those of meta-train: ``random``, ``shift`` (other families) or
            ``scale`` (larger ones).
        allow_discobench: whether modules and datasets may be those of a DiscoBench task.

    Returns:
        The domain's name, and the configuration for :func:`create_task`.

    Raises:
        TaskError: an argument is out of range, or (SamplingFailed, also a RuntimeError) the attempts were used up.
        UnknownName: a domain or objective does not exist; the message suggests one.
    """
    if rng is not None and seed is not None:
        raise TaskError("give either seed or rng, not both")
    choices = sample_choices(
        np.random.default_rng(seed) if rng is None else rng,
        domains=domains,
        scale=scale,
        p_edit=p_edit,
        p_data=p_data,
        p_base=p_use_base,
        objectives=_objectives(eval_type),
        backends=None if use_backends else ("default",),
        gpu=gpu,
        download=download,
        split=split,
        usable=offered.undoubted(scale),
        max_attempts=max_attempts,
        allow_discobench=allow_discobench,
    )
    config = flat_config(
        choices.domain,
        modules=choices.modules,
        meta_train=choices.meta_train,
        meta_test=choices.meta_test,
        backend=choices.backend,
        source_path=source_path,
    )
    config |= {"use_base": choices.start == "base", "eval_type": choices.objective, "scale": choices.scale}
    return choices.domain.name, config


def sizes(scale: Scale | None = None, *, gpu: bool = False) -> dict[str, dict[str, int]]:
    """How many different tasks each domain has, and what that is computed from (see :func:`count_tasks`).

    Args:
        scale: count only datasets that can be used here at this scale, and that the sampler offers
            (:mod:`discoenv.scoring.offered`); None counts all.
        gpu: whether there is a GPU here.

    Returns:
        By domain: ``modules``, ``datasets`` (of any backend), ``backends``, ``objectives`` and ``tasks``.
    """
    found = {}
    for name in get_domains():
        domain = get_domain(name)
        every = [dataset for dataset in domain.datasets if domain.specification.datasets[dataset].sampled]
        datasets = every if scale is None else available_datasets(domain, scale, gpu=gpu)
        offers = {each: list(datasets) for each in domain.backends}
        if scale is not None:
            ask = offered.undoubted(scale)
            offers = {each: [name for name in datasets if ask(domain, each, name)] for each in domain.backends}
        modules, kinds = len(domain.modules), len(_objectives("random"))
        found[name] = {
            "modules": modules,
            "datasets": len(set().union(*offers.values())),
            "backends": len(domain.backends),
            "objectives": kinds,
            "tasks": sum(count_tasks(modules, len(each), backends=1, objectives=kinds) for each in offers.values()),
        }
    return found


def read(task: str | Path) -> TaskSide | Task:
    """What :func:`discoenv.tasks.reading.read_task` reads; or of a folder, the task or the side of one in it.

    Raises:
        TaskError: it cannot be read, or is not valid.
        UnknownName: there is no such file, folder or DiscoBench task; or a name in it does not exist.
    """
    path = Path(task)
    if not path.is_dir():
        return read_task(task)
    content = read_file(path / "task.yaml")
    kind: type[TaskSide] | type[Task] = TaskSide if "datasets" in content else Task
    return kind.parse(content, str(path / "task.yaml"))


def _objectives(eval_type: str) -> list[str]:
    if eval_type == "random":
        return objectives.names()
    objectives.get(eval_type)
    return [eval_type]


def _require_objective(eval_type: str) -> None:
    if eval_type == "random":
        raise TaskError("eval_type: 'random' is for sampling; a task has one objective")
    _objectives(eval_type)


def _fetched(layout: TaskSide, cache_root: Path | None) -> dict[str, Path]:
    """Where the data of those datasets is that have any besides the files of their workspace."""
    domain = layout.resolve()
    places = {dataset: domain.data(dataset, cache_root) for dataset in layout.datasets}
    return {dataset: place for dataset, place in places.items() if place is not None}


def _destination(source_path: str) -> Path:
    path = Path(source_path).expanduser()
    if not path.is_absolute():
        here = Path.cwd()
        for folder in (here, *here.parents):
            if folder.parts[-len(path.parts) :] == path.parts and _domain_in(folder) is not None:
                return folder
    return path.resolve()


def _build(layout: TaskSide, destination: Path, *, keep: bool) -> Path:
    """Lay out a workspace where there is nothing, or one already."""
    if destination.exists() and not destination.is_dir():
        raise TaskError(f"{destination}: is a file, so no task can be created there; change source_path")
    if destination.is_dir() and any(destination.iterdir()):
        present = _domain_in(destination)
        if present is None:
            raise TaskError(
                f"{destination}: holds files and is not a discoenv workspace (no task.yaml of a task), so it is not "
                "wiped; change source_path, or empty the folder yourself"
            )
        if keep and present != layout.domain:
            raise TaskError(
                f"{destination}: holds a task of {present}, whose discovered/ does not fit a meta-test of "
                f"{layout.domain}; change source_path"
            )
        within = next(destination.glob("*/task.yaml"), None)
        if within is not None:
            raise TaskError(f"{destination}: holds another workspace, {within.parent}, so it is not wiped; move that")
    destination.parent.mkdir(parents=True, exist_ok=True)
    return lay_out_in_place(layout, destination, keep_discovered=keep)


def _domain_in(folder: Path) -> str | None:
    """The domain of the workspace in a folder; None if it is no workspace."""
    try:
        text = (folder / "task.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    domain = re.search(r"^domain: (\S+)$", text, flags=re.MULTILINE)
    return domain[1] if domain and re.search(r"^datasets:$", text, flags=re.MULTILINE) else None
