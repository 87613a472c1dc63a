"""A domain's quick task is the one that ``domain.yaml`` describes, or of the first module and datasets."""

from __future__ import annotations

import pytest

from discoenv.errors import TaskError
from discoenv.tasks.domain import Domain
from discoenv.tasks.quick import quick_task
from discoenv.tasks.registry import BUILTIN, get_domain, get_domains
from discoenv.tasks.task import Task
from tests.conftest import MakeVariant


def test_it_is_the_one_that_domain_yaml_describes(make_variant: MakeVariant) -> None:
    quick = {"module": "features", "meta_train": "Steps", "meta_test": "Line"}
    domain = make_variant(change=lambda content: content.update(quick=quick))
    assert quick_task(domain, objective="time") == Task(
        domain="Variant",
        modules=("features",),
        meta_train=("Steps",),
        meta_test=("Line",),
        scale="tiny",
        test_seeds=1,
        objective="time",
    )


def test_without_a_description_it_has_what_comes_first_and_can_be_used(make_variant: MakeVariant) -> None:
    def change(content: dict) -> None:  # type: ignore[type-arg]
        content.pop("quick", None)
        content["datasets"]["Line"]["gpu"] = ["tiny"]

    domain = make_variant(change=change)
    task = quick_task(domain)
    assert (task.modules, task.meta_train, task.meta_test) == (("model",), ("Wave",), ("Line",))
    with pytest.raises(
        TaskError, match="Variant: no dataset can be used here at scale huge; name two by the key 'quick'"
    ):
        quick_task(domain, scale="huge")


def test_other_modules_and_datasets_can_be_asked_for(toy: Domain) -> None:
    assert quick_task(toy, modules=("model", "features"), meta_test=("Noise",)).meta_test == ("Noise",)


@pytest.mark.parametrize("name", [name for name in get_domains() if (BUILTIN / name).is_dir()])
def test_every_domain_describes_one_that_a_cpu_can_train(name: str) -> None:
    domain = get_domain(name)
    assert domain.specification.quick is not None
    task = quick_task(domain)
    assert task.resolve() is domain
    for dataset in (*task.meta_train, *task.meta_test):
        assert not domain.needs_gpu(dataset, "tiny")
        assert domain.specification.datasets[dataset].source == "offline"
