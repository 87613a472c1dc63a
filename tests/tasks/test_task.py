"""A task is validated, survives YAML, and has an identity that changes with its content and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discoenv.errors import TaskError, UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Task
from tests.conftest import MakeVariant

NAMES = st.text(min_size=1, max_size=20)
SIDES = st.lists(NAMES, min_size=2, max_size=6, unique=True).flatmap(
    lambda names: st.integers(1, len(names) - 1).map(lambda cut: (names[:cut], names[cut:]))
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Any valid task, with names that no domain has."""
    meta_train, meta_test = draw(SIDES)
    return Task(
        domain=draw(NAMES),
        modules=tuple(draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))),
        meta_train=tuple(meta_train),
        meta_test=tuple(meta_test),
        backend=draw(NAMES),
        objective=draw(NAMES),
        start=draw(st.sampled_from(["stub", "base"])),
        scale=draw(st.sampled_from(["tiny", "small", "full"])),
        baseline_scale=draw(st.floats(0, 10, exclude_min=True)),
        train_seeds=draw(st.integers(1, 1000)),
        test_seeds=draw(st.integers(1, 1000)),
    )


@given(tasks())
@settings(max_examples=300, deadline=None)
def test_yaml_round_trip_gives_an_equal_task(config: Task) -> None:
    assert Task.from_yaml(config.to_yaml()) == config


@given(tasks())
@settings(max_examples=50, deadline=None)
def test_a_task_of_plain_values_is_the_same_task(config: Task) -> None:
    assert Task.parse(config.model_dump(mode="json")) == config
    assert Task.parse(config) is config


def test_task_id_is_what_it_was_when_this_was_written(task: Task) -> None:
    """Recorded runs and published results refer to tasks by id: never change this literal without a major version."""
    assert task.task_id == "Toy-cde92f4569558ef6"


def test_task_id_does_not_depend_on_the_order_of_names(task: Task) -> None:
    wide = task.model_copy(update={"meta_train": ("Line", "Steps"), "meta_test": ("Wave", "Noise")})
    turned = wide.model_copy(
        update={"modules": ("features", "model"), "meta_train": ("Steps", "Line"), "meta_test": ("Noise", "Wave")}
    )
    assert turned.task_id == wide.task_id != task.task_id


def test_task_id_changes_with_every_field(make_variant: MakeVariant, task: Task) -> None:
    make_variant("Toy", change=lambda c: c["backends"].update(other={"summary": "Other."}))
    make_variant("Toys")  # in another root; ids of other fields are computed before it is asked for
    changes: dict[str, Any] = {
        "modules": ("model",),
        "meta_train": ("Steps",),
        "meta_test": ("Noise",),
        "objective": "time",
        "start": "base",
        "scale": "small",
        "baseline_scale": 0.5,
        "train_seeds": 2,
        "test_seeds": 2,
    }
    make_variant("Toy", change=lambda c: c["backends"].update(other={"summary": "Other."}))
    ids = [task.task_id, task.model_copy(update={"backend": "other"}).task_id]
    ids += [task.model_copy(update={key: value}).task_id for key, value in changes.items()]
    make_variant("Toys")
    ids.append(task.model_copy(update={"domain": "Toys"}).task_id)
    assert set(changes) | {"domain", "backend"} == set(Task.model_fields)
    assert len(set(ids)) == len(ids)


def test_task_id_changes_with_the_version_of_the_domain(make_variant: MakeVariant, task: Task) -> None:
    before = task.task_id
    make_variant("Toy", change=lambda c: c.update(version=2))
    assert task.task_id != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modules": []}, "modules: Tuple should have at least 1 item"),
        ({"meta_train": []}, "meta_train: Tuple should have at least 1 item"),
        ({"meta_test": []}, "meta_test: Tuple should have at least 1 item"),
        ({"modules": "model"}, "modules: Input should be a valid tuple"),
        ({"modules": ["model", "model"]}, "modules: model is listed twice"),
        ({"meta_test": ["Line"]}, "meta_test: Line is in meta_train too; the two must be disjoint"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"start": "empty"}, "start: Input should be 'stub' or 'base'"),
        ({"scale": "huge"}, "scale: Input should be 'tiny', 'small' or 'full'"),
        ({"baseline_scale": 0}, "baseline_scale: Input should be greater than 0"),
        ({"baseline_scale": float("nan")}, "baseline_scale: Input should be "),
        ({"baseline_scale": float("inf")}, "baseline_scale: Input should be "),
        ({"test_seeds": 0}, "test_seeds: Input should be greater than or equal to 1"),
        ({"train_seeds": 1.5}, "train_seeds: Input should be a valid integer"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(task: Task, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as caught:
        Task.parse({**task.model_dump(), **change}, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert message in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(TaskError, match="task: domain: Field required"):
        Task.parse({"modules": ["model"], "meta_train": ["a"], "meta_test": ["b"]})


@pytest.mark.parametrize("text", ["a: [", "- a", "", "5", "\0", "[" * 5_000])
def test_what_is_not_a_yaml_mapping_is_refused(text: str) -> None:
    with pytest.raises(TaskError, match=r"^mine\.yaml: "):
        Task.from_yaml(text, "mine.yaml")


def test_a_file_is_read_by_its_path(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(task.to_yaml())
    assert Task.parse(path) == Task.parse(str(path)) == task


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (binary, tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(TaskError) as caught:
            Task.parse(path)
        assert str(caught.value).startswith(f"{path}: cannot be read as a task's YAML file")
    with pytest.raises(TaskError, match="cannot be read"):
        Task.parse("a\0b")


def test_a_task_is_immutable_and_hashable(task: Task) -> None:
    with pytest.raises(ValueError, match="frozen"):
        task.scale = "full"  # type: ignore[misc]
    assert len({task, task.model_copy()}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "Tyo"}, "no domain is called 'Tyo'; did you mean 'Toy'?"),
        ({"modules": ("modle",)}, "no module is called 'modle' in Toy; did you mean 'model'?"),
        ({"meta_test": ("Waves",)}, "no dataset is called 'Waves' in Toy; did you mean 'Wave'?"),
        ({"backend": "jax"}, "no backend is called 'jax' in Toy; known are default."),
        ({"scale": "full"}, "no scale is called 'full' in Toy, dataset Wave; known are tiny, small."),
    ],
)
def test_names_that_do_not_exist_are_reported_on_resolving(task: Task, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        task.model_copy(update=change).resolve()
    assert str(caught.value) == message


def test_resolving_gives_the_domain(task: Task, toy: Domain) -> None:
    assert task.resolve() is toy
