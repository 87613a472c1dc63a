"""DiscoGen's flat form of a task, such as::

    train_task_id: [MinAtar/Breakout, MinAtar/Freeway]
    test_task_id: [MinAtar/Asterix, MinAtar/SpaceInvaders]
    source_path: task_src/OnPolicyRL
    template_backend: default
    change_loss: true
    eval_type: performance
    use_base: false

All keys but the first two have defaults. Where a domain comes with models, ``train_model_id`` and ``test_model_id``
name one for all datasets of a side, or one for each. ``domain`` may name the domain, and has to where the names fit
several: those of a pack and those of a domain that comes with discoenv may be the same. The keys ``scale``,
``baseline_scale``, ``train_seeds`` and ``test_seeds`` mean what they mean in :class:`Task`. Unlike a task, a
configuration may have no editable module, and a dataset on both sides: then it is a view of the code base.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from discoenv.errors import TaskError, UnknownName
from discoenv.tasks import discobench
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import domains_beside, get_domain, get_domains
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Side, Task, TaskSide

#: The folder that workspaces are made in by default.
SOURCE_ROOT = "task_src"
_CHANGE = "change_"
_SIDES = ("train", "test")

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
        models = [f"{side}_model_id" for side in _SIDES] if domain.models else []
        for key in config:
            if key not in changes and key not in [*plain, *models, "domain"]:
                raise UnknownName("key", str(key), [*plain, *models, *changes], f"{source} ({domain.name})")
        if config.get("domain", domain.name) != domain.name:
            raise TaskError(f"{source}: domain: it is of {config['domain']}, not of {domain.name}")
        for key in changes:
            if not isinstance(config.get(key, False), bool):
                raise TaskError(f"{source}: {key}: must be true or false, not {config[key]!r}")
        settings = {
            "source_path": f"{SOURCE_ROOT}/{domain.name}",
            "scale": domain.default_scale,
            **{key: value for key, value in config.items() if key in plain},
            **_datasets(domain, config, source),
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
                domain.require_scale(name, self.scale, where)

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


def _datasets(domain: Domain, config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The datasets of both sides, by their own names and each with its model if the domain has models."""
    found = {}
    for side in _SIDES:
        names, models = config.get(f"{side}_task_id"), config.get(f"{side}_model_id")
        if domain.models and isinstance(names, str | list | tuple):
            names = domain.with_models(names, models, f"{source}: {side}_model_id")
        if f"{side}_task_id" in config:
            found[f"{side}_task_id"] = _canonical(domain, names)
    return found


def _canonical(domain: Domain, datasets: Any) -> Any:
    """Names of datasets, for those that are given by an alias their own; anything that is no name as it is."""
    if isinstance(datasets, (list, tuple)):
        return tuple(_canonical(domain, each) for each in datasets)
    return domain.canonical(datasets) if isinstance(datasets, str) else datasets


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
    """The keys that every configuration has; that of a pack's domain names it. No ``source_path`` is ``task_src/…``."""
    sides: dict[str, Any] = {}
    for side, names in zip(_SIDES, (meta_train, meta_test), strict=True):
        pairs = [domain.without_model(name) for name in names]
        sides[f"{side}_task_id"] = [dataset for dataset, _ in pairs]
        if domain.models:
            models = [model for _, model in pairs]
            sides[f"{side}_model_id"] = models[:1] if len(set(models)) == 1 else models
    return {
        **sides,
        **({"domain": domain.name} if domain.pack else {}),
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
    domain = infer_domain(config, source, str(defaults.get("domain", "")))
    rest = {key: value for key, value in defaults.items() if key != "domain"}
    return task_from_config(domain, {**_keys(rest), **config}, source)


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


def infer_domain(config: Mapping[str, Any], source: str = "config", hint: str = "") -> str:
    """The domain of a configuration: the one that it names, or the only one that has its modules, datasets and scale.

    Of several that fit it is ``hint``, or the one of the pack in whose folder the file ``source`` lies. A domain that
    comes with discoenv is never taken for a pack's.

    Raises:
        TaskError: there is none, or more than one.
        UnknownName: the domain that it names does not exist.
    """
    named = config.get("domain")
    if named is not None:
        return get_domain(str(named)).name
    found = [name for name in get_domains() if _fits(get_domain(name), config)]
    if len(found) > 1 and hint in found:
        return hint
    if len(found) > 1 and Path(source).is_file():
        beside = domains_beside(Path(source))
        found = [name for name in found if name in beside] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise TaskError(
            f"{source}: it could be of {', '.join(found)}; say which domain it is of: add the key `domain: {found[0]}`"
        )
    raise TaskError(f"{source}: no domain has all of its modules and datasets; say which domain it is of")


def _fits(domain: Domain, config: Mapping[str, Any]) -> bool:
    """Whether a domain has all modules and datasets that a configuration names, at the scale that it names."""
    modules = {str(key).removeprefix(_CHANGE) for key in config if str(key).startswith(_CHANGE)}
    datasets: set[str] = set()
    for side in _SIDES:
        value = config.get(f"{side}_task_id")
        datasets.update(map(str, value) if isinstance(value, (list, tuple)) else () if value is None else [str(value)])
        if f"{side}_model_id" in config and not domain.models:
            return False
    known = {*domain.datasets, *(domain.without_model(name)[0] for name in domain.datasets)}
    if not (modules <= set(domain.modules) and {domain.canonical(name) for name in datasets} <= known):
        return False
    return "scale" not in config or any(config["scale"] in domain.scales(name) for name in domain.datasets)
