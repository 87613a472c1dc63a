"""DiscoBench has a task for each module of each domain and one for all of them; each domain has an example."""

from __future__ import annotations

import pytest
import yaml

from discoenv import get_discobench_tasks as as_in_the_guide
from discoenv.discogen.api import create_config, task_from_config
from discoenv.errors import UnknownName
from discoenv.tasks import discobench
from discoenv.tasks.discobench import generate, get_discobench_tasks
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN, get_domain, get_domains

DOMAINS = [name for name in get_domains() if (BUILTIN / name).is_dir()]


def test_there_is_one_task_per_module_and_one_with_all() -> None:
    expected = {f"{name}_{suffix}" for name in DOMAINS for suffix in (*get_domain(name).modules, "all")}
    assert get_discobench_tasks() == as_in_the_guide() == sorted(expected)
    assert {path.stem for path in discobench.DIRECTORY.glob("*.yaml")} == expected, (
        "add the domain to SPLITS, or remove files that are left over, and run "
        "python -m discoenv.tasks.discobench.generate"
    )
    assert {path.stem for path in discobench.EXAMPLES.glob("*.yaml")} == set(DOMAINS)


def test_the_files_are_those_that_the_generator_writes() -> None:
    for path, text in generate.files().items():
        written = (discobench.DIRECTORY.parent / path).read_text()
        assert written == text, f"{path}: run python -m discoenv.tasks.discobench.generate"
        assert yaml.safe_load(written) == yaml.safe_load(text)


@pytest.mark.parametrize("name", get_discobench_tasks())
def test_a_task_is_valid_and_has_exactly_its_modules(name: str) -> None:
    config = discobench.config(name)
    domain = get_domain(discobench.domain_of(name))
    task = task_from_config(domain.name, config, name)
    suffix = name.removeprefix(f"{domain.name}_")
    assert task.modules == (tuple(domain.modules) if suffix == "all" else (suffix,))
    assert set(config) == set(create_config(domain.name))
    assert config["source_path"] == f"task_src/{name}"
    assert task.backend == "default"
    # Everybody can run it: without network and without a GPU, at the default scale.
    for dataset in task.meta_train + task.meta_test:
        assert domain.specification.datasets[dataset].source == "offline"
        assert not domain.needs_gpu(dataset, "small")
    assert task.resolve() is domain


@pytest.mark.parametrize("name", DOMAINS)
def test_all_tasks_of_a_domain_have_the_same_datasets(name: str) -> None:
    identities = discobench.identities(name)
    assert len({(meta_train, meta_test) for _, meta_train, meta_test in identities}) == 1
    assert len(identities) == (1 if len(get_domain(name).modules) == 1 else len(get_domain(name).modules) + 1)


@pytest.mark.parametrize("name", DOMAINS)
def test_an_example_is_valid(name: str) -> None:
    config = discobench.example(name)
    assert task_from_config(name, config).modules
    assert set(config) == set(create_config(name))
    assert config["source_path"] == f"task_src/{name}"


def test_a_configuration_may_be_changed_without_changing_the_next_one() -> None:
    discobench.config("OnPolicyRL_loss")["train_task_id"].append("x")
    discobench.example("OnPolicyRL")["train_task_id"].append("x")
    assert "x" not in discobench.config("OnPolicyRL_loss")["train_task_id"]
    assert "x" not in discobench.example("OnPolicyRL")["train_task_id"]


def test_what_does_not_exist_is_told(toy: Domain) -> None:
    with pytest.raises(UnknownName, match="no DiscoBench task is called 'OnPolicyRL_loss'; known are none"):
        discobench.config("OnPolicyRL_loss")
    with pytest.raises(UnknownName, match="no example task is called 'Toy'"):
        discobench.example("Toy")
    assert discobench.identities("Toy") == frozenset()
