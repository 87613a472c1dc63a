"""A pickle in a run directory is loaded if this user has written it, and otherwise named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discoenv.errors import ExperimentError
from discoenv.exams import secrets
from discoenv.experiment import Checkpoint, Config, Grid, RunDirectory, run_experiment, sealed
from discoenv.machine import user_state


class Running:
    """Its pickle makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def _squares(config: dict[str, Any], seed: int, device: str, logdir: Path) -> set[int]:
    Checkpoint(logdir).save({seed})
    return {int(config["x"]) ** 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment whose results JSON cannot hold."""
    assert run_experiment(_squares, Config({"x": Grid([2, 3])}), [0], tmp_path / "logs") == [{4}, {9}]
    return tmp_path / "logs"


def test_what_this_user_has_written_is_read(folder: Path) -> None:
    assert run_experiment(_squares, Config({"x": Grid([2, 3])}), [0], folder, on_exists="resume") == [{4}, {9}]
    assert Checkpoint(folder / "1/0").load() == {0}
    run = RunDirectory(folder)
    run.save_state({1, 2})
    assert run.load_state() == {1, 2}
    assert oct((user_state.folder() / "pickle-key").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("name", ["configs.pkl", "1/0/result.pkl", "1/0/resume_checkpoint", "state.pkl"])
@pytest.mark.parametrize("writer", ["a stranger", "a stranger with discoenv", "a thief of a seal"])
def test_what_a_stranger_has_written_is_named_and_not_loaded(
    folder: Path, tmp_path: Path, name: str, writer: str
) -> None:
    loaded, path = tmp_path / "loaded", folder / name
    evil = pickle.dumps(Running(loaded))
    if writer == "a stranger":
        path.write_bytes(evil)
    elif writer == "a stranger with discoenv":
        with sealed.under(secrets.new()):
            sealed.write(path, evil)
    else:
        sealed.write(path, pickle.dumps({0}))
        own = path.read_bytes()
        path.write_bytes(own[: -len(pickle.dumps({0}))] + evil)
    with pytest.raises(ExperimentError, match=rf"{name}: it was not written by this user, or by an older version, so"):
        if name == "state.pkl":
            RunDirectory(folder).load_state()
        elif name == "1/0/resume_checkpoint":
            Checkpoint(folder / "1/0").load()
        else:
            run_experiment(_squares, Config({"x": Grid([2, 3])}), [0], folder, on_exists="resume")
    assert not loaded.exists()


def test_a_seal_whose_pickle_is_damaged_is_one_message(tmp_path: Path) -> None:
    sealed.write(tmp_path / "state.pkl", b"no pickle")
    with pytest.raises(ExperimentError, match=r"state\.pkl cannot be read"):
        RunDirectory(tmp_path).load_state()


def test_workers_use_the_key_of_who_started_them(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(config: dict[str, Any], seed: int, device: str, logdir: Path) -> set[int]:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine's"))
        try:
            return _squares(config, seed, device, logdir)
        finally:
            monkeypatch.undo()

    assert run_experiment(elsewhere, Config({"x": 5}), [0], tmp_path / "there") == [{25}]
    assert Checkpoint(tmp_path / "there/0/0").load() == {0}
