"""Splits that ask for generalisation: meta-test datasets of other families, or larger ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from discoenv.errors import DomainError, SamplingFailed, TaskError
from discoenv.scoring import offered
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.sampling import sample_task
from tests.conftest import MakeVariant

DRAWS = 300
SIZED = [name for name in get_domains() if get_domain(name).specification.size_unit]


@pytest.mark.parametrize("name", get_domains())
def test_no_family_is_on_both_sides_of_a_shift(name: str) -> None:
    datasets = get_domain(name).specification.datasets
    generator = np.random.default_rng(1)
    drawn = set()
    for _ in range(DRAWS):
        task = sample_task(generator, domains=[name], split="shift", usable=offered.usable("small"))
        sides = [{datasets[each].family for each in side} for side in (task.meta_train, task.meta_test)]
        assert None not in sides[0] | sides[1]
        assert not sides[0] & sides[1]
        drawn.add(tuple(frozenset(each) for each in sides))
    assert len(drawn) > 1


@pytest.mark.parametrize("name", SIZED)
def test_meta_test_is_larger_than_meta_train_by_scale(name: str) -> None:
    datasets = get_domain(name).specification.datasets
    generator = np.random.default_rng(2)
    largest = set()
    for _ in range(DRAWS):
        task = sample_task(generator, domains=[name], split="scale", usable=offered.usable("small"))
        sizes = [[datasets[each].size or 0 for each in side] for side in (task.meta_train, task.meta_test)]
        assert 0 < max(sizes[0]) < min(sizes[1])
        largest.add(max(sizes[0]))
    sizes_of_all = {each.size for each in datasets.values() if each.source == "offline"}
    assert len(largest) > 1 or len(sizes_of_all) == 2


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(TaskError, match=r"split is 'shifted'"):
        sample_task(np.random.default_rng(0), split="shifted")  # type: ignore[arg-type]


def test_a_domain_without_sizes_cannot_be_split_by_them(make_variant: MakeVariant) -> None:
    domain = make_variant("Sizeless")
    with pytest.raises(SamplingFailed, match=r"a task needs datasets of two sizes"):
        sample_task(np.random.default_rng(0), domains=[domain.name], scale="tiny", split="scale")


def split_by(key: str, value: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        content["datasets"]["Line"][key] = value

    return change


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("size", 3, "size_unit: datasets with a size need it"), ("size", -1, "greater than 0")],
)
def test_sizes_are_positive_and_have_a_unit(make_variant: MakeVariant, key: str, value: Any, message: str) -> None:
    with pytest.raises(DomainError, match=re.escape(message)):
        make_variant("Half", change=split_by(key, value))
