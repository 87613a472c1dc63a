"""DiscoBench has a task for each module of each domain and one for all of them; each domain has an example."""

from __future__ import annotations

import json
from typing import Any

import pytest

from discoenv import get_discobench_tasks as as_in_the_guide
from discoenv.discogen.api import create_config, task_from_config
from discoenv.discogen.config import discobench_config, example_config
from discoenv.errors import DomainError, TaskError, UnknownName
from discoenv.scoring.offered import doubted
from discoenv.tasks import discobench
from discoenv.tasks.discobench import discobench_task, example_task, get_discobench_tasks
from discoenv.tasks.domain import Domain
from discoenv.tasks.reading import read_task
from discoenv.tasks.registry import BUILTIN, get_domain, get_domains, load_pack
from discoenv.tasks.specification import DiscoBench
from tests.conftest import MakeVariant
from tests.discogen.discobench_ids import PATH

DOMAINS = [name for name in get_domains() if (BUILTIN / name).is_dir()]
SPLIT = {"meta_train": ["Line", "Steps"], "meta_test": ["Wave"], "example": ["features"]}


def with_split(content: dict[str, Any]) -> None:
    content["discobench"] = SPLIT


def bench_of(domain: Domain) -> DiscoBench:
    assert domain.specification.discobench is not None
    return domain.specification.discobench


def test_there_is_one_task_per_module_and_one_with_all() -> None:
    expected = {
        f"{name}_{suffix}"
        for name in DOMAINS
        for suffix in (*get_domain(name).modules, "all", *bench_of(get_domain(name)).splits)
    }
    assert get_discobench_tasks() == as_in_the_guide() == sorted(expected)


def test_no_task_has_another_id_than_before() -> None:
    """Of the domains that were there before, unless their version was raised: see ``discobench_ids.py``."""
    before = json.loads(PATH.read_text())
    assert {name: discobench_task(name, scale="small").task_id for name in before} == before


@pytest.mark.parametrize("name", get_discobench_tasks())
def test_a_task_is_valid_and_has_exactly_its_modules(name: str) -> None:
    task = discobench_task(name)
    domain = get_domain(discobench.domain_of(name))
    suffix = name.removeprefix(f"{domain.name}_")
    assert task.domain == domain.name
    assert task.modules == ((suffix,) if suffix in domain.modules else tuple(domain.modules))
    sides = bench_of(domain).splits.get(suffix, bench_of(domain))
    assert (task.meta_train, task.meta_test) == (sides.meta_train, sides.meta_test)
    assert not {("default", dataset) for dataset in task.meta_train + task.meta_test} & set(doubted(domain, "small"))
    assert (task.backend, task.scale, task.objective, task.start) == ("default", "small", "performance", "stub")
    # Everybody can run it: without network and without a GPU, at the default scale.
    for dataset in task.meta_train + task.meta_test:
        assert domain.specification.datasets[dataset].source == "offline"
        assert not domain.needs_gpu(dataset, "small")
    assert task.resolve() is domain
    config = discobench_config(name)
    assert task_from_config(domain.name, config, name) == task
    assert set(config) == set(create_config(domain.name))
    assert config["source_path"] == f"task_src/{name}"


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_asks_for_other_families_and_where_it_has_sizes_for_larger_problems(name: str) -> None:
    specification = get_domain(name).specification
    splits = bench_of(get_domain(name)).splits
    assert set(splits) == ({"shift", "scale"} if specification.size_unit else {"shift"})
    assert all(sides != specification.discobench for sides in splits.values())


FAMILIES = {"Line": {"family": "a"}, "Steps": {"family": "b"}, "Wave": {"family": "a"}}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            {"shift": {"meta_train": ["Line"], "meta_test": ["Wave"]}},
            "discobench.shift: the family a is on both sides",
        ),
        ({"shift": {"meta_train": ["Line"], "meta_test": ["Line"]}}, "Line is in discobench.shift.meta_train too"),
        ({"scale": {"meta_train": ["Line"], "meta_test": ["Steps"]}}, "must have a size, and be smaller"),
    ],
)
def test_a_split_that_is_none_is_refused(make_variant: MakeVariant, split: dict[str, Any], message: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["discobench"] = {**SPLIT, **split}
        for name, more in FAMILIES.items():
            content["datasets"][name] = {**content["datasets"][name], **more}

    with pytest.raises(DomainError, match=message):
        make_variant("Variant", change=change)


@pytest.mark.parametrize("name", DOMAINS)
def test_all_tasks_of_a_domain_but_those_of_a_split_have_the_same_datasets(name: str) -> None:
    identities, splits = discobench.identities(get_domain(name)), bench_of(get_domain(name)).splits
    assert len({(meta_train, meta_test) for _, meta_train, meta_test in identities}) == 1 + len(splits)
    assert len(identities) == len(get_domain(name).modules) + 1 + len(splits)


@pytest.mark.parametrize("name", DOMAINS)
def test_an_example_is_valid(name: str) -> None:
    task, config = example_task(name), example_config(name)
    assert task.modules
    assert task_from_config(name, config) == task
    assert set(config) == set(create_config(name))
    assert config["source_path"] == f"task_src/{name}"


def test_a_configuration_may_be_changed_without_changing_the_next_one() -> None:
    discobench_config("OnPolicyRL_loss")["train_task_id"].append("x")
    example_config("OnPolicyRL")["train_task_id"].append("x")
    assert "x" not in discobench_config("OnPolicyRL_loss")["train_task_id"]
    assert "x" not in example_config("OnPolicyRL")["train_task_id"]


def test_the_tasks_are_those_that_domain_yaml_describes(make_variant: MakeVariant) -> None:
    domain = make_variant("Variant", change=with_split)
    assert get_discobench_tasks() == ["Variant_all", "Variant_features", "Variant_model"]
    task = discobench_task("Variant_all", scale="tiny", objective="time")
    assert (task.modules, task.meta_train, task.meta_test) == (("model", "features"), ("Line", "Steps"), ("Wave",))
    assert (task.scale, task.objective) == ("tiny", "time")
    assert example_task("Variant").modules == ("features",)
    assert len(discobench.identities(domain)) == 3


def test_a_name_that_fits_two_domains_belongs_to_the_longer_one(make_variant: MakeVariant) -> None:
    folder = make_variant("A_model", change=with_split).directory
    twin = folder.with_name("A")
    twin.mkdir()
    for path in folder.iterdir():
        (twin / path.name).symlink_to(path)
    (twin / "domain.yaml").unlink()
    (twin / "domain.yaml").write_text((folder / "domain.yaml").read_text().replace("A_model", "A"))
    from discoenv.tasks import registry

    registry._known.cache_clear()
    assert [discobench.domain_of(name) for name in ("A_model", "A_all", "A_model_all")] == ["A", "A", "A_model"]


def test_a_domain_of_a_pack_may_have_tasks_too(make_variant: MakeVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    from discoenv.tasks import registry

    folder = make_variant("Variant", change=with_split).directory.parent
    monkeypatch.setattr(registry, "_registered", {})
    load_pack(folder.rename(folder.with_name("mine")))
    assert "mine/Variant_all" in get_discobench_tasks()
    assert read_task("mine/Variant_model", {"scale": "tiny"}) == discobench_task("mine/Variant_model", scale="tiny")
    with pytest.raises(UnknownName, match="did you mean 'mine/Variant_model'"):
        read_task("mine/Variant_modle")
    with pytest.raises(
        UnknownName, match="no DiscoBench task is called 'mine/Variant'; did you mean 'mine/Variant_all'"
    ):
        read_task("mine/Variant")


def test_what_does_not_exist_is_reported(toy: Domain) -> None:
    with pytest.raises(UnknownName, match="no DiscoBench task is called 'OnPolicyRL_loss'; known are none"):
        discobench_task("OnPolicyRL_loss")
    with pytest.raises(UnknownName, match="no example task is called 'Toy'"):
        example_task("Toy")
    assert discobench.identities(toy) == frozenset()


def test_a_setting_that_is_wrong_is_reported() -> None:
    with pytest.raises(TaskError, match="OnPolicyRL_loss: scale: Input should be"):
        discobench_task("OnPolicyRL_loss", scale="huge")
