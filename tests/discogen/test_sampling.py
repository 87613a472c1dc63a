"""Sampled configurations have the frequencies that the arguments ask for, and are the same everywhere."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from discoenv import objectives
from discoenv.discogen.api import sample_task_config, task_from_config
from discoenv.errors import SamplingFailed, TaskError, UnknownName
from discoenv.scoring import offered
from discoenv.tasks import discobench
from discoenv.tasks import registry as domains
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.sampling import available_datasets, count_tasks, sample_task, thresholds
from tests.conftest import TOY, MakeVariant

DRAWS = 20_000
Config = dict[str, Any]


def assert_frequency(count: int, trials: int, probability: float, what: str) -> None:
    """Within 4 standard errors of a binomial count."""
    error = math.sqrt(probability * (1 - probability) / trials)
    assert abs(count / trials - probability) <= 4 * error + 1e-12, (what, count / trials, probability, error)


def offered_datasets(domain: Domain) -> list[str]:
    """Datasets that are sampled at small, which here are the same for all backends."""
    ask = offered.undoubted("small")
    found = {
        tuple(name for name in available_datasets(domain, "small") if ask(domain, backend, name))
        for backend in domain.backends
    }
    assert len(found) == 1
    return list(found.pop())


def expected(domain: Domain, p_edit: float, p_data: Sequence[float]) -> dict[str, float]:
    """Probability of each module being editable and of each dataset being on each side, by enumeration.

    That is, given a module, a dataset on each side, and that it is no DiscoBench task.
    """
    weights = {key: weight / math.fsum(p_data) for key, weight in zip(("train", "test", ""), p_data, strict=True)}
    reserved = discobench.identities(domain)
    subsets = [
        (frozenset(chosen), p_edit ** len(chosen) * (1 - p_edit) ** (len(domain.modules) - len(chosen)))
        for size in range(1, len(domain.modules) + 1)
        for chosen in itertools.combinations(domain.modules, size)
    ]
    all_modules = math.fsum(p for _, p in subsets)
    datasets = offered_datasets(domain)
    total = 0.0
    found: Counter[str] = Counter()
    for fates in itertools.product(weights, repeat=len(datasets)):
        if not {"train", "test"} <= set(fates):
            continue
        sides = {
            side: frozenset(name for name, fate in zip(datasets, fates, strict=True) if fate == side)
            for side in ("train", "test")
        }
        split = math.prod(weights[fate] for fate in fates)
        excluded = [(m, p) for m, p in subsets if (m, sides["train"], sides["test"]) in reserved]
        p_modules = all_modules - math.fsum(p for _, p in excluded)
        total += split * p_modules
        for name, fate in zip(datasets, fates, strict=True):
            found[f"{name} {fate}"] += split * p_modules  # type: ignore[assignment]
        for module in domain.modules:
            p = math.fsum(p for m, p in subsets if module in m) - math.fsum(p for m, p in excluded if module in m)
            found[module] += split * p  # type: ignore[assignment]
    return {key: value / total for key, value in found.items()}


@pytest.mark.parametrize(
    ("p_edit", "p_data"), [(0.3, [0.4, 0.4, 0.2]), (0.7, [3, 1, 1]), (0.5, [0.2, 0.7])], ids=["default", "w", "p"]
)
def test_frequencies_over_20000_draws_are_those_of_the_arguments(p_edit: float, p_data: list[float]) -> None:
    names = ["GreenhouseGasPrediction", "OnPolicyRL"]
    rng = np.random.default_rng(20_000)
    drawn: dict[str, list[Config]] = {name: [] for name in names}
    for _ in range(DRAWS):
        name, config = sample_task_config(p_edit, p_data, p_use_base=0.25, rng=rng, domains=names)
        drawn[name].append(config)
    for name, configs in drawn.items():
        domain, count = get_domain(name), len(configs)
        assert_frequency(count, DRAWS, 1 / len(names), name)
        assert_frequency(sum(config["use_base"] for config in configs), count, 0.25, "use_base")
        for objective in objectives.names():
            times = sum(config["eval_type"] == objective for config in configs)
            assert_frequency(times, count, 1 / len(objectives.names()), objective)
        weights = [*p_data, 1 - math.fsum(p_data)] if len(p_data) == 2 else p_data
        probabilities = expected(domain, p_edit, weights)
        for module in domain.modules:
            times = sum(config[f"change_{module}"] for config in configs)
            assert_frequency(times, count, probabilities[module], module)
        for dataset, side in itertools.product(offered_datasets(domain), ("train", "test")):
            times = sum(dataset in config[f"{side}_task_id"] for config in configs)
            assert_frequency(times, count, probabilities[f"{dataset} {side}"], f"{dataset} {side}")
        for config in configs:
            sides = config["train_task_id"], config["test_task_id"]
            assert sides[0]
            assert sides[1]
            assert not set(sides[0]) & set(sides[1])
            assert any(config[f"change_{module}"] for module in domain.modules)


def test_backends_are_uniform_unless_only_the_default_is_asked_for(make_variant: MakeVariant) -> None:
    backends = {name: {"summary": f"{name}."} for name in ("default", "second", "third")}
    make_variant(change=lambda content: content.update(backends=backends))
    rng = np.random.default_rng(1)
    drawn = Counter(sample_task_config(rng=rng)[1]["template_backend"] for _ in range(DRAWS))
    for name in backends:
        assert_frequency(drawn[name], DRAWS, 1 / 3, name)
    configs = [sample_task_config(rng=rng, use_backends=False)[1] for _ in range(50)]
    assert {config["template_backend"] for config in configs} == {"default"}


def test_seeds_give_what_they_gave_when_this_was_written(toy: Domain) -> None:
    """On every platform and Python version: a change of these literals breaks everybody's experiments."""
    found = {}
    for seed in (0, 1, 2, 42):
        name, config = sample_task_config(0.3, [0.4, 0.4, 0.2], 0.5, eval_type="performance", seed=seed)
        task = task_from_config(name, config)
        found[seed] = (*task.modules, "|", *task.meta_train, "|", *task.meta_test, "|", task.start, task.task_id)
    assert found == PINNED


PINNED: dict[int, tuple[str, ...]] = {
    0: ("features", "|", "Wave", "Noise", "|", "Steps", "|", "base", "Toy-74326fb7ec656cdc"),
    1: ("model", "|", "Line", "Wave", "Noise", "|", "Steps", "|", "stub", "Toy-0d62f7e9d3c15fd5"),
    2: ("model", "features", "|", "Line", "|", "Steps", "|", "base", "Toy-305dac73744c4224"),
    42: ("model", "|", "Steps", "|", "Line", "Wave", "Noise", "|", "stub", "Toy-dc3750de53eea2c8"),
}


def test_all_keys_of_a_sampled_configuration(toy: Domain) -> None:
    _, config = sample_task_config(seed=0, eval_type="energy", source_path="there")
    assert config == {
        "train_task_id": config["train_task_id"],
        "test_task_id": config["test_task_id"],
        "source_path": "there",
        "template_backend": "default",
        "change_model": config["change_model"],
        "change_features": config["change_features"],
        "use_base": config["use_base"],
        "eval_type": "energy",
        "scale": "small",
    }
    assert sample_task_config(seed=0)[1]["source_path"] == "task_src/Toy"


def test_thresholds_do_not_depend_on_how_a_python_version_sums() -> None:
    """0.1 + 0.2 + 0.3 is 0.6000000000000001, but ``sum`` of these is 0.6 from Python 3.12 on."""
    assert thresholds([0.1, 0.2, 0.3]) == (0.1 / 0.6000000000000001, 0.30000000000000004 / 0.6000000000000001)
    assert thresholds([0.4, 0.4, 0.2]) == (0.4, 0.8)
    assert thresholds([0.7, 0.3]) == (0.7, 1.0)
    assert thresholds([2, 2, 0]) == (0.5, 1.0)


def test_the_environments_sampler_is_the_same_one(toy: Domain) -> None:
    name, config = sample_task_config(0.3, [0.4, 0.4, 0.2], 0.5, eval_type="time", seed=11)
    task = sample_task(np.random.default_rng(11), p_base=0.5, objectives=["time"])
    assert task_from_config(name, config) == task


def test_a_task_of_discobench_is_not_drawn_unless_allowed() -> None:
    settings: dict[str, Any] = {"p_edit": 1.0, "p_data": [1, 1, 0], "domains": ["OffPolicyRL"]}
    reserved = discobench.identity(
        get_domain("OffPolicyRL").modules,
        ["MinAtar/Freeway", "MinAtar/Breakout", "Classic/CartPole"],
        ["MinAtar/Asterix", "MinAtar/SpaceInvaders", "Classic/Acrobot"],
    )

    def identities(*, allow: bool) -> set[discobench.Identity]:
        rng = np.random.default_rng(0)
        found = set()
        for _ in range(2000):
            task = task_from_config(*sample_task_config(**settings, rng=rng, allow_discobench=allow))
            found.add(discobench.identity(task.modules, task.meta_train, task.meta_test))
        return found

    allowed, others = identities(allow=True), identities(allow=False)
    assert reserved in allowed
    assert allowed - others == discobench.identities(get_domain("OffPolicyRL")) & allowed
    assert not discobench.identities(get_domain("OffPolicyRL")) & others


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_data": [0.5, 0.6]}, r"two probabilities .* at most 1, not \[0.5, 0.6\]"),
        ({"p_data": [0.5]}, "p_data must be three weights"),
        ({"p_data": [1, 1, 1, 1]}, "p_data must be three weights"),
        ({"p_data": [0, 0]}, "p_data must be three weights"),
        ({"p_data": [0.5, float("nan")]}, "p_data must be three weights"),
        ({"p_data": [1, 1, float("inf")]}, "p_data must be three weights"),
        ({"p_use_base": 2}, "p_edit and p_base are probabilities"),
        ({"max_attempts": 0}, "max_attempts is 0; at least 1 is needed"),
        ({"p_edit": 0.0, "max_attempts": 7}, "Toy: 7 draws gave no task"),
        ({"seed": 1, "rng": np.random.default_rng(0)}, "give either seed or rng, not both"),
    ],
)
def test_what_cannot_be_sampled_is_reported_with_its_reason(toy: Domain, arguments: Config, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        sample_task_config(**arguments)


def test_used_up_attempts_are_a_runtime_error_as_in_discogen(toy: Domain) -> None:
    with pytest.raises(RuntimeError, match="raise p_edit") as caught:
        sample_task_config(p_edit=1e-9, max_attempts=10, seed=0)
    assert isinstance(caught.value, SamplingFailed)


def test_unknown_names_are_reported(toy: Domain) -> None:
    with pytest.raises(UnknownName, match="no objective is called 'enery'; did you mean 'energy'"):
        sample_task_config(eval_type="enery")
    with pytest.raises(UnknownName, match="no domain is called 'Toi'; did you mean 'Toy'"):
        sample_task_config(domains=["Toi"])


def test_what_is_not_here_is_drawn_only_if_asked_for(make_variant: MakeVariant) -> None:
    def change(content: Config) -> None:
        content["datasets"]["Wave"] = {"source": "download"}
        content["datasets"]["Steps"] = {"source": "offline", "gpu": ["tiny", "small", "full"]}

    make_variant(change=change)

    def drawn(**arguments: bool) -> set[str]:
        configs = [sample_task_config(p_edit=1.0, seed=seed, **arguments)[1] for seed in range(30)]  # type: ignore[arg-type]
        return {name for config in configs for name in config["train_task_id"] + config["test_task_id"]}

    assert drawn() == {"Line", "Noise"}
    assert drawn(gpu=True, download=True) == {"Line", "Noise", "Wave", "Steps"}


def test_domains_that_have_nothing_to_draw_here_are_passed_over(
    make_variant: MakeVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(content: Config) -> None:
        content["datasets"] = {name: {"source": "download"} for name in content["datasets"]}

    absent = make_variant(change=change)
    monkeypatch.setattr(domains, "BUILTIN", TOY)
    monkeypatch.setitem(domains._registered, "pack/Absent", lambda: absent)
    assert {sample_task_config(seed=seed)[0] for seed in range(20)} == {"Toy"}
    assert {sample_task_config(seed=seed, download=True)[0] for seed in range(20)} == {"Toy", "Variant"}
    with pytest.raises(SamplingFailed, match=r"only \[\] can be used here"):
        sample_task_config(domains=["pack/Absent"])


@pytest.mark.parametrize(("modules", "datasets", "backends", "objectives"), [(2, 4, 1, 5), (3, 3, 2, 1), (1, 2, 1, 1)])
def test_the_count_of_tasks_agrees_with_listing_them(
    modules: int, datasets: int, backends: int, objectives: int
) -> None:
    tasks: set[tuple[Any, ...]] = set()
    for editable in itertools.product([False, True], repeat=modules):
        for fates in itertools.product(["train", "test", "neither"], repeat=datasets):
            if any(editable) and "train" in fates and "test" in fates:
                tasks.update(
                    (editable, fates, backend, objective, start)
                    for backend in range(backends)
                    for objective in range(objectives)
                    for start in ("stub", "base")
                )
    assert count_tasks(modules, datasets, backends=backends, objectives=objectives) == len(tasks)


def test_every_counted_task_of_a_small_domain_is_drawn_and_no_other(make_variant: MakeVariant) -> None:
    def change(content: Config) -> None:
        content["datasets"] = {name: {"source": "offline"} for name in ("Line", "Wave", "Noise")}

    make_variant(change=change)
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {"p_edit": 0.5, "p_data": (1, 1, 1), "p_base": 0.5, "objectives": ("time", "golf")}
    drawn = {sample_task(rng, **settings) for _ in range(5000)}
    assert len(drawn) == count_tasks(2, 3, backends=1, objectives=2) == 3 * 12 * 2 * 2


def test_backends_without_two_usable_datasets_are_not_drawn() -> None:
    def usable(domain: Domain, backend: str, dataset: str) -> bool:
        return backend != "transformer" or dataset == "MinAtar/Breakout"

    rng = np.random.default_rng(0)
    drawn = {sample_task(rng, domains=["OnPolicyRL"], scale="tiny", usable=usable).backend for _ in range(50)}
    assert drawn == {"default", "recurrent"}
