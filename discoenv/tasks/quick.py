"""A domain's quick task: one module and one dataset on each side, whose exams are short. Audits and tests play it."""

from __future__ import annotations

from typing import Any

from discoenv.errors import TaskError
from discoenv.tasks.domain import Domain
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.task import Task


def quick_task(domain: Domain, **changes: Any) -> Task:
    """The task that ``quick`` in ``domain.yaml`` describes, at scale ``tiny`` if it has it, with one exam per dataset.

    Where ``quick`` is missing, it has the first module and the first dataset that can be used here without a GPU; its
    meta-test dataset is the first other one that the domain has.

    Args:
        domain: the domain.
        changes: fields of :class:`Task` that shall have other values.

    Raises:
        TaskError: ``quick`` is missing, and no dataset can be used here.
    """
    has_tiny = any("tiny" in domain.scales(dataset) for dataset in domain.datasets)
    scale = "tiny" if has_tiny else domain.default_scale
    settings: dict[str, Any] = {"domain": domain.name, "scale": scale, "test_seeds": 1} | changes
    quick = domain.specification.quick
    if quick is not None:
        module, meta_train, meta_test = quick.module, quick.meta_train, quick.meta_test
    else:
        usable = available_datasets(domain, settings["scale"])
        if not usable:
            raise TaskError(
                f"{domain.name}: no dataset can be used here at scale {settings['scale']}"
                + ("" if domain.self_reported else f"; name two by the key 'quick' of {domain.directory}/domain.yaml")
            )
        module, meta_train = domain.modules[0], usable[0]
        meta_test = next(dataset for dataset in domain.datasets if dataset != meta_train)
    return Task(**{"modules": (module,), "meta_train": (meta_train,), "meta_test": (meta_test,)} | settings)
