"""DiscoGen's flat form of a task, in both directions; its errors name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml

import discoenv
from discoenv.discogen.api import config_from_task, create_config, task_from_config
from discoenv.discogen.config import discobench_config, infer_domain
from discoenv.errors import TaskError, UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.reading import read_task
from discoenv.tasks.task import Task
from tests.conftest import MakeVariant


@pytest.fixture
def config(toy: Domain) -> dict[str, Any]:
    return {"train_task_id": ["Line"], "test_task_id": ["Wave", "Steps"], "change_model": True}


def test_what_a_configuration_leaves_out_has_defaults(config: dict[str, Any]) -> None:
    assert task_from_config("Toy", config) == Task(
        domain="Toy", modules=("model",), meta_train=("Line",), meta_test=("Wave", "Steps")
    )


def test_the_scale_of_a_domain_without_the_default_one_is_one_that_it_has(make_variant: MakeVariant) -> None:
    names = ("Line", "Wave", "Steps", "Noise")
    make_variant(files={f"datasets/{name}/config.yaml": "full: {n: 1}\n" for name in names})
    config = {"train_task_id": ["Line"], "test_task_id": ["Wave"], "change_model": True}
    assert task_from_config("Variant", config).scale == "full"


def test_a_single_dataset_may_be_written_without_a_list(config: dict[str, Any]) -> None:
    assert task_from_config("Toy", {**config, "train_task_id": "Line"}).meta_train == ("Line",)


def test_a_task_survives_the_way_through_a_configuration(task: Task) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"modules": ("model",), "objective": "golf", "start": "base", "scale": "small"},
        {"baseline_scale": 0.8, "train_seeds": 3, "test_seeds": 7},
    ]
    for change in changes:
        changed = task.model_copy(update=change)
        config = yaml.safe_load(yaml.safe_dump(config_from_task(changed, "there")))
        assert config["source_path"] == "there"
        assert task_from_config("Toy", config) == changed


def test_keys_that_discogen_does_not_know_are_written_only_when_needed(task: Task) -> None:
    config = config_from_task(task.model_copy(update={"test_seeds": 2}))
    assert set(config) == {*create_config("Toy"), "eval_type", "use_base", "scale"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chnage_model": True}, r"no key is called 'chnage_model' in config \(Toy\); did you mean 'change_model'"),
        ({"change_loss": True}, "no key is called 'change_loss' in config"),
        ({"train_task": ["Line"]}, "did you mean 'train_task_id'"),
        ({"change_model": "yes"}, "config: change_model: must be true or false, not 'yes'"),
        ({"change_model": False}, "config: change_<module>: no module is editable"),
        ({"train_task_id": ["Lime"]}, r"no dataset is called 'Lime' in Toy \(config: train_task_id\).* mean 'Line'"),
        ({"train_task_id": []}, "config: train_task_id: Tuple should have at least 1 item"),
        ({"train_task_id": None}, "config: train_task_id: Input should be a valid tuple"),
        ({"train_task_id": [1]}, "config: train_task_id.0: Input should be a valid string"),
        ({"train_task_id": ["Line", "Line"]}, "config: train_task_id: Line is listed twice"),
        ({"test_task_id": ["Line"]}, "config: test_task_id: Line is in train_task_id too"),
        ({"template_backend": "jax"}, r"no backend is called 'jax' in Toy \(config: template_backend\)"),
        ({"template_backend": 1}, "config: template_backend: Input should be a valid string"),
        ({"use_base": "no"}, "config: use_base: Input should be a valid boolean"),
        ({"scale": "huge"}, "config: scale: Input should be 'tiny', 'small' or 'full'"),
        ({"scale": "full"}, "no scale is called 'full' in .*dataset Wave"),
        ({"baseline_scale": -1}, "config: baseline_scale: Input should be greater than 0"),
        ({"source_path": ""}, "config: source_path: String should have at least 1 character"),
    ],
)
def test_an_error_names_the_key(config: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises((TaskError, UnknownName), match=message):
        task_from_config("Toy", {**config, **change})


def test_a_missing_key_is_named(config: dict[str, Any]) -> None:
    del config["test_task_id"]
    with pytest.raises(TaskError, match="config: test_task_id: Field required"):
        task_from_config("Toy", config)


def test_the_domain_is_the_one_that_has_the_names(config: dict[str, Any]) -> None:
    assert infer_domain(config) == "Toy"
    with pytest.raises(TaskError, match="mine: no domain has all of its modules and datasets; say which"):
        infer_domain({"train_task_id": ["Elsewhere"], "test_task_id": 5}, "mine")


def test_two_domains_that_fit_are_reported(make_variant: MakeVariant, config: dict[str, Any]) -> None:
    folder = make_variant("Variant").directory
    twin = folder.with_name("Twin")
    twin.mkdir()
    for path in folder.iterdir():
        (twin / path.name).symlink_to(path)
    (twin / "domain.yaml").unlink()
    text = (folder / "domain.yaml").read_text().replace("Variant", "Twin")
    (twin / "domain.yaml").write_text(text)
    from discoenv.tasks import registry as domains

    domains._known.cache_clear()
    with pytest.raises(TaskError, match="config: it could be of Twin, Variant; say which"):
        infer_domain(config)


def test_a_task_is_read_from_whatever_users_have(config: dict[str, Any], task: Task, tmp_path: Path) -> None:
    expected = task_from_config("Toy", config)
    assert read_task(expected) is expected
    assert read_task(config) == expected
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "task.yaml").write_text(expected.to_yaml())
    assert read_task(tmp_path / "config.yaml") == read_task(str(tmp_path / "task.yaml")) == expected
    assert read_task(expected.model_dump()) == expected
    tiny = read_task(config, {"scale": "tiny", "objective": "golf", "start": "base"})
    assert (tiny.scale, tiny.objective, tiny.start) == ("tiny", "golf", "base")
    assert read_task({**config, "scale": "small"}, {"scale": "tiny"}).scale == "small"


def test_what_cannot_be_read_is_reported(toy: Domain, tmp_path: Path) -> None:
    for text, message in (("a: [", "not valid YAML"), ("- a", "must be a mapping"), ("[" * 5000, "not valid YAML")):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(TaskError, match=message):
            read_task(tmp_path / "config.yaml")
    with pytest.raises(TaskError, match="cannot be read as a task's YAML file"):
        read_task("absent.yaml")
    with pytest.raises(UnknownName, match="no DiscoBench task is called 'Toy_model'"):
        read_task("Toy_model")


def test_gym_make_takes_a_discobench_task_and_a_configuration(tmp_path: Path) -> None:
    def task_of(task: Any, **arguments: Any) -> Task:
        env = gymnasium.make("DiscoGen-v0", task=task, sandbox="process", runs_dir=None, **arguments)
        try:
            found = env.unwrapped._task  # type: ignore[attr-defined]
            assert isinstance(found, Task)
            return found
        finally:
            env.close()

    loss = task_of("OnPolicyRL_loss", scale="tiny", objective="time", sampling={"test_seeds": 3})
    assert loss == Task(
        domain="OnPolicyRL",
        modules=("loss",),
        meta_train=("MinAtar/Breakout", "MinAtar/Freeway", "Brax/HalfCheetah"),
        meta_test=("MinAtar/Asterix", "MinAtar/SpaceInvaders", "Brax/Humanoid"),
        scale="tiny",
        objective="time",
        test_seeds=3,
    )
    assert task_of(discobench_config("OnPolicyRL_loss")).scale == "small"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(discoenv.create_config("OnPolicyRL")))
    with pytest.raises(TaskError, match="no module is editable"):
        task_of(str(tmp_path / "config.yaml"))
    with pytest.raises(UnknownName, match="did you mean 'OnPolicyRL_loss'"):
        task_of("OnPolicyRL_los")
