"""What a domain is: reads ``domain.yaml``, finds its templates, datasets, configurations and baselines.

Nothing here runs a domain's code. Every error names the file and the key that is wrong.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Scale = Literal["tiny", "small", "full"]
SCALES: tuple[Scale, ...] = ("tiny", "small", "full")
#: Folder of the domains that come with discoenv.
BUILTIN = Path(__file__).resolve().parent.parent / "domains"

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class DomainError(ValueError):
    """A domain's files are wrong; the message names the file and the key."""


class UnknownName(LookupError):
    """A domain, dataset, module, backend or scale of that name does not exist; the message suggests one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known = list(known)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}."
        super().__init__(f"no {kind} is called {name!r}{f' in {where}' if where else ''}; {hint}")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Module(_Record):
    """One editable source file, ``<name>.py``. ``prompt`` tells the agent what to write in it."""

    prompt: str


class Backend(_Record):
    """An alternative code base. ``prompts`` replace those of the modules whose interface it changes."""

    summary: str
    prompts: dict[str, str] = {}


class Dataset(_Record):
    """One data set or environment.

    Attributes:
        source: ``offline`` needs no network; ``download`` is fetched once into the cache.
        device: ``gpu`` if it cannot train usefully on a CPU.
    """

    source: Literal["offline", "download"]
    device: Literal["any", "gpu"] = "any"


class Metric(_Record):
    """The metric that an exam is scored by; ``lower`` and ``upper`` bound its possible values."""

    name: str
    unit: str
    direction: Literal["max", "min"]
    lower: float | None = None
    upper: float | None = None

    @property
    def sign(self) -> float:
        """1 if more is better, −1 if less is."""
        return 1.0 if self.direction == "max" else -1.0


class ResourceLimits(_Record):
    """What one exam of the domain may use. ``minimum_budget_s`` is the least compute budget, in seconds."""

    memory_gib: float = 8.0
    scratch_gib: float = 1.0
    minimum_budget_s: float = 30.0


class Integrity(_Record):
    """How a score comes to be, and what this domain cannot exclude, in a sentence each."""

    level: Literal["examined", "rerun", "self-reported"] = "examined"
    notes: list[str] = []


class Specification(_Record):
    """The content of ``domain.yaml``."""

    name: _Name
    version: int = Field(ge=1)
    title: str
    summary: str
    extra: str
    requirements: list[str]
    modules: dict[_Name, Module] = Field(min_length=1)
    fixed_files: list[str]
    backends: dict[_Name, Backend]
    datasets: dict[str, Dataset] = Field(min_length=2)
    contract: dict[str, str]
    metric: Metric
    other_metrics: dict[str, str] = {}
    limits: ResourceLimits = ResourceLimits()
    hidden_packages: list[str] = []
    integrity: Integrity = Integrity()

    @model_validator(mode="after")
    def _consistent(self) -> Specification:
        if "default" not in self.backends:
            raise ValueError("backends: there is no backend 'default'")
        if "main.py" not in self.fixed_files:
            raise ValueError("fixed_files: main.py is missing")
        both = sorted({f"{module}.py" for module in self.modules} & set(self.fixed_files))
        if both:
            raise ValueError(f"fixed_files: {', '.join(both)} is a module as well")
        for backend, entry in self.backends.items():
            unknown = sorted(set(entry.prompts) - set(self.modules))
            if unknown:
                raise ValueError(f"backends.{backend}.prompts: no module is called {', '.join(unknown)}")
        for dataset in self.datasets:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", dataset):
                raise ValueError(f"datasets: {dataset!r} is not a relative path of plain names")
        return self


class Domain:
    """A domain's folder.

    Args:
        directory: the folder that holds ``domain.yaml``.

    Raises:
        DomainError: ``domain.yaml`` is missing or wrong, or a file that it names does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / "domain.yaml"
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DomainError(f"{path}: the file is missing; a domain starts with it (see CONTRIBUTING.md)") from None
        except yaml.YAMLError as error:
            raise DomainError(f"{path}: not valid YAML: {error}") from error
        try:
            self.specification = Specification.model_validate(content)
        except ValidationError as error:
            lines = [
                f"{path}: {'.'.join(str(part) for part in fault['loc']) or 'top level'}: {fault['msg']}"
                for fault in error.errors()
            ]
            raise DomainError("\n".join(lines)) from error
        self._check_files()

    def __repr__(self) -> str:
        return f"Domain({self.name!r}, version={self.version})"

    @property
    def name(self) -> str:
        """The domain's name, which is also its folder's."""
        return self.specification.name

    @property
    def version(self) -> int:
        """Raised whenever tasks, data, metrics or baselines of the domain change."""
        return self.specification.version

    @property
    def modules(self) -> list[str]:
        """Names of the editable modules, in the order of ``domain.yaml``."""
        return list(self.specification.modules)

    @property
    def datasets(self) -> list[str]:
        """Ids of the datasets, in the order of ``domain.yaml``."""
        return list(self.specification.datasets)

    @property
    def backends(self) -> list[str]:
        """Names of the backends; ``default`` is one."""
        return list(self.specification.backends)

    def file(self, name: str, *, dataset: str, backend: str) -> Path:
        """The template of a file: the dataset's own, or the backend's, or the default one.

        Raises:
            DomainError: none of the three exists.
        """
        candidates = self._candidates(name, dataset, backend)
        for path in candidates:
            if path.is_file():
                return path
        raise DomainError(f"{self.directory}: {name} is in none of {', '.join(str(p.parent) for p in candidates)}")

    def module_source(self, module: str, *, backend: str) -> str:
        """The marked base implementation of a module (see :mod:`discoenv.tasks.stubs`)."""
        for folder in (backend, "default"):
            path = self.directory / "templates" / folder / f"{module}.py"
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise DomainError(f"{self.directory}/templates/default/{module}.py: the file is missing")

    def prompt(self, module: str, *, backend: str) -> str:
        """What the agent is told about a module."""
        specification = self.specification
        return specification.backends[backend].prompts.get(module, specification.modules[module].prompt)

    def description(self) -> str:
        """``description.md``: what the field is, for the agent."""
        return self._text(self.directory / "description.md")

    def dataset_description(self, dataset: str) -> str:
        """``datasets/<id>/description.md``."""
        return self._text(self.directory / "datasets" / dataset / "description.md")

    def config(self, dataset: str, scale: str) -> dict[str, Any]:
        """A dataset's configuration: the keys under ``all`` of its ``config.yaml``, updated by those under ``scale``.

        Raises:
            DomainError: the file is not of that form.
            UnknownName: there is no such scale.
        """
        path = self.directory / "datasets" / dataset / "config.yaml"
        content = _load_config(path)
        if scale not in content or scale == "all":
            raise UnknownName("scale", scale, [key for key in content if key != "all"], str(path))
        return {**content.get("all", {}), **content[scale]}

    def scales(self, dataset: str) -> list[str]:
        """Scales that a dataset has, smallest first."""
        content = _load_config(self.directory / "datasets" / dataset / "config.yaml")
        return [scale for scale in SCALES if scale in content]

    def require(self, *, dataset: str | None = None, module: str | None = None, backend: str | None = None) -> None:
        """Raise :class:`UnknownName` unless the names given exist."""
        for kind, name, known in (
            ("dataset", dataset, self.datasets),
            ("module", module, self.modules),
            ("backend", backend, self.backends),
        ):
            if name is not None and name not in known:
                raise UnknownName(kind, name, known, self.name)

    def _candidates(self, name: str, dataset: str, backend: str) -> list[Path]:
        templates = self.directory / "templates"
        folders = [self.directory / "datasets" / dataset, templates / backend, templates / "default"]
        return list(dict.fromkeys(folder / name for folder in folders))

    def _check_files(self) -> None:
        if self.directory.name != self.name:
            raise DomainError(f"{self.directory}/domain.yaml: name: {self.name!r} is not the folder's name")
        for module in self.modules:
            self.module_source(module, backend="default")
        for name in ("description.md", "examiner.py"):
            if not (self.directory / name).is_file():
                raise DomainError(f"{self.directory / name}: the file is missing")
        for dataset in self.datasets:
            for name in ("description.md", "config.yaml"):
                path = self.directory / "datasets" / dataset / name
                if not path.is_file():
                    raise DomainError(f"{path}: the file is missing (domain.yaml: datasets.{dataset})")
            for backend in self.backends:
                for name in self.specification.fixed_files:
                    self.file(name, dataset=dataset, backend=backend)

    @staticmethod
    def _text(path: Path) -> str:
        return path.read_text(encoding="utf-8").strip() + "\n"


def get_domain(name: str) -> Domain:
    """The domain called ``name``; files are read once per process.

    Raises:
        UnknownName: no domain has that name; the message suggests one.
        DomainError: its files are wrong.
    """
    if name not in get_domains():
        raise UnknownName("domain", name, get_domains())
    return _domain(BUILTIN / name)


@functools.cache
def _known(root: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in root.glob("*/domain.yaml")))


def get_domains() -> list[str]:
    """Names of all domains, sorted."""
    return list(_known(BUILTIN))


@functools.cache
def _domain(directory: Path) -> Domain:
    return Domain(directory)


@functools.cache
def _load_config(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DomainError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict) or not set(content) <= {"all", *SCALES} or not set(content) & set(SCALES):
        raise DomainError(f"{path}: the keys must be 'all' (optional) and scales ({', '.join(SCALES)})")
    for key, value in content.items():
        if not isinstance(value, dict):
            raise DomainError(f"{path}: {key}: must be a mapping")
    return content
