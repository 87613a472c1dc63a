"""DiscoGen's flat form of a task, such as::

    train_task_id: [MinAtar/Breakout, MinAtar/Freeway]
    test_task_id: [MinAtar/Asterix, MinAtar/SpaceInvaders]
    source_path: task_src/OnPolicyRL
    template_backend: default
    change_loss: true
    eval_type: performance
    use_base: false

All keys but the first two have defaults. The keys ``scale``, ``baseline_scale``, ``train_seeds`` and ``test_seeds``
mean what they mean in :class:`Task`. Unlike a task, a configuration may have no editable module, and a dataset on
both sides: then it is a view of the code base.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from discoenv.errors import TaskError, UnknownName
from discoenv.tasks import discobench
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Side, Task, TaskSide

#: The folder that workspaces are made in by default.
SOURCE_ROOT = "task_src"
_CHANGE = "change_"

_Datasets = Annotated[
    tuple[StrictStr, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]


class Configuration(BaseModel):
    """A configuration, checked against its domain. Fields are the keys, but ``change_*``, which are in ``modules``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: str
    modules: tuple[str, ...]
    train_task_id: _Datasets
    test_task_id: _Datasets
    source_path: Annotated[StrictStr, Field(min_length=1)]
    template_backend: StrictStr = "default"
    eval_type: StrictStr = "performance"
    use_base: StrictBool = False
    scale: Scale = "small"
    baseline_scale: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1.0
    train_seeds: Annotated[StrictInt, Field(ge=1, le=1000)] = 1
    test_seeds: Annotated[StrictInt, Field(ge=1, le=1000)] = 2

    @classmethod
    def read(cls, domain: Domain, config: Mapping[str, Any], source: str = "config") -> Configuration:
        """Check a configuration of ``domain``; ``source`` names it in errors.

        Raises:
            TaskError: a key is missing or a value is wrong.
            UnknownName: a key, or the dataset, module or backend that it names, does not exist.
        """
        changes = {f"{_CHANGE}{module}": module for module in domain.modules}
        plain = [key for key in cls.model_fields if key not in ("domain", "modules")]
        for key in config:
            if key not in changes and key not in plain:
                raise UnknownName("key", str(key), [*plain, *changes], f"{source} ({domain.name})")
        for key in changes:
            if not isinstance(config.get(key, False), bool):
                raise TaskError(f"{source}: {key}: must be true or false, not {config[key]!r}")
        settings = {
            "source_path": f"{SOURCE_ROOT}/{domain.name}",
            "scale": _default_scale(domain),
            **{key: value for key, value in config.items() if key in plain},
            **{key: _canonical(domain, config[key]) for key in ("train_task_id", "test_task_id") if key in config},
            "domain": domain.name,
            "modules": tuple(module for key, module in changes.items() if config.get(key, False)),
        }
        try:
            found = cls.model_validate(settings)
        except ValidationError as error:
            faults = [(".".join(str(part) for part in fault["loc"]), fault["msg"]) for fault in error.errors()]
            raise TaskError("\n".join(f"{source}: {key}: {message}" for key, message in faults)) from error
        found._check(domain, source)
        return found

    def _check(self, domain: Domain, source: str) -> None:
        if self.template_backend not in domain.backends:
            where = f"{domain.name} ({source}: template_backend)"
            raise UnknownName("backend", self.template_backend, domain.backends, where)
        for key, names in (("train_task_id", self.train_task_id), ("test_task_id", self.test_task_id)):
            for name in names:
                where = f"{domain.name} ({source}: {key})"
                if name not in domain.datasets:
                    raise UnknownName("dataset", name, domain.datasets, where)
                if names.count(name) > 1:
                    raise TaskError(f"{source}: {key}: {name} is listed twice")
                if self.scale not in domain.scales(name):
                    raise UnknownName("scale", self.scale, domain.scales(name), f"{where}, dataset {name}")

    def side(self, side: Side) -> TaskSide:
        """One side, ready to be laid out."""
        return TaskSide(datasets=self.train_task_id if side == "meta_train" else self.test_task_id, **self._code_base())

    def task(self, source: str = "config") -> Task:
        """The task.

        Raises:
            TaskError: it is only a view of the code base: no module is editable, or a dataset is on both sides.
        """
        if not self.modules:
            raise TaskError(f"{source}: {_CHANGE}<module>: no module is editable; set at least one to true")
        both = [name for name in self.test_task_id if name in self.train_task_id]
        if both:
            raise TaskError(f"{source}: test_task_id: {', '.join(both)} is in train_task_id too")
        return Task(
            meta_train=self.train_task_id,
            meta_test=self.test_task_id,
            train_seeds=self.train_seeds,
            test_seeds=self.test_seeds,
            **self._code_base(),
        )

    def _code_base(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "modules": self.modules,
            "backend": self.template_backend,
            "objective": self.eval_type,
            "start": "base" if self.use_base else "stub",
            "scale": self.scale,
            "baseline_scale": self.baseline_scale,
        }


def _canonical(domain: Domain, datasets: Any) -> Any:
    """Names of datasets, for those that are given by an alias their own; anything that is no name as it is."""
    if isinstance(datasets, (list, tuple)):
        return tuple(_canonical(domain, each) for each in datasets)
    return domain.canonical(datasets) if isinstance(datasets, str) else datasets


def _default_scale(domain: Domain) -> Scale:
    """``small``, or for domains that lack it (of packs in DiscoGen's format) another one that all datasets have."""
    scales: tuple[Scale, ...] = ("small", "full", "tiny")
    common = [scale for scale in scales if all(scale in domain.scales(dataset) for dataset in domain.datasets)]
    return common[0] if common else "small"


def task_from_config(domain: str, config: Mapping[str, Any], source: str = "config") -> Task:
    """The task that a configuration of ``domain`` describes.

    Raises:
        TaskError: a key is missing, a value is wrong, no module is editable, or a dataset is on both sides.
        UnknownName: a key, or what it names, does not exist.
    """
    return Configuration.read(get_domain(domain), config, source).task(source)


def config_from_task(task: Task, source_path: str | None = None) -> dict[str, Any]:
    """A task as a configuration; :func:`task_from_config` makes an equal task of it.

    ``scale`` is always among the keys, the other keys that DiscoGen does not know only if they differ from the default.
    """
    domain = task.resolve()
    fields = Configuration.model_fields
    extra = {key: getattr(task, key) for key in ("baseline_scale", "train_seeds", "test_seeds")}
    return flat_config(
        domain,
        modules=task.modules,
        meta_train=task.meta_train,
        meta_test=task.meta_test,
        backend=task.backend,
        source_path=source_path,
    ) | {
        "use_base": task.start == "base",
        "eval_type": task.objective,
        "scale": task.scale,
        **{key: value for key, value in extra.items() if value != fields[key].default},
    }


def flat_config(
    domain: Domain,
    *,
    modules: tuple[str, ...],
    meta_train: tuple[str, ...],
    meta_test: tuple[str, ...],
    backend: str = "default",
    source_path: str | None = None,
) -> dict[str, Any]:
    """The keys that every configuration has. A ``source_path`` of None means ``task_src/<domain>``."""
    return {
        "train_task_id": list(meta_train),
        "test_task_id": list(meta_test),
        "source_path": source_path or f"{SOURCE_ROOT}/{domain.name}",
        "template_backend": backend,
        **{f"{_CHANGE}{module}": module in modules for module in domain.modules},
    }


def discobench_config(name: str) -> dict[str, Any]:
    """A DiscoBench task as a configuration whose ``source_path`` has the task's name.

    Raises:
        UnknownName: there is no such task; the message suggests one.
    """
    return _fixed_config(discobench.discobench_task(name), name)


def example_config(domain: str) -> dict[str, Any]:
    """A domain's example task as a configuration.

    Raises:
        UnknownName: the domain does not exist, or has no example.
    """
    return _fixed_config(discobench.example_task(domain), domain)


def read_config(config: Mapping[str, Any], defaults: Mapping[str, Any], source: str = "config") -> Task:
    """The task that a configuration of an unknown domain describes: the one whose modules and datasets it names.

    Args:
        config: the configuration.
        defaults: fields of :class:`Task` that it has where the configuration leaves them out.
        source: names the configuration in errors.

    Raises:
        TaskError: as :func:`task_from_config`; or no domain fits, or more than one does.
        UnknownName: a key, or what it names, does not exist.
    """
    return task_from_config(infer_domain(config, source), {**_keys(defaults), **config}, source)


def _keys(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a task, but for its domain, modules and datasets, by the keys of a configuration."""
    names = {"backend": "template_backend", "objective": "eval_type"}
    keys = {names.get(field, field): value for field, value in fields.items()}
    return {"use_base": keys.pop("start") == "base", **keys} if "start" in keys else keys


def _fixed_config(task: Task, name: str) -> dict[str, Any]:
    """The keys of a configuration that every task of DiscoBench and every example has."""
    return flat_config(
        get_domain(task.domain),
        modules=task.modules,
        meta_train=task.meta_train,
        meta_test=task.meta_test,
        source_path=f"{SOURCE_ROOT}/{name}",
    )


def _has_all(domain: Domain, datasets: Collection[str]) -> bool:
    return {domain.canonical(name) for name in datasets} <= set(domain.datasets)


def infer_domain(config: Mapping[str, Any], source: str = "config") -> str:
    """The only domain that has all modules and datasets of a configuration; those of packs stand back.

    Raises:
        TaskError: there is none, or more than one.
    """
    modules = {str(key).removeprefix(_CHANGE) for key in config if str(key).startswith(_CHANGE)}
    datasets: set[str] = set()
    for key in ("train_task_id", "test_task_id"):
        value = config.get(key)
        datasets.update(map(str, value) if isinstance(value, (list, tuple)) else () if value is None else [str(value)])
    found = [
        name
        for name in get_domains()
        if modules <= set(get_domain(name).modules) and _has_all(get_domain(name), datasets)
    ]
    native = [name for name in found if "/" not in name]  # rather than a pack's domain
    if len(native or found) == 1:
        return (native or found)[0]
    reason = f"it could be of {', '.join(found)}" if found else "no domain has all of its modules and datasets"
    raise TaskError(f"{source}: {reason}; say which domain it is of")
