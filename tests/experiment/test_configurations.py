"""Grids, draws and conditions make the configurations that the specification says, in its order."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from discoenv.experiment import (
    Condition,
    ConditionError,
    Config,
    Grid,
    Sample,
    choice,
    int_uniform,
    log_uniform,
    uniform,
)


def test_a_grid_is_a_list_of_its_values() -> None:
    grid = Grid([1e-3, 5e-3])
    assert isinstance(grid, list)
    assert grid == [1e-3, 5e-3]
    assert len(grid) == 2
    assert grid[1] == 5e-3


def test_a_sample_is_drawn_by_calling_it() -> None:
    assert Sample(lambda: 5)() == 5
    draws = [Sample(lambda: np.random.uniform(-1, 1))() for _ in range(20)]
    assert len(set(draws)) == 20
    assert all(-1 <= draw < 1 for draw in draws)
    with pytest.raises(TypeError, match="Sample wraps a function"):
        Sample(5)  # type: ignore[arg-type]


def test_a_condition_is_a_function_of_the_configuration() -> None:
    condition = Condition(lambda config: "high" if config["x"] > 10 else "low")
    assert condition({"x": 11}) == "high"
    assert condition({"x": 10}) == "low"
    with pytest.raises(TypeError, match="Condition wraps a function"):
        Condition("x")  # type: ignore[arg-type]


def test_the_example_of_the_documentation() -> None:
    config = Config(
        {"log.dir": "some path", "network.lr": Grid([1e-3, 5e-3]), "env.id": Grid(["CartPole-v1", "Ant-v2"])},
        num_sample=1,
        keep_dict_order=False,
    )
    configs = config.make_configs()
    assert configs == [
        {"ID": 0, "log.dir": "some path", "network.lr": 1e-3, "env.id": "CartPole-v1"},
        {"ID": 1, "log.dir": "some path", "network.lr": 1e-3, "env.id": "Ant-v2"},
        {"ID": 2, "log.dir": "some path", "network.lr": 5e-3, "env.id": "CartPole-v1"},
        {"ID": 3, "log.dir": "some path", "network.lr": 5e-3, "env.id": "Ant-v2"},
    ]
    assert pd.DataFrame(configs).shape == (4, 4)


ITEMS = {
    "size": Grid([16, 32]),
    "big": Condition(lambda config: config["lr"] > 0.5),
    "lr": Sample(lambda: np.random.uniform(0, 1)),
    "layers": [64, 64],
    "env": Grid(["a", "b", "c"]),
}


@pytest.mark.parametrize("keep_dict_order", [False, True])
@pytest.mark.parametrize("num_sample", [1, 5, 10])
def test_the_grid_is_tiled_and_each_configuration_has_new_draws(num_sample: int, keep_dict_order: bool) -> None:
    configs = Config(dict(ITEMS), num_sample=num_sample, keep_dict_order=keep_dict_order).make_configs()
    assert [config["ID"] for config in configs] == list(range(6 * num_sample))
    order = ["ID", *ITEMS] if keep_dict_order else ["ID", "big", "layers", "size", "env", "lr"]
    assert all(list(config) == order for config in configs)
    grid = [(size, env) for size in (16, 32) for env in "abc"]
    assert [(config["size"], config["env"]) for config in configs] == grid * num_sample
    assert all(config["big"] == (config["lr"] > 0.5) for config in configs)
    assert len({config["lr"] for config in configs}) == 6 * num_sample
    assert all(config["layers"] == [64, 64] for config in configs)


def test_without_draws_nothing_is_repeated() -> None:
    grids = {key: value for key, value in ITEMS.items() if key not in ("lr", "big")}
    for num_sample in (1, 5, 10):
        assert len(Config(grids, num_sample=num_sample).make_configs()) == 6
        assert Config({"x": 1, "y": [1, 2]}, num_sample=num_sample).make_configs() == [{"ID": 0, "x": 1, "y": [1, 2]}]


def test_without_a_grid_there_is_a_configuration_per_draw() -> None:
    assert len(Config({"x": uniform(0, 1)}, num_sample=7).make_configs()) == 7


def test_shared_draws_are_crossed_with_the_grid() -> None:
    config = Config({"size": Grid([16, 32]), "lr": uniform(0, 1)}, num_sample=3, sample_mode="shared")
    configs = config.make_configs(seed=0)
    assert [each["size"] for each in configs] == [16, 16, 16, 32, 32, 32]
    rates = [each["lr"] for each in configs]
    assert rates[:3] == rates[3:]
    assert len(set(rates)) == 3


def test_a_seed_makes_all_draws_reproducible_and_leaves_the_global_generators_alone() -> None:
    items = {
        "old": Sample(np.random.uniform),
        "python": Sample(random.random),
        "new": Sample(lambda rng: float(rng.normal())),
    }
    np.random.seed(3)
    random.seed(3)
    before = str(np.random.get_state()), random.getstate()
    first = Config(items, num_sample=4).make_configs(seed=7)
    assert (str(np.random.get_state()), random.getstate()) == before
    assert Config(items, num_sample=4).make_configs(seed=7) == first
    assert Config(items, num_sample=9).make_configs(seed=7)[:4] == first
    assert Config(items, num_sample=4).make_configs(seed=8) != first
    assert len({config[key] for config in first for key in items}) == 12


def test_without_a_seed_draws_follow_numpys_generator() -> None:
    config = Config({"old": Sample(np.random.uniform), "new": uniform(0, 1)}, num_sample=2)
    np.random.seed(1)
    first = config.make_configs()
    np.random.seed(1)
    assert config.make_configs() == first
    assert config.make_configs() != first


def test_recorded_draws_are_taken_again() -> None:
    config = Config({"x": Grid([1, 2]), "lr": uniform(0, 1), "double": Condition(lambda c: 2 * c["lr"])}, num_sample=2)
    recorded = config.make_configs()
    assert config.make_configs(draws=recorded) == recorded
    more = Config({"x": Grid([1, 2]), "lr": uniform(0, 1)}, num_sample=3).make_configs(draws=recorded)
    assert [each["lr"] for each in more[:4]] == [each["lr"] for each in recorded]


def test_conditions_may_use_other_conditions_in_any_order() -> None:
    items = {"a": Condition(lambda c: c["b"] + 1), "b": Condition(lambda c: 2 * c["x"]), "x": 3}
    assert Config(items).make_configs() == [{"ID": 0, "a": 7, "b": 6, "x": 3}]


def test_conditions_in_a_circle_are_an_error_that_names_them() -> None:
    items = {"a": Condition(lambda c: c["b"]), "b": Condition(lambda c: c["a"])}
    with pytest.raises(ConditionError, match="'a' reads 'b', 'b' reads 'a'"):
        Config(items).make_configs()


@pytest.mark.parametrize("items", [[("x", 1)], "x", None])
def test_items_must_be_a_dict(items: object) -> None:
    with pytest.raises(TypeError, match="items must be a dict"):
        Config(items)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["seed", "seeds", "ID"])
def test_seeds_and_numbers_are_not_configuration_items(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        Config({key: 1})


def test_sets_that_hold_nothing_are_errors() -> None:
    with pytest.raises(ValueError, match="empty grid"):
        Config({"x": Grid([])})
    with pytest.raises(ValueError, match="num_sample"):
        Config({"x": 1}, num_sample=0)


def test_the_distributions_have_the_ranges_and_shapes_that_they_say() -> None:
    rng = np.random.default_rng(0)
    rates = [log_uniform(1e-4, 1e-1)(rng) for _ in range(3000)]
    assert min(rates) >= 1e-4
    assert max(rates) < 1e-1
    logs = np.log10(rates)
    counts, _ = np.histogram(logs, bins=[-4, -3, -2, -1])
    assert all(900 < count < 1100 for count in counts)
    assert {int_uniform(1, 3)(rng) for _ in range(100)} == {1, 2, 3}
    assert {choice(["a", "b"])(rng) for _ in range(100)} == {"a", "b"}
    numbers = [uniform(-2, 2)(rng) for _ in range(1000)]
    assert -2 <= min(numbers) < -1.9
    assert 1.9 < max(numbers) < 2
    with pytest.raises(ValueError, match="low"):
        log_uniform(0, 1)
