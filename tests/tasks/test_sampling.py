"""Sampled tasks are reproducible, valid, and distributed as the parameters say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discoenv.errors import TaskError, UnknownName
from discoenv.tasks import registry as domains
from discoenv.tasks.domain import Domain
from discoenv.tasks.sampling import available_datasets, sample_task
from discoenv.tasks.task import Task
from tests.conftest import TOY, MakeVariant


@pytest.fixture(autouse=True)
def _toy(toy: Domain) -> None:
    """All tests here draw from the toy domain."""


def sample(seed: int, **arguments: Any) -> Task:
    return sample_task(np.random.default_rng(seed), **arguments)


def test_the_same_state_of_the_generator_gives_the_same_task() -> None:
    assert [sample(seed) for seed in range(20)] == [sample(seed) for seed in range(20)]
    assert len({sample(seed).task_id for seed in range(20)}) > 10


def test_a_seed_gives_the_task_that_it_gave_when_this_was_written() -> None:
    """Experiments are repeated by seed: a change of the sampler's draws is a breaking change."""
    assert json.loads(sample(7, scale="tiny").model_dump_json(include={"modules", "meta_train", "meta_test"})) == {
        "modules": ["features"],
        "meta_train": ["Line"],
        "meta_test": ["Wave", "Steps", "Noise"],
    }


def test_one_generator_gives_different_tasks_one_after_another() -> None:
    rng = np.random.default_rng(0)
    assert len({sample_task(rng).task_id for _ in range(20)}) > 10


@given(
    seed=st.integers(0, 2**32),
    p_edit=st.floats(0.2, 1),
    weights=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5), st.floats(0, 1)),
    p_base=st.floats(0, 1),
    scale=st.sampled_from(["tiny", "small"]),
)
@settings(max_examples=200, deadline=None)
def test_a_task_is_never_empty_and_its_sides_never_overlap(
    seed: int, p_edit: float, weights: tuple[float, float, float], p_base: float, scale: Any
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(domains, "BUILTIN", TOY)
        task = sample(seed, p_edit=p_edit, p_data=weights, p_base=p_base, scale=scale, train_seeds=3, test_seeds=4)
        domain = task.resolve()
    assert task.modules
    assert task.meta_train
    assert task.meta_test
    assert not set(task.meta_train) & set(task.meta_test)
    assert set(task.modules) <= set(domain.modules)
    assert set(task.meta_train + task.meta_test) <= set(domain.datasets)
    assert (task.scale, task.train_seeds, task.test_seeds, task.baseline_scale) == (scale, 3, 4, 1.0)


def test_frequencies_are_roughly_those_of_the_parameters() -> None:
    """With 3 of 4 datasets in expectation on the meta-train side, redrawing empty sides shifts the rest only a bit."""
    rng = np.random.default_rng(0)
    tasks = [sample_task(rng, p_edit=0.5, p_data=(0.6, 0.3, 0.1), p_base=0.25) for _ in range(1500)]
    count = len(tasks)
    assert 0.20 < sum(task.start == "base" for task in tasks) / count < 0.30
    assert 0.60 < sum("model" in task.modules for task in tasks) / count < 0.73  # 0.5 / 0.75
    trains = sum(len(task.meta_train) for task in tasks)
    tests = sum(len(task.meta_test) for task in tasks)
    assert 1.3 < trains / tests < 2.2
    assert 0.05 < 1 - (trains + tests) / (4 * count) < 0.12


def test_certain_parameters_give_certain_tasks() -> None:
    task = sample(0, p_edit=1.0, p_data=(1, 1, 0), p_base=1.0)
    assert task.modules == ("model", "features")
    assert set(task.meta_train) | set(task.meta_test) == {"Line", "Wave", "Steps", "Noise"}
    assert task.start == "base"


def test_objectives_and_backends_are_drawn_from_the_candidates(make_variant: MakeVariant) -> None:
    make_variant(change=lambda c: c["backends"].update(other={"summary": "Other."}))
    tasks = [sample(seed, objectives=("time", "energy")) for seed in range(40)]
    assert {task.objective for task in tasks} == {"time", "energy"}
    assert {task.backend for task in tasks} == {"default", "other"}
    assert {sample(seed, backends=["other"]).backend for seed in range(20)} == {"other"}


def test_only_usable_datasets_are_drawn() -> None:
    tasks = [sample(seed, usable=lambda domain, backend, name: name in {"Line", "Noise"}) for seed in range(40)]
    assert {name for task in tasks for name in task.meta_train + task.meta_test} == {"Line", "Noise"}


def test_only_datasets_that_work_here_are_available(make_variant: MakeVariant) -> None:
    def change(content: dict[str, Any]) -> None:
        content["datasets"]["Wave"] = {"source": "download"}
        content["datasets"]["Steps"] = {"source": "offline", "gpu": ["tiny", "small", "full"]}

    domain = make_variant(change=change)
    assert available_datasets(domain, "tiny") == ["Line", "Noise"]
    assert available_datasets(domain, "tiny", gpu=True) == ["Line", "Steps", "Noise"]
    assert available_datasets(domain, "full", gpu=True) == ["Line"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_edit": 0.0}, r"Toy: 1000 draws gave no task .* raise p_edit \(now 0.0\)"),
        ({"p_data": (1, 0, 0)}, r"change p_data \(now \(1, 0, 0\)\)"),
        ({"p_edit": 1.5}, "p_edit and p_base are probabilities; they are 1.5 and 0.0"),
        ({"p_edit": float("nan")}, "p_edit and p_base are probabilities"),
        ({"p_base": -0.1}, "p_edit and p_base are probabilities"),
        ({"p_data": (1, 1)}, "p_data must be three weights"),
        ({"p_data": (1, -1, 1)}, "p_data must be three weights"),
        ({"p_data": (0, 0, 0)}, "p_data must be three weights"),
        ({"scale": "full"}, r"only \['Line'\] can be used here at scale full with backend default"),
        ({"usable": lambda *_: False}, "discoenv calibrate Toy --scale small --local"),
        ({"domains": []}, "domains: there is none to draw from"),
        ({"objectives": ()}, "objectives: there is none to draw from"),
        ({"backends": ()}, "backends: there is none to draw from"),
    ],
)
def test_what_cannot_be_sampled_is_reported_with_its_reason(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        sample(0, **arguments)


def test_unknown_candidates_are_reported() -> None:
    with pytest.raises(UnknownName, match="no domain is called 'Toi'; did you mean 'Toy'"):
        sample(0, domains=["Toi"])
    with pytest.raises(UnknownName, match="no backend is called 'jax' in Toy"):
        sample(0, backends=["jax"])


def test_nothing_is_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(0)
    assert capsys.readouterr() == ("", "")
