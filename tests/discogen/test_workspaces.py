"""What building a task keeps, what it replaces, and what it refuses to touch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from discoenv import create_config, create_task
from discoenv.discogen.api import read
from discoenv.errors import TaskError, UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Task, TaskSide
from tests.conftest import MakeVariant


@pytest.fixture
def config(toy: Domain) -> dict[str, Any]:
    return {"train_task_id": ["Line"], "test_task_id": ["Wave"], "change_model": True, "source_path": "mine"}


def test_a_meta_train_build_replaces_the_workspace(config: dict[str, Any], folder: Path) -> None:
    workspace = create_task("Toy", config_dict=config)
    assert workspace == folder / "mine"
    (workspace / "discovered" / "model.py").write_text("old = True\n")
    (workspace / "notes").mkdir()
    (workspace / "notes" / "idea.txt").write_text("old")
    create_task("Toy", config_dict={**config, "train_task_id": ["Noise"]})
    names = {path.name for path in workspace.iterdir()}
    assert names == {
        "Noise",
        "discovered",
        "description.md",
        "task.yaml",
        "requirements.txt",
        "install.sh",
        "run_main.py",
    }
    assert "NotImplementedError" in (workspace / "discovered" / "model.py").read_text()


def test_a_meta_test_build_keeps_what_was_discovered_and_replaces_the_rest(
    config: dict[str, Any], folder: Path
) -> None:
    workspace = create_task("Toy", config_dict=config)
    (workspace / "discovered" / "model.py").write_text("found = True\n")
    (workspace / "discovered" / "notes.txt").write_text("mine")
    before = (workspace / "discovered").stat()
    both = {**config, "change_features": True}
    create_task("Toy", test=True, config_dict=both)
    assert (workspace / "discovered").stat().st_ino == before.st_ino
    assert {path.name for path in workspace.iterdir() if path.is_dir()} == {"Wave", "discovered"}
    assert (workspace / "discovered" / "notes.txt").read_text() == "mine"
    assert (workspace / "Wave" / "model.py").read_text() == "found = True\n"
    assert "NotImplementedError" in (workspace / "Wave" / "features.py").read_text()  # was missing
    assert read(workspace) == TaskSide(domain="Toy", modules=("model", "features"), datasets=("Wave",))


def test_a_meta_test_build_can_start_from_nothing(config: dict[str, Any], folder: Path) -> None:
    workspace = create_task("Toy", True, config_dict={**config, "source_path": "deep/er"})
    assert workspace == folder / "deep" / "er"
    assert (workspace / "Wave" / "model.py").is_file()


def test_the_folder_stays_the_same_one(config: dict[str, Any], folder: Path) -> None:
    """A shell in it goes on working; and in it, the path of the configuration still means it."""
    workspace = create_task("Toy", config_dict=config)
    os.chdir(workspace)
    number = workspace.stat().st_ino
    assert create_task("Toy", config_dict=config) == create_task("Toy", test=True, config_dict=config) == workspace
    assert Path.cwd().stat().st_ino == number
    os.chdir(workspace / "discovered")
    assert create_task("Toy", test=True, config_dict=config) == workspace
    assert create_task("Toy", config_dict={**config, "source_path": str(folder / "b")}) == folder / "b"


def test_an_empty_folder_and_a_home_may_be_the_place(
    config: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "mine").mkdir()
    assert create_task("Toy", config_dict={**config, "source_path": "~/mine"}) == folder / "mine"


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("content", [None, "", "domain: Toy\n", "a: [", "name: build\nsteps: [1]\n"])
def test_a_folder_that_is_no_workspace_is_not_touched(
    config: dict[str, Any], folder: Path, content: str | None, test: bool
) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("years")
    if content is not None:
        (folder / "mine" / "task.yaml").write_text(content)
    with pytest.raises(TaskError, match=r"holds files and is not a discoenv workspace .* change source_path"):
        create_task("Toy", test=test, config_dict=config)
    assert (folder / "mine" / "thesis.tex").read_text() == "years"


def test_a_folder_of_workspaces_is_not_touched(config: dict[str, Any], folder: Path) -> None:
    create_task("Toy", config_dict={**config, "source_path": "mine"})
    create_task("Toy", config_dict={**config, "source_path": "mine/inner"})
    with pytest.raises(TaskError, match=r"holds another workspace, .*mine/inner"):
        create_task("Toy", config_dict=config)
    create_task("Toy", config_dict={**config, "source_path": "several/inner"})
    with pytest.raises(TaskError, match="is not a discoenv workspace"):
        create_task("Toy", config_dict={**config, "source_path": "several"})


def test_a_file_is_not_touched(config: dict[str, Any], folder: Path) -> None:
    (folder / "mine").write_text("text")
    with pytest.raises(TaskError, match="mine: is a file"):
        create_task("Toy", config_dict=config)
    assert (folder / "mine").read_text() == "text"


def test_discovered_modules_of_another_domain_are_not_mixed_in(
    config: dict[str, Any], folder: Path, make_variant: MakeVariant
) -> None:
    create_task("Toy", config_dict=config)
    make_variant("Variant")
    with pytest.raises(TaskError, match="holds a task of Toy, whose discovered/ does not fit a meta-test of Variant"):
        create_task("Variant", test=True, config_dict=config)
    create_task("Variant", config_dict=config)
    assert read(folder / "mine").domain == "Variant"


@pytest.mark.parametrize("test", [False, True])
def test_a_build_that_fails_puts_everything_back(
    config: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, test: bool
) -> None:
    """Fails at the first renaming, then at the second, and so on, until it does not fail any more."""
    workspace = create_task("Toy", config_dict=config)
    (workspace / "discovered" / "model.py").write_text("old = True\n")

    def state() -> dict[str, bytes | None]:
        return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}

    before = state()
    original = Path.rename
    for number in range(1, 50):
        calls = 0

        def fail(self: Path, target: Path, number: int = number) -> Path:
            nonlocal calls
            calls += 1
            if calls == number:
                raise OSError(28, "No space left on device")
            return original(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", fail)
            try:
                create_task("Toy", test=test, config_dict={**config, "train_task_id": ["Noise"]})
                break
            except OSError:
                assert state() == before
    assert number > 5
    assert state() != before


def test_arguments_take_precedence_over_the_configuration(config: dict[str, Any], folder: Path) -> None:
    configured = {**config, "use_base": True, "eval_type": "time", "baseline_scale": 0.5, "scale": "tiny"}
    kept = read(create_task("Toy", config_dict=configured))
    assert (kept.start, kept.objective, kept.baseline_scale, kept.scale) == ("base", "time", 0.5, "tiny")
    given = read(
        create_task("Toy", config_dict=configured, use_base=False, eval_type="golf", baseline_scale=1.0, scale="small")
    )
    assert (given.start, given.objective, given.baseline_scale, given.scale) == ("stub", "golf", 1.0, "small")
    assert configured["eval_type"] == "time"


def test_what_cannot_be_created_is_reported(config: dict[str, Any], folder: Path) -> None:
    with pytest.raises(UnknownName, match="no domain is called 'Toi'; did you mean 'Toy'"):
        create_task("Toi")
    with pytest.raises(UnknownName, match="no objective is called 'tiem'; did you mean 'time'"):
        create_task("Toy", config_dict=config, eval_type="tiem")
    with pytest.raises(TaskError, match="eval_type: 'random' is for sampling"):
        create_task("Toy", config_dict=config, eval_type="random")
    with pytest.raises(TaskError, match="give only one of example, config_path and config_dict"):
        create_task("Toy", example=True, config_dict=config)
    with pytest.raises(TaskError, match=r"absent\.yaml: cannot be read"):
        create_task("Toy", config_path="absent.yaml")
    with pytest.raises(UnknownName, match="no example task is called 'Toy'"):
        create_task("Toy", example=True)
    assert list(folder.iterdir()) == []


def test_data_is_fetched_only_where_a_domain_has_some(
    config: dict[str, Any], folder: Path, toy: Domain, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    create_task("Toy", config_dict=config, cache_root="cache")
    assert not (folder / "cache").exists()
    assert not recwarn.list
    asked: list[tuple[str, Path | None]] = []
    (folder / "fetched").mkdir()

    def data(dataset: str, cache_root: Path | None) -> Path:
        asked.append((dataset, cache_root))
        return folder / "fetched"

    monkeypatch.setattr(toy, "data", data)
    create_task("Toy", config_dict=config, no_data=True)
    assert asked == []
    workspace = create_task("Toy", config_dict=config, cache_root="cache")
    assert asked == [("Line", folder / "cache")]
    assert (workspace / "Line" / "data").resolve() == folder / "fetched"


def test_a_default_configuration_is_a_view_of_the_code_base(toy: Domain, folder: Path) -> None:
    workspace = create_task("Toy", config_dict=create_config("Toy"))
    assert read(workspace) == TaskSide(domain="Toy", modules=(), datasets=tuple(toy.datasets))
    assert "np.linalg.solve" in (workspace / "Line" / "model.py").read_text()


def test_a_run_directory_can_be_read_too(task: Task, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(task.to_yaml())
    assert read(tmp_path) == task
