"""Random tasks: which modules are editable, and which datasets fall on which side.

The environment and :mod:`discoenv.discogen.api` sample with the same :func:`sample_choices`. It uses nothing of NumPy's
generator but ``random()``, and no function whose rounding differs between Python versions: a seed gives the same task
everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, get_args

import numpy as np

from discoenv import arguments
from discoenv.errors import ArgumentError, SamplingFailed, TaskError
from discoenv.tasks import discobench
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.specification import SCALES, Scale, Split
from discoenv.tasks.task import MOST_SEEDS, Seeds, SeedsOf, Start, Task
from discoenv.text import shown

MAX_ATTEMPTS = 1000

#: (domain, backend, dataset) → whether the dataset may be sampled.
Usable = Callable[[Domain, str, str], bool]


@dataclass(frozen=True)
class Sampling:
    """How an environment samples tasks.

    Attributes:
        p_edit: probability that a module is editable.
        p_data: weights of a dataset falling into meta-train, meta-test, or neither; or two probabilities.
        p_base: probability that the modules start from the baseline implementation.
        train_seeds, test_seeds: exams per meta-train and meta-test dataset; ``auto``: as many as are recommended for
            the datasets of a task, see :mod:`discoenv.scoring.seeds`.
        split: how meta-test datasets differ from those of meta-train, see :func:`sample_choices`.

    Raises:
        ArgumentError, TaskError: a value is of the wrong kind or out of range.
    """

    p_edit: float = 0.3
    p_data: tuple[float, ...] = (0.4, 0.4, 0.2)
    p_base: float = 0.0
    train_seeds: Seeds = 1
    test_seeds: Seeds = 2
    split: Split = "random"

    def __post_init__(self) -> None:
        thresholds(self.p_data)
        checked: dict[str, Any] = {"p_data": tuple(map(float, self.p_data))}
        for name in ("p_edit", "p_base"):
            checked[name] = arguments.number(name, getattr(self, name), least=0, most=1)
        for name in ("train_seeds", "test_seeds"):
            if getattr(self, name) != "auto":
                checked[name] = arguments.integer(name, getattr(self, name), least=1, most=MOST_SEEDS)
        checked["split"] = arguments.choice("split", self.split, get_args(Split))
        for name, value in checked.items():
            object.__setattr__(self, name, value)


class SampledChoices(NamedTuple):
    """What is random about a task; the fields are those of :class:`Task`."""

    domain: Domain
    modules: tuple[str, ...]
    meta_train: tuple[str, ...]
    meta_test: tuple[str, ...]
    backend: str
    objective: str
    start: Start
    scale: Scale


def sample_task(
    rng: np.random.Generator,
    *,
    domains: Sequence[str] | None = None,
    scale: Scale | None = None,
    p_edit: float = 0.3,
    p_data: Sequence[float] = (0.4, 0.4, 0.2),
    p_base: float = 0.0,
    objectives: Sequence[str] = ("performance",),
    backends: Sequence[str] | None = None,
    gpu: bool = False,
    train_seeds: Seeds = 1,
    test_seeds: Seeds = 2,
    seeds_of: SeedsOf | None = None,
    baseline_scale: float = 1.0,
    split: Split = "random",
    usable: Usable | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    allow_discobench: bool = False,
) -> Task:
    """Sample one task.

    Args:
        rng: source of randomness; the same state gives the same task on every platform.
        train_seeds, test_seeds, baseline_scale: as in :class:`Task`; seeds may be ``auto``.
        seeds_of: the recommended number of exams per dataset of a side, for ``auto``.

    All other arguments, and the errors raised, are those of :func:`sample_choices`.
    """
    choices = sample_choices(
        rng,
        domains=domains,
        scale=scale,
        p_edit=p_edit,
        p_data=p_data,
        p_base=p_base,
        objectives=objectives,
        backends=backends,
        gpu=gpu,
        split=split,
        usable=usable,
        max_attempts=max_attempts,
        allow_discobench=allow_discobench,
    )
    return Task(
        domain=choices.domain.name,
        modules=choices.modules,
        meta_train=choices.meta_train,
        meta_test=choices.meta_test,
        backend=choices.backend,
        objective=choices.objective,
        start=choices.start,
        scale=choices.scale,
        baseline_scale=baseline_scale,
        train_seeds=1 if train_seeds == "auto" else train_seeds,
        test_seeds=1 if test_seeds == "auto" else test_seeds,
    ).with_seeds(train_seeds, test_seeds, seeds_of)


def sample_choices(
    rng: np.random.Generator,
    *,
    domains: Sequence[str] | None = None,
    scale: Scale | None = None,
    p_edit: float = 0.3,
    p_data: Sequence[float] = (0.4, 0.4, 0.2),
    p_base: float = 0.0,
    objectives: Sequence[str] = ("performance",),
    backends: Sequence[str] | None = None,
    gpu: bool = False,
    download: bool = False,
    split: Split = "random",
    usable: Usable | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    allow_discobench: bool = False,
) -> SampledChoices:
    """Sample what is random about a task.

    Domain, backend, objective and start are sampled once. Modules and datasets are sampled together until there is a
    module, a meta-train and a meta-test dataset: their frequencies are those of ``p_edit`` and ``p_data``, given that.

    Args:
        rng: source of randomness.
        domains: candidates, sampled uniformly; None: all that have two such datasets.
        scale: datasets that lack this scale are not sampled; None: each domain's :attr:`Domain.default_scale`.
        p_edit: probability that a module is editable.
        p_data: three weights of a dataset falling into meta-train, meta-test, or neither; or two probabilities, for
            meta-train and meta-test, whose sum is at most 1.
        p_base: probability that the modules start from the baseline implementation.
        objectives, backends: candidates, sampled uniformly; ``backends=None``: all of the domain.
        gpu, download: whether datasets that need a GPU, or a download, may be sampled.
        split: ``random``: each dataset falls on a side by itself; ``shift``: each family of datasets does, so that no
            family is on both sides; ``scale``: every meta-test dataset is larger than all meta-train ones. The size at
            which the sides part is drawn uniformly, and a dataset is left out with its probability in ``p_data``.
        usable: restricts the datasets further, for example to those that have a baseline.
        max_attempts: samples of modules and datasets.
        allow_discobench: whether the modules and datasets may be those of a DiscoBench task.

    Raises:
        TaskError: an argument is out of range.
        SamplingFailed: (a TaskError) no draw out of ``max_attempts`` was a task.
        UnknownName: a domain or backend does not exist.
    """
    train, either = thresholds(p_data)
    names = get_domains() if domains is None else sorted(domains)
    _check_probabilities(p_edit=p_edit, p_base=p_base)
    _check_choices(scale, split, max_attempts, domains=names, objectives=objectives, backends=backends)
    random = rng.random
    for _ in range(max_attempts):
        domain = get_domain(names[_index(random(), len(names))])
        chosen_scale = scale or domain.default_scale
        available: Sequence[str] = _available(domain, chosen_scale, gpu, download, domain.fetched())
        known = domain.backends
        chosen = known if backends is None else sorted(backends)
        ready = [each for each in chosen if usable is None or _has_two(domain, each, available, usable)]
        if domains is not None or (ready and _can_split(domain, available, split)):
            break
    chosen = ready or chosen
    backend = chosen[_index(random(), len(chosen))]
    if backend not in known:
        domain.require(backend=backend)
    objective = objectives[_index(random(), len(objectives))]
    start: Start = "base" if random() < p_base else "stub"
    if usable is not None:
        available = [name for name in available if usable(domain, backend, name)]
    modules = domain.modules
    sides = _SIDES[split](domain, train, either)
    reserved = frozenset() if allow_discobench else discobench.identities(domain)
    for _ in range(max_attempts):
        editable = tuple([module for module in modules if random() < p_edit])
        meta_train, meta_test = sides(available, random)
        if not (editable and meta_train and meta_test):
            continue
        if reserved and discobench.identity(editable, meta_train, meta_test) in reserved:
            continue
        return SampledChoices(domain, editable, meta_train, meta_test, backend, objective, start, chosen_scale)
    if not _can_split(domain, available, split):
        raise SamplingFailed(_too_few(domain, backend, available, chosen_scale, split, gpu=gpu, download=download))
    raise SamplingFailed(
        f"{domain.name}: {max_attempts} draws gave no task with a module, a meta-train and a meta-test dataset out of "
        f"{len(available)} available ones{'' if allow_discobench else ', other than those of DiscoBench'}; "
        f"raise p_edit (now {p_edit}) or max_attempts, or change p_data (now {p_data})"
    )


#: Uniform numbers in [0, 1).
_Random = Callable[[], float]
_Names = tuple[str, ...]
#: (datasets, random) → the meta-train and the meta-test ones.
_Sides = Callable[[Sequence[str], _Random], tuple[_Names, _Names]]


def _random_sides(domain: Domain, train: float, either: float) -> _Sides:
    def sides(datasets: Sequence[str], random: _Random) -> tuple[_Names, _Names]:
        fates = [(dataset, random()) for dataset in datasets]
        meta_train = tuple([dataset for dataset, u in fates if u < train])
        return meta_train, tuple([dataset for dataset, u in fates if train <= u < either])

    return sides


def _shifted_sides(domain: Domain, train: float, either: float) -> _Sides:
    families = {name: dataset.family or name for name, dataset in domain.specification.datasets.items()}

    def sides(datasets: Sequence[str], random: _Random) -> tuple[_Names, _Names]:
        fates = {family: random() for family in dict.fromkeys(families[dataset] for dataset in datasets)}
        meta_train = tuple([dataset for dataset in datasets if fates[families[dataset]] < train])
        return meta_train, tuple([dataset for dataset in datasets if train <= fates[families[dataset]] < either])

    return sides


def _growing_sides(domain: Domain, train: float, either: float) -> _Sides:
    sizes = {name: dataset.size for name, dataset in domain.specification.datasets.items() if dataset.size is not None}

    def sides(datasets: Sequence[str], random: _Random) -> tuple[_Names, _Names]:
        distinct = sorted({sizes[dataset] for dataset in datasets if dataset in sizes})
        if len(distinct) < 2:
            return (), ()
        largest = distinct[_index(random(), len(distinct) - 1)]
        chosen = [dataset for dataset in datasets if dataset in sizes and random() < either]
        meta_train = tuple([dataset for dataset in chosen if sizes[dataset] <= largest])
        return meta_train, tuple([dataset for dataset in chosen if sizes[dataset] > largest])

    return sides


_SIDES: Final[Mapping[Split, Callable[[Domain, float, float], _Sides]]] = {
    "random": _random_sides,
    "shift": _shifted_sides,
    "scale": _growing_sides,
}


_NEEDED: Final[Mapping[Split, str]] = {
    "random": "a meta-train and a meta-test dataset",
    "shift": "datasets of two families, one of them for each side",
    "scale": "datasets of two sizes, the larger ones for meta-test",
}


def _can_split(domain: Domain, datasets: Sequence[str], split: Split) -> bool:
    """Whether there is something for each of the two sides."""
    entries = {name: domain.specification.datasets[name] for name in datasets}
    if split == "scale":
        return len({entry.size for entry in entries.values()} - {None}) >= 2
    return len({entry.family or name for name, entry in entries.items()} if split == "shift" else entries) >= 2


def _too_few(
    domain: Domain, backend: str, available: Sequence[str], scale: Scale, split: Split, *, gpu: bool, download: bool
) -> str:
    """Why a domain has too few datasets, and what to do."""
    begin = f"{domain.name}: a task needs {_NEEDED[split]}, but only {list(available)} can be used "
    if scale not in {each for dataset in domain.datasets for each in domain.scales(dataset)}:
        known = list(dict.fromkeys(each for dataset in domain.datasets for each in domain.scales(dataset)))
        return f"{begin}here at scale {scale}{domain.scale_note}: leave the scale out, or take {' or '.join(known)}"
    if not domain.self_reported:
        return (
            f"{begin}here at scale {scale} with backend {backend} ({'' if download else 'offline, '}"
            f"{'' if gpu else 'without a GPU, '}and calibrated: see "
            f"`discoenv calibrate {domain.name} --scale {scale} --local`)"
        )
    why: dict[str, list[str]] = {}
    for name in domain.datasets:
        if name not in available:
            why.setdefault(_obstacle(domain, name, scale, gpu=gpu, download=download), []).append(name)
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in why.items() if reason)
    install = f" {domain.how_to_install}." if any("cannot be imported" in reason for reason in why) else ""
    return (
        f"{begin}here with backend {backend} ({reasons}).{install} Tasks that name their datasets may have any of them"
    )


def _obstacle(domain: Domain, dataset: str, scale: Scale, *, gpu: bool, download: bool) -> str:
    """What keeps a dataset of a pack from being sampled here; empty: others are sampled in its place."""
    entry = domain.specification.datasets[dataset]
    if not entry.sampled:
        return ""
    if not gpu and domain.needs_gpu(dataset, scale):
        return "needs a GPU"
    if not download and domain.needs_network(dataset):
        return domain.needs_network(dataset)
    missing = domain.missing_for_training(dataset)
    if missing:
        return f"needs {' and '.join(missing)}, which cannot be imported"
    if not download and entry.source == "download" and dataset not in domain.fetched():
        return f"run `discoenv data fetch {domain.name} {dataset}` first"
    return "no baseline is published"


def _has_two(domain: Domain, backend: str, datasets: Sequence[str], usable: Usable) -> bool:
    """Whether a task can be made: with a dataset on each side."""
    return backend in domain.backends and sum(usable(domain, backend, dataset) for dataset in datasets) >= 2


def _check_probabilities(*, p_edit: float, p_base: float) -> None:
    probabilities = [arguments.as_number(p) for p in (p_edit, p_base)]
    if not all(p is not None and 0 <= p <= 1 for p in probabilities):
        raise TaskError(f"p_edit and p_base are probabilities; they are {shown(p_edit)} and {shown(p_base)}")


def _check_choices(scale: str | None, split: str, max_attempts: int, **candidates: Sequence[str] | None) -> None:
    try:
        arguments.integer("max_attempts", max_attempts, least=1, why="at least 1 is needed, a whole number")
        if scale is not None:
            arguments.choice("scale", scale, SCALES)
        arguments.choice("split", split, get_args(Split))
    except ArgumentError as error:
        raise TaskError(str(error)) from None
    for key, names in candidates.items():
        if names is not None and len(names) == 0:
            raise TaskError(f"{key}: there is none to draw from")


def thresholds(p_data: Sequence[float]) -> tuple[float, float]:
    """Cumulative thresholds ``(p_train, p_train + p_test)``.

    Raises:
        TaskError: ``p_data`` is neither three weights nor two probabilities.
    """
    given: Any = p_data
    weights = [arguments.as_number(each) for each in given] if isinstance(given, (Sequence, np.ndarray)) else []
    known = [weight for weight in weights if weight is not None and weight >= 0]
    if len(known) == len(weights) in (2, 3):
        train, test = known[0], known[1]
        if len(known) == 3:
            total = train + test + known[2]  # not sum(), which rounds differently from Python 3.12 on
            if 0 < total < math.inf:
                return train / total, (train + test) / total
        elif 0 < train + test <= 1 + 1e-9:
            return train, train + test
    raise TaskError(
        "p_data must be three weights (meta-train, meta-test, neither), or two probabilities (meta-train, meta-test) "
        f"with a sum of at most 1, not {shown(p_data)}"
    )


def available_datasets(domain: Domain, scale: str, *, gpu: bool = False, download: bool = False) -> list[str]:
    """Datasets of a domain that can be used here at this scale: without a network and without a GPU, unless allowed.

    One that requires a package which is not installed cannot be used.
    """
    return list(_available(domain, scale, gpu, download, domain.fetched()))


def count_tasks(modules: int, datasets: int, *, backends: int, objectives: int, starts: int = 2) -> int:
    """Number of different tasks that can be sampled: (2^M − 1) · (3^D − 2·2^D + 1) · B · O · S.

    A non-empty subset of M modules; each of D datasets on one of two sides or neither, with no side empty; a backend,
    an objective and a start. Scales, seeds and baseline scales are not counted.
    """
    count: int = (2**modules - 1) * (3**datasets - 2 * 2**datasets + 1) * backends * objectives * starts
    return count


@functools.cache
def _available(
    domain: Domain, scale: str, gpu: bool, download: bool, fetched: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    return tuple(
        name
        for name, dataset in domain.specification.datasets.items()
        if dataset.sampled
        and (download or ((dataset.source == "offline" or name in fetched) and not domain.needs_network(name)))
        and (gpu or not domain.needs_gpu(name, scale))
        and scale in domain.scales(name)
        and not domain.missing_packages(name)
    )


def _index(u: float, count: int) -> int:
    """A uniform index from a uniform number in [0, 1)."""
    return min(int(u * count), count - 1)
