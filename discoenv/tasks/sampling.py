"""Random tasks: which modules are editable, and which datasets fall on which side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from discoenv.tasks.config import TaskConfig, TaskError
from discoenv.tasks.domain import Domain, Scale, get_domain, get_domains

MAX_ATTEMPTS = 1000


def sample_task(
    rng: np.random.Generator,
    *,
    domains: Sequence[str] | None = None,
    scale: Scale = "small",
    p_edit: float = 0.3,
    p_data: tuple[float, float, float] = (0.4, 0.4, 0.2),
    p_base: float = 0.0,
    objectives: Sequence[str] = ("performance",),
    backends: Sequence[str] | None = None,
    gpu: bool = False,
    train_seeds: int = 1,
    test_seeds: int = 2,
    baseline_scale: float = 1.0,
    usable: Callable[[Domain, str, str], bool] = lambda domain, backend, dataset: True,
) -> TaskConfig:
    """Draw one task.

    Args:
        rng: source of randomness; the same state gives the same task on every platform.
        domains: candidates, drawn uniformly; None stands for all.
        scale: the task's scale; datasets that lack it are not drawn.
        p_edit: probability that a module is editable.
        p_data: weights of a dataset falling into meta-train, meta-test, or neither.
        p_base: probability that the modules start from the baseline implementation.
        objectives, backends: candidates, drawn uniformly; ``backends=None`` stands for all of the domain.
        gpu: whether datasets that need a GPU may be drawn.
        train_seeds, test_seeds, baseline_scale: as in :class:`TaskConfig`.
        usable: (domain, backend, dataset) → whether the dataset may be drawn (say, because it has a baseline).

    Raises:
        TaskError: no draw out of 1,000 had a module, a meta-train and a meta-test dataset.
    """
    if not 0 <= p_edit <= 1 or not 0 <= p_base <= 1:
        raise TaskError(f"p_edit and p_base are probabilities; they are {p_edit} and {p_base}")
    if len(p_data) != 3 or min(p_data) < 0 or sum(p_data) <= 0:
        raise TaskError(f"p_data must be three weights (meta-train, meta-test, neither), not {p_data}")
    names = sorted(domains) if domains is not None else get_domains()
    domain = get_domain(names[_index(rng, len(names))])
    backend = (sorted(backends) if backends else domain.backends)[_index(rng, len(backends or domain.backends))]
    objective = objectives[_index(rng, len(objectives))]
    start = "base" if rng.random() < p_base else "stub"
    available = [name for name in available_datasets(domain, scale, gpu=gpu) if usable(domain, backend, name)]
    first, second = np.cumsum(np.asarray(p_data, dtype=np.float64) / sum(p_data))[:2]
    for _ in range(MAX_ATTEMPTS):
        modules = tuple(module for module in domain.modules if rng.random() < p_edit)
        draws = [(dataset, rng.random()) for dataset in available]
        meta_train = tuple(dataset for dataset, u in draws if u < first)
        meta_test = tuple(dataset for dataset, u in draws if first <= u < second)
        if modules and meta_train and meta_test:
            return TaskConfig(
                domain=domain.name,
                modules=modules,
                meta_train=meta_train,
                meta_test=meta_test,
                backend=backend,
                objective=objective,
                start=start,
                scale=scale,
                baseline_scale=baseline_scale,
                train_seeds=train_seeds,
                test_seeds=test_seeds,
            )
    raise TaskError(
        f"{domain.name}: {MAX_ATTEMPTS} draws gave no task with a module, a meta-train and a meta-test dataset out of "
        f"{len(available)} available ones; raise p_edit (now {p_edit}) or change p_data (now {p_data})"
    )


def available_datasets(domain: Domain, scale: str, *, gpu: bool = False) -> list[str]:
    """Datasets of a domain that can be used here without a network, at this scale, with or without a GPU."""
    return [
        name
        for name, dataset in domain.specification.datasets.items()
        if dataset.source == "offline" and scale in domain.scales(name) and (gpu or dataset.device == "any")
    ]


def _index(rng: np.random.Generator, count: int) -> int:
    """A uniform index; one draw of ``random()``, the generator's most stable method."""
    return min(int(rng.random() * count), count - 1)
