"""What a task is: a validated, serialisable :class:`Task` with a stable identity.

A :class:`TaskSide` is one side of a task, meta-train or meta-test. A workspace is made from it, and it does not know
the other side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from discoenv.errors import DiscoenvError, TaskError
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.specification import Metric, Scale
from discoenv.tasks.yaml_text import dump, load_untrusted

Side = Literal["meta_train", "meta_test"]
#: A number of exams per dataset, or ``auto``: as many as :mod:`discoenv.scoring.seeds` recommends. A task has a number.
Seeds = int | Literal["auto"]
#: The number of exams per dataset of a side of a task.
SeedsOf = Callable[["Task", Side], int]
Start = Literal["stub", "base"]
#: Most exams per dataset.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Setting:
    """What a baseline, a cache entry and a compute budget belong to: one dataset of a domain, a backend and a scale."""

    domain: Domain
    backend: str
    dataset: str
    scale: Scale

    @property
    def metric(self) -> Metric:
        """The metric that the dataset is scored by."""
        return self.domain.metric(self.dataset)

    @property
    def wants_gpu(self) -> bool:
        """Whether exams go to a GPU if there is one."""
        return self.domain.wants_gpu(self.dataset, self.scale)

    @property
    def key(self) -> str:
        """``<backend>:<dataset>:<scale>``, its name in ``baselines.json``."""
        return f"{self.backend}:{self.dataset}:{self.scale}"

    def __str__(self) -> str:
        return f"{self.domain.name}, {self.dataset}, {self.backend}, {self.scale}"


class Selection(BaseModel):
    """What a task and its two sides have in common.

    Attributes:
        domain: name of the domain.
        modules: the editable modules; all others keep their base implementation.
        backend: the domain's code base.
        objective: what the reward is made of (see :mod:`discoenv.objectives`).
        start: ``stub`` (interfaces only) or ``base`` (the baseline implementation).
        scale: how much compute one run takes.
        baseline_scale: for objectives with a threshold, its place between floor (0) and baseline (1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: str
    modules: tuple[str, ...]
    backend: str = "default"
    objective: str = "performance"
    start: Start = "stub"
    scale: Scale = "small"
    baseline_scale: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1.0

    @field_validator("datasets", "meta_train", "meta_test", mode="after", check_fields=False)
    @classmethod
    def _canonical(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Names of datasets, for those that are given by an alias their own; what is unknown is found by resolve()."""
        try:
            domain = get_domain(str(info.data.get("domain")))
        except DiscoenvError:
            return names
        return tuple(map(domain.canonical, names))

    def resolve(self) -> Domain:
        """The domain, after checking that every name exists there.

        Raises:
            UnknownName: the domain, a module, a dataset, the backend or the scale does not exist.
        """
        domain = get_domain(self.domain)
        domain.require(backend=self.backend)
        for module in self.modules:
            domain.require(module=module)
        for dataset in self._datasets():
            domain.require(dataset=dataset)
            domain.require_scale(dataset, self.scale)
        return domain

    def setting(self, dataset: str) -> Setting:
        """One dataset with the backend and the scale of this task."""
        return Setting(self.resolve(), self.backend, dataset, self.scale)

    def _datasets(self) -> tuple[str, ...]:
        raise NotImplementedError

    def to_yaml(self) -> str:
        """This as YAML; :meth:`from_yaml` reads it back to an equal object."""
        return dump(self.model_dump(mode="json"))

    @classmethod
    def from_yaml(cls, text: str, source: str = "task") -> Self:
        """Read from YAML; ``source`` names the text in errors.

        Raises:
            TaskError: not YAML, a key is unknown or missing, or a value is wrong.
        """
        try:
            content = load_untrusted(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise TaskError(f"{source}: not valid YAML: {error}") from error
        return cls.parse(content, source)

    @classmethod
    def parse(cls, task: Self | str | Path | dict[str, Any], source: str = "task") -> Self:
        """From what users write: an object of this class, a dict, or the path of a YAML file.

        Raises:
            TaskError: it cannot be read, or is not valid.
        """
        if isinstance(task, cls):
            return task
        if isinstance(task, (str, Path)):
            try:
                text = Path(task).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise TaskError(f"{task}: cannot be read as a task's YAML file ({reason})") from None
            return cls.from_yaml(text, str(task))
        try:
            return cls.model_validate(task)
        except ValidationError as error:
            lines = [
                f"{source}: {'.'.join(str(part) for part in fault['loc']) or 'top level'}: {fault['msg']}"
                for fault in error.errors()
            ]
            raise TaskError("\n".join(lines)) from error


class TaskSide(Selection):
    """One side of a task: a code base with the datasets of that side. ``modules`` may be empty."""

    datasets: tuple[str, ...] = Field(min_length=1)

    def _datasets(self) -> tuple[str, ...]:
        return self.datasets


class Task(Selection):
    """One task: a code base, and which datasets are on which side.

    Attributes:
        meta_train: datasets that the agent may train on while it works.
        meta_test: datasets, disjoint from these, that decide the reward.
        train_seeds, test_seeds: runs per meta-train and meta-test dataset.
    """

    modules: tuple[str, ...] = Field(min_length=1)
    meta_train: tuple[str, ...] = Field(min_length=1)
    meta_test: tuple[str, ...] = Field(min_length=1)
    train_seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] = 1
    test_seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] = 2

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        for key in ("modules", "meta_train", "meta_test"):
            values = getattr(self, key)
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{key}: {', '.join(twice)} is listed twice")
        both = sorted(set(self.meta_train) & set(self.meta_test))
        if both:
            raise ValueError(f"meta_test: {', '.join(both)} is in meta_train too; the two must be disjoint")
        return self

    def _datasets(self) -> tuple[str, ...]:
        return (*self.meta_train, *self.meta_test)

    def side(self, side: Side) -> TaskSide:
        """One side of the task. It does not contain the other side."""
        shared = {name: getattr(self, name) for name in Selection.model_fields}
        return TaskSide(**shared, datasets=getattr(self, side))

    def with_seeds(self, train: Any, test: Any, seeds_of: SeedsOf | None) -> Task:
        """The same task with the recommended number of exams on the sides for which ``auto`` was given.

        Raises:
            TaskError: ``auto`` was given, and it is not known here what is recommended.
        """
        changes = {}
        for key, given, side in (("train_seeds", train, "meta_train"), ("test_seeds", test, "meta_test")):
            if given == "auto":
                if seeds_of is None:
                    raise TaskError(f"{key} is 'auto', but it is not known here what is recommended: give a number")
                changes[key] = seeds_of(self, cast(Side, side))
        return self.model_copy(update=changes) if changes else self

    @property
    def task_id(self) -> str:
        """``<domain>-<16 hex digits>``: a hash of this content and the domain's version.

        The order of modules and datasets does not count. Equal on every platform and Python version.
        """
        content = self.model_dump(mode="json")
        for key in ("modules", "meta_train", "meta_test"):
            content[key] = sorted(content[key])
        content["domain_version"] = self.resolve().version
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return f"{self.domain}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
