"""The schema of ``domain.yaml``."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from discoenv.data import downloads
from discoenv.data.published.sources import source

Scale = Literal["tiny", "small", "full"]
SCALES: tuple[Scale, ...] = ("tiny", "small", "full")
#: How the datasets of a sampled task are split, see :func:`discoenv.tasks.sampling.sample_choices`.
Split = Literal["random", "shift", "scale"]


def _published(name: str) -> str:
    source(name)  # raises if there is no such set
    return name


_PublishedSets = Annotated[
    tuple[Annotated[str, AfterValidator(_published)], ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Module(_Record):
    """One editable source file, ``<name>.py``.

    Attributes:
        prompt: what the agent is to write in it.
        base: the file of a kit that is its marked base, for example ``rl_jax/adam.py``; default: a template.
    """

    prompt: str
    base: Annotated[str, Field(pattern=r"^[A-Za-z]\w*/[A-Za-z]\w*\.py$")] | None = None


class Backend(_Record):
    """An alternative code base.

    Attributes:
        prompts: replace those of the modules whose interface it changes.
        inherits: the backend whose files and prompts it uses where it has none itself.
    """

    summary: str
    prompts: dict[str, str] = {}
    inherits: str = "default"


class Dataset(_Record):
    """One data set or environment.

    Attributes:
        source: ``offline`` needs no network; ``download`` is fetched once into the cache.
        data: the published sets that it is made of, one name or several; see :mod:`discoenv.data.published`.
        files: what else is fetched; see :mod:`discoenv.data.downloads`.
        gpu: scales at which it cannot train usefully on a CPU.
        requires: packages, by the names that they are imported by, that this dataset needs and others do not, beside
            those that readers of ``data`` need.
        family: what it has in common with some of the others; splits of the kind ``shift`` keep families apart. None:
            it is a family of one.
        size: how large a problem it is, in the domain's ``size_unit``; splits of the kind ``scale`` need it.
        aliases: further names of it, such as DiscoGen's, which tasks may use; they are read as its own name.
        sampled: whether tasks that are sampled may have it; others are played where a task names them.
    """

    source: Literal["offline", "download"]
    data: _PublishedSets = ()
    files: tuple[downloads.File, ...] = ()
    gpu: tuple[Scale, ...] = ()
    requires: tuple[str, ...] = ()
    family: str | None = None
    size: float | None = Field(default=None, gt=0)
    aliases: tuple[str, ...] = ()
    sampled: bool = True

    @property
    def to_fetch(self) -> tuple[downloads.File, ...]:
        """All files that are fetched, for the examiner alone: those of its published sets, then ``files``."""
        return (*(file for name in self.data for file in source(name).files), *self.files)

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages that it needs and others do not, each once."""
        of_readers = [package for name in self.data for package in source(name).requires]
        return tuple(dict.fromkeys([*of_readers, *self.requires]))

    @model_validator(mode="after")
    def _files_are_known_and_distinct(self) -> Dataset:
        names = [file.name for file in self.to_fetch]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"data, files: {', '.join(twice)} is listed twice")
        if names and self.source == "offline":
            raise ValueError("source: it is 'offline', but data or files have to be fetched; write 'download'")
        return self


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
    """What one exam of the domain may use.

    Attributes:
        memory_gib, scratch_gib: memory of the learner's processes, and size of its ``/tmp``, which counts as memory.
        minimum_budget_s: the least compute budget, in seconds.
        start_s: the part of the compute budget that is for start and compilation, in CPU seconds on the machine that
            measured the shipped baselines; None: what the packages that the dataset requires usually need.
    """

    memory_gib: float = 8.0
    scratch_gib: float = 1.0
    minimum_budget_s: float = 0.0
    start_s: float | None = None


class Integrity(_Record):
    """How a score comes to be, and what this domain cannot exclude, in a sentence each."""

    level: Literal["examined", "self-reported"] = "examined"
    notes: list[str] = []


class Exam(_Record):
    """What is examined, and who answers (see docs/exams.md).

    Attributes:
        kind: ``artefact``: the arrays that training hands over; ``staged``: those of several trainings, each of which
            goes on from the state of the one before; ``interactive``: the algorithm, which is asked and told.
        answers_with: the modules that are needed to use a state. If a task lets none of them be edited, the examiner
            applies the domain's own code to the state; otherwise a new learner answers, which has no other module.
        answering_files: the fixed files that are needed to use a state; ``answer.py`` has ``make(config, state)``.
        hidden_when_answering: packages, beside those of ``hidden_packages``, that a learner that answers cannot see.
        state_mib: most MiB of arrays that a state may have.
        witness: whether a second learner answers, too, which the examiner asks about what should come to the same. They
            share the state and nothing else, so what one remembers cannot make them agree.
    """

    kind: Literal["artefact", "staged", "interactive"]
    answers_with: tuple[_Name, ...] = ()
    answering_files: tuple[str, ...] = ("answer.py",)
    hidden_when_answering: tuple[str, ...] = ()
    state_mib: float = Field(default=64.0, gt=0, le=256)
    witness: bool = False

    @property
    def hands_over(self) -> bool:
        """Whether training ends in a state."""
        return self.kind != "interactive"


class Sides(_Record):
    """Datasets of both sides of a task.

    Attributes:
        meta_train, meta_test: at least one each.
    """

    meta_train: tuple[str, ...] = Field(min_length=1)
    meta_test: tuple[str, ...] = Field(min_length=1)


class DiscoBench(Sides):
    """The domain's part of DiscoBench (see :mod:`discoenv.tasks.discobench`).

    Its tasks have the same datasets, split by hand: those of meta-test differ from those of meta-train in kind.

    Attributes:
        example: the editable modules of the domain's example task, which has the same datasets.
        shift: datasets of the task whose meta-test has none of the families of its meta-train.
        scale: datasets of the task whose meta-test has larger datasets than its meta-train.
    """

    example: tuple[str, ...] = Field(min_length=1)
    shift: Sides | None = None
    scale: Sides | None = None

    @property
    def splits(self) -> dict[str, Sides]:
        """Sides of the tasks that ask for a kind of generalisation, by its name."""
        return {name: sides for name, sides in (("shift", self.shift), ("scale", self.scale)) if sides is not None}


class Length(_Record):
    """What sets how long training takes, for rehearsals and benchmarks.

    Attributes:
        key: the key of configurations that training takes in proportion to.
        unit: keys whose product is one update, in units of ``key``; empty: ``key`` counts updates, or epochs.
    """

    key: str
    unit: tuple[str, ...] = ()

    def shortened(self, config: Mapping[str, Any], share: float) -> int:
        """The value of ``key`` for a share of the training that a configuration asks for, in whole updates."""
        unit = math.prod(int(config[key]) for key in self.unit)
        return min(int(config[self.key]), max(1, math.ceil(share * int(config[self.key]) / unit)) * unit)


class Quick(_Record):
    """The smallest task that is worth an exam (see :mod:`discoenv.tasks.quick`), for audits and tests.

    Attributes:
        module: one that every training run passes through.
        meta_train, meta_test: a dataset of each side, whose exams are short.
    """

    module: str
    meta_train: str
    meta_test: str


class Specification(_Record):
    """The content of ``domain.yaml``.

    ``kits`` are packages that are copied into each dataset's folder (see :mod:`discoenv.kits`). With
    ``trains_when_asked``, learners train while the examiner questions them; its answers are then part of training where
    durations are compared.

    ``imports`` lists what modules may import beside their workspace's files and what computes in the standard library;
    left out: what is usual with the domain's ``extra`` (:data:`discoenv.module_code.FAMILIES`), or anything.

    ``length`` is left out where no configuration sets how long training takes.

    ``discobench`` and ``quick`` may be left out: then the domain has no DiscoBench task and no example, and its quick
    task is made of the first module and the first two datasets that can be used.
    """

    name: _Name
    version: int = Field(ge=1)
    title: str
    summary: str
    extra: str
    requirements: list[str]
    modules: dict[_Name, Module] = Field(min_length=1)
    fixed_files: list[str]
    kits: tuple[_Name, ...] = ()
    backends: dict[_Name, Backend]
    datasets: dict[str, Dataset] = Field(min_length=2)
    discobench: DiscoBench | None = None
    quick: Quick | None = None
    length: Length | None = None
    size_unit: str = ""
    imports: tuple[str, ...] | None = None
    contract: dict[str, str]
    exam: Exam = Exam(kind="interactive")
    trains_when_asked: bool = False
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
        self._check_kits()
        self._check_exam()
        self._check_splits()
        for backend, entry in self.backends.items():
            unknown = sorted(set(entry.prompts) - set(self.modules))
            if unknown:
                raise ValueError(f"backends.{backend}.prompts: no module is called {', '.join(unknown)}")
            if entry.inherits not in self.backends or self.backends[entry.inherits].inherits != "default":
                raise ValueError(f"backends.{backend}.inherits: {entry.inherits!r} is not a backend on top of default")
        self._check_datasets()
        self._check_discobench()
        if self.quick is not None:
            sides = {"meta_train": (self.quick.meta_train,), "meta_test": (self.quick.meta_test,)}
            self._check_names("quick", "dataset", sides, self.datasets)
            self._check_names("quick", "module", {"module": (self.quick.module,)}, self.modules)
        return self

    def _check_datasets(self) -> None:
        """Ids are relative paths of plain names, and aliases are none of them."""
        for dataset in self.datasets:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", dataset):
                raise ValueError(f"datasets: {dataset!r} is not a relative path of plain names")
        aliases = [alias for entry in self.datasets.values() for alias in entry.aliases]
        for alias in aliases:
            if alias in self.datasets or aliases.count(alias) > 1:
                what = "is the name of a dataset" if alias in self.datasets else "is listed twice"
                raise ValueError(f"datasets: aliases: {alias} {what}")

    def _check_exam(self) -> None:
        """What answers is there."""
        if not self.exam.hands_over:
            return
        unknown = sorted(set(self.exam.answers_with) - set(self.modules))
        if unknown:
            raise ValueError(f"exam.answers_with: no module is called {', '.join(unknown)}")
        if "answer.py" not in self.exam.answering_files:
            raise ValueError("exam.answering_files: answer.py is missing")
        unknown = sorted(set(self.exam.answering_files) - set(self.fixed_files))
        if unknown:
            raise ValueError(f"exam.answering_files: {', '.join(unknown)} is not among fixed_files")

    def _check_splits(self) -> None:
        """Sizes have a unit."""
        if bool(self.size_unit) != any(dataset.size is not None for dataset in self.datasets.values()):
            raise ValueError("size_unit: datasets with a size need it, and others have none")

    def _check_discobench(self) -> None:
        """Its tasks have names of their own, and their datasets are what the kind of the task asks for."""
        bench = self.discobench
        if bench is None:
            return
        taken = sorted({"all", *bench.splits} & set(self.modules))
        if taken:
            raise ValueError(f"modules: {taken[0]!r} names a DiscoBench task with all modules; rename the module")
        self._check_names("discobench", "module", {"example": bench.example}, self.modules)
        for section, sides in {
            "discobench": bench,
            **{f"discobench.{key}": each for key, each in bench.splits.items()},
        }.items():
            lists = {"meta_train": sides.meta_train, "meta_test": sides.meta_test}
            self._check_names(section, "dataset", lists, self.datasets)
        if bench.shift is not None:
            train, test = (
                {self.datasets[name].family or name for name in names}
                for names in (bench.shift.meta_train, bench.shift.meta_test)
            )
            if train & test:
                raise ValueError(f"discobench.shift: the family {min(train & test)} is on both sides")
        if bench.scale is not None:
            smaller, larger = (
                [self.datasets[name].size or 0.0 for name in names]
                for names in (bench.scale.meta_train, bench.scale.meta_test)
            )
            if max(smaller) >= min(larger) or not min(smaller):
                raise ValueError("discobench.scale: all of meta-train must have a size, and be smaller than meta-test")

    def _check_kits(self) -> None:
        """Bases are in kits that the domain has, and no kit hides a file."""
        for name, module in self.modules.items():
            kit = (module.base or "").partition("/")[0]
            if kit and kit not in self.kits:
                raise ValueError(f"modules.{name}.base: {kit} is not among kits; add it there")
        files = {*self.fixed_files, *(f"{name}.py" for name in self.modules)}
        hidden = sorted({f"{kit}.py" for kit in self.kits} & files)
        if hidden:
            raise ValueError(f"kits: {', '.join(hidden)} is a file of the domain and would not be imported")

    @staticmethod
    def _check_names(section: str, kind: str, lists: Mapping[str, tuple[str, ...]], known: Container[str]) -> None:
        """Every name is known, and is there only once in all lists of the section."""
        seen: dict[str, str] = {}
        for key, names in lists.items():
            for name in names:
                if name not in known:
                    raise ValueError(f"{section}.{key}: no {kind} is called {name!r}")
                if name in seen:
                    where = "is listed twice" if seen[name] == key else f"is in {section}.{seen[name]} too"
                    raise ValueError(f"{section}.{key}: {name} {where}")
                seen[name] = key
