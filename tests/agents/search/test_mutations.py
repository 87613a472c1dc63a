"""Random changes of modules: valid Python, in places where a change means something, reproducible."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from discoenv.agents.search.mutations import NothingToMutate, mutate, sites
from discoenv.tasks.registry import get_domain, get_domains

SOURCE = '''\
"""A module with 3 numbers in its docstring."""

import numpy as np
import optax
from sklearn.linear_model import LinearRegression

RATE = 0.01  # ünïcode before a number: 5


def f(x: "int", config):
    """Doc 7."""
    y = np.sum(x[:, 2], axis=1).reshape(4, 4)
    optimiser = optax.adam(config["LR"], eps=1e-5)
    return LinearRegression(), y * 0.99, optimiser, config["STEPS"]
'''


def olds(source: str, **configuration: object) -> list[str]:
    return sorted(site.old for site in sites(source, configuration))


def test_only_what_means_something_is_changed() -> None:
    assert olds(SOURCE) == ["0.01", "0.99", "1e-5", "LinearRegression", "optax.adam"]
    assert olds(SOURCE, LR=3e-4, STEPS=16) == ["0.01", "0.99", "1e-5", "LinearRegression", 'config["LR"]', "optax.adam"]


def test_everything_else_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        changed = mutate({"m.py": SOURCE}, rng).modules["m.py"]
        assert changed != SOURCE
        differing = [(a, b) for a, b in zip(SOURCE.splitlines(), changed.splitlines(), strict=True) if a != b]
        assert 1 <= len(differing) <= 2  # an import and its use belong together
        assert all(a.partition("#")[2] == b.partition("#")[2] for a, b in differing)


def test_a_regression_is_exchanged_where_it_is_imported_and_where_it_is_made() -> None:
    source = "from sklearn.linear_model import LinearRegression\n\nmodel = LinearRegression()\n"
    changed = mutate({"m.py": source}, np.random.default_rng(0)).modules["m.py"]
    name = changed.split()[3]
    assert changed == source.replace("LinearRegression", name) != source


def test_numbers_change_as_their_kind_does() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        decay = float(mutate({"m.py": "x = 0.99"}, rng).modules["m.py"][4:])
        assert 0.959 < decay < 0.998
        power = int(mutate({"m.py": "x = 64"}, rng).modules["m.py"][4:])
        assert power in (32, 128)
        small = int(mutate({"m.py": "x = 1"}, rng).modules["m.py"][4:])
        assert small == 2
        rate = float(mutate({"m.py": "x = 1e-3"}, rng).modules["m.py"][4:])
        assert 2.4e-4 < rate < 4.1e-3
    assert mutate({"m.py": "x = True"}, rng).modules["m.py"] == "x = False"


@pytest.mark.parametrize("domain", get_domains())
def test_changes_of_base_modules_are_valid_python(domain: str) -> None:
    found = get_domain(domain)
    base = {f"{name}.py": found.module_text(name, backend="default", start="base") for name in found.modules}
    configuration = found.config(found.datasets[0], "tiny")
    rng = np.random.default_rng(0)
    modules = base
    for _ in range(60):
        mutation = mutate(modules, rng, changes=3, configuration=configuration)
        assert mutation.changes
        assert mutation.modules != modules
        modules = mutation.modules
        for text in modules.values():
            ast.parse(text)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_positions_are_right_whatever_the_text_holds(line_break: str) -> None:
    lines = ["# \x0c form feed, \u2028 line separator, 𝒳", "s = '\u2028\x1c 7'; x = 0.25  # 0.5", "y = 'ü'; z = 0.75"]
    source = line_break.join(lines)
    assert olds(source) == ["0.25", "0.75"]
    changed = mutate({"m.py": source}, np.random.default_rng(0), changes=2).modules["m.py"]
    numbers = [text for text in changed.replace(line_break, " ").replace(";", " ").split(" ") if text[:1].isdigit()]
    assert changed.partition(line_break)[0] == lines[0]
    assert len(numbers) == 4 and not {"0.25", "0.75"} & set(numbers)


def test_the_same_seed_makes_the_same_changes() -> None:
    twice = [mutate({"m.py": SOURCE}, np.random.default_rng(3), changes=2) for _ in range(2)]
    assert twice[0] == twice[1]
    assert len(twice[0].changes) == 2


@pytest.mark.parametrize("source", ["", "def f(x):\n    return x[0]\n", "this is not Python"])
def test_nothing_to_change_is_an_error(source: str) -> None:
    with pytest.raises(NothingToMutate, match=r"m\.py"):
        mutate({"m.py": source}, np.random.default_rng(0))
