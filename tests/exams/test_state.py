"""What a learner hands over is checked whole: a wrong state is a scored outcome that names the array."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from discoenv.exams.state import MOST_LEVELS, State, checked
from discoenv.exams.wire import ProtocolError, RuleBroken


def test_a_state_is_its_arrays_by_path() -> None:
    state = checked({"params": {"kernel": np.ones((2, 3), np.float32), "bias": [np.zeros(2), 1]}, "steps": 7})
    assert list(state.arrays) == ["params/kernel", "params/bias/0", "params/bias/1", "steps"]
    assert state.size == 6 + 2 + 1 + 1
    assert state.bytes == 24 + 16 + 8 + 8
    assert list(state["params"].arrays) == ["params/kernel", "params/bias/0", "params/bias/1"]
    assert state["params"].size == 9


def deep(levels: int) -> Any:
    return {"a": deep(levels - 1)} if levels else np.zeros(1)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (None, "the state is None; expected a dict of arrays"),
        ([np.zeros(1)], "the state is list; expected a dict of arrays"),
        ({}, "the state holds no array"),
        ({"a": {}}, "the state holds no array"),
        ({"a": "text"}, "state 'a' is str; expected an array of numbers"),
        ({"a": {"b": [None]}}, "state 'a/b/0' is None; expected an array of numbers"),
        ({"a": {"b": np.array([1.0, np.nan, np.inf])}}, "state 'a/b': 2 of 3 values are NaN or infinite"),
        ({"a": np.array(["b"])}, "state 'a' is an array of <U1; expected an array of numbers"),
        ({"a": float("nan")}, "state 'a': 1 of 1 values are NaN or infinite"),
        ({"a": 1 << 70}, "state 'a' is int; expected an array of numbers"),
        ({"a/b": np.zeros(1), "a": {"b": np.zeros(1)}}, "the state has two arrays that are called 'a/b'"),
        (deep(MOST_LEVELS + 1), f"more than {MOST_LEVELS} dicts and lists within each other"),
    ],
)
def test_what_is_no_tree_of_finite_arrays_is_refused(tree: Any, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        checked(tree)
    assert message in str(caught.value)


def test_a_state_that_is_too_large_names_its_largest_array() -> None:
    with pytest.raises(RuleBroken, match=r"has 88 bytes; 80 are allowed. The largest array is 'b', float64\[10\]"):
        checked({"a": np.zeros(1), "b": np.zeros(10)}, most_bytes=80)


def reference() -> State:
    return checked({"model": {"kernel": np.zeros((2, 3), np.float32)}, "head": np.zeros(3)})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s["body"], ProtocolError, "the state has no 'body'; it has 'model', 'head'"),
        (lambda s: s["head"], ProtocolError, "state['head'] is an array of float64; expected a dict of arrays"),
        (lambda s: s.require_keys("model"), ProtocolError, "has 'head' too; its keys must be 'model'"),
        (lambda s: s.require_keys("model", "head", "tail"), ProtocolError, "the state lacks 'tail'"),
        (
            lambda s: s.require_like({"model/kernel": np.zeros((2, 4), np.float32), "head": np.zeros(3)}),
            ProtocolError,
            "state 'model/kernel' is float32[2, 3]; expected float32[2, 4]",
        ),
        (
            lambda s: s.require_like({"model/kernel": np.zeros((2, 3)), "head": np.zeros(3)}),
            ProtocolError,
            "state 'model/kernel' is float32[2, 3]; expected float64[2, 3]",
        ),
        (
            lambda s: s.require_like({"head": np.zeros(3)}),
            ProtocolError,
            "the state has an array 'model/kernel', float32[2, 3], which is not used",
        ),
        (
            lambda s: s.require_like({**s.arrays, "tail": np.zeros(1)}),
            ProtocolError,
            "the state has no array 'tail'; expected float64[1]",
        ),
        (
            lambda s: s.require_at_most(size=8, of="parameters"),
            RuleBroken,
            "the state has 9 parameters; the configuration allows 8. The largest array is 'model/kernel'",
        ),
    ],
)
def test_a_state_that_a_domain_does_not_allow_is_refused_by_name(
    call: Callable[[State], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call(reference())
    assert message in str(caught.value)


def test_a_state_that_is_allowed_passes() -> None:
    state = reference()
    state.require_keys("head", "model")
    state.require_like(state.arrays)
    state.require_at_most(size=9, of="parameters")


# ---- any tree at all


def tree(rng: random.Random, level: int = 0) -> Any:
    """Anything that a message can hold."""
    kind = rng.randrange(10 if level < 6 else 6)
    if kind == 0:
        return rng.choice([None, True, 1, -3, 1.5, float("nan"), float("inf"), "", "text", "\ud800", 1 << 80])
    if kind <= 5:
        shape = tuple(rng.randrange(4) for _ in range(rng.randrange(4)))
        dtype = rng.choice(["f2", "f4", "f8", "i1", "i4", "u8", "?", "U3", "c8"])
        array = np.zeros(shape, dtype)
        if dtype[0] == "f" and rng.random() < 0.2:
            array.flat[:1] = rng.choice([np.nan, -np.inf])
        return array
    keys = ["", "a", "b", "a/b", "weights", "0", "é", "x" * 300]
    if kind <= 7:
        return {rng.choice(keys): tree(rng, level + 1) for _ in range(rng.randrange(4))}
    return [tree(rng, level + 1) for _ in range(rng.randrange(4))]


def test_any_tree_is_a_state_or_refused() -> None:
    refused = 0
    for seed in range(2000):
        rng = random.Random(seed)
        given = {rng.choice("abc"): tree(rng) for _ in range(3)} if seed % 5 else tree(rng)
        try:
            state = checked(given, most_bytes=2000)
        except (ProtocolError, RuleBroken) as error:
            refused += 1
            assert "state" in str(error), seed
        else:
            assert state.bytes <= 2000, seed
            assert all(array.dtype.kind in "biuf" for array in state.arrays.values()), seed
    assert 200 < refused < 1900
