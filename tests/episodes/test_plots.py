"""Pictures: what an examiner saves reaches the run directory and nothing else; `discoenv draw` makes images of it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.cli.main import main
from discoenv.env import DiscoGenEnv
from discoenv.episodes import plots
from discoenv.episodes.record import EpisodeRecord, EventRecord, ResultRecord, ScoreRecord, SetupRecord, StepRecord
from discoenv.episodes.recorder import Recorder
from discoenv.errors import RunError
from discoenv.exams.examiner import MOST_ARTIFACT_BYTES, Examiner
from discoenv.tasks.task import Task

SETUP = SetupRecord(episode_seed=1, sandbox="bubblewrap", budget_scale=3.0)
PNG = b"\x89PNG"


class Silent(Examiner):
    """Saves what the tests ask it to save."""

    def examine(self, learner: Any, seed: int) -> dict[str, float]:
        return {}

    def floor(self, seed: int) -> dict[str, float]:
        return {}


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture
def recorder(task: Task, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "runs", task, SETUP)


def test_an_examiner_saves_copies_of_plain_arrays_up_to_a_limit() -> None:
    examiner = Silent("Line", "tiny", {})
    array = np.zeros(MOST_ARTIFACT_BYTES // 2, np.uint8)
    examiner.save_artifact("a", array)
    array[:] = 1
    assert not examiner.artifacts["a"].any()
    examiner.save_artifact("a", array)  # replaces what had the same name
    examiner.save_artifact("b", array)
    with pytest.raises(ValueError, match="save less of it"):
        examiner.save_artifact("c", [1.0])
    with pytest.raises(ValueError, match="only numbers and text"):
        Silent("Line", "tiny", {}).save_artifact("d", [object()])


def test_what_was_saved_is_found_again_by_step_side_dataset_and_number(recorder: Recorder) -> None:
    recorder.artifacts(2, "meta_test", "Group/One", 5, npz(a=[1, 2]))
    recorder.artifacts(1, "meta_train", "Two", 7, npz(a=[3]))
    recorder.artifacts(1, "meta_train", "Two", 8, b"")
    first, second = EpisodeRecord.load(recorder.directory).artifacts()
    assert (first.step, first.side, first.dataset, first.number) == (1, "meta_train", "Two", 7)
    assert (second.step, second.side, second.dataset, second.number) == (2, "meta_test", "Group/One", 5)
    assert second.arrays()["a"].tolist() == [1, 2]


def test_a_damaged_file_is_named(recorder: Recorder) -> None:
    recorder.artifacts(1, "meta_train", "Two", 7, b"nonsense")
    (exam,) = EpisodeRecord.load(recorder.directory).artifacts()
    with pytest.raises(RunError, match=r"7\.npz"):
        exam.arrays()


def test_scores_are_drawn_for_every_domain(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    trained = StepRecord(meta_train={"Line": ScoreRecord(normalised=0.5)})
    tested = StepRecord(meta_test={"Wave": ScoreRecord(normalised=0.5, standard_error=0.1)})
    recorder.event(EventRecord(event="reset"))
    recorder.event(EventRecord(event="step", step=1, info=trained))
    recorder.event(EventRecord(event="step", step=2, info=tested))
    recorder.result(ResultRecord(reward=0.5))
    with pytest.raises(SystemExit) as ended:
        main(["draw", str(recorder.directory)])
    assert ended.value.code == 0
    path = recorder.directory / "pictures" / "scores.png"
    assert capsys.readouterr().out.strip() == str(path)
    assert path.read_bytes().startswith(PNG)


def test_what_a_run_links_to_is_not_written_or_drawn(recorder: Recorder, tmp_path: Path) -> None:
    precious, elsewhere = tmp_path / "precious", tmp_path / "elsewhere"
    precious.write_text("mine")
    elsewhere.mkdir()
    (elsewhere / "0.npz").write_bytes(npz(x=np.arange(3)))
    pictures, exams = recorder.directory / "pictures", recorder.directory / "exams"
    pictures.mkdir()
    (pictures / "scores.png").symlink_to(precious)
    exams.mkdir(exist_ok=True)
    (exams / "step_001").symlink_to(elsewhere)
    (exams / "step_002").mkdir()
    (exams / "step_002" / "0.npz").symlink_to(elsewhere / "0.npz")
    assert EpisodeRecord.load(recorder.directory).artifacts() == []
    (drawn,) = plots.plot_run(recorder.directory)
    assert drawn == pictures / "scores.png"
    assert drawn.is_file()
    assert not drawn.is_symlink()
    assert precious.read_text() == "mine"
    assert list(recorder.directory.glob(".pictures-*")) == []
    drawn.unlink()
    pictures.rmdir()
    pictures.symlink_to(elsewhere)
    with pytest.raises(RunError, match="pictures: a link, which is not followed"):
        plots.plot_run(recorder.directory)
    assert [path.name for path in elsewhere.iterdir()] == ["0.npz"]


def test_without_matplotlib_the_command_that_installs_it_is_named(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit) as ended:
        main(["draw", str(recorder.directory)])
    assert ended.value.code == 1
    assert "pip install 'discoenv[plots]'" in capsys.readouterr().err
    assert not (recorder.directory / "pictures").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        plots.plot_run(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_episode_is_recorded_and_drawn_and_its_observations_tell_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jax")
    from tests.real_domains import base_source, tiny_task

    env = DiscoGenEnv(task=tiny_task("BayesianOptimisation"), runs_dir=tmp_path)
    env.reset(seed=0)
    edit = {"path": "acq_fn.py", "content": base_source("BayesianOptimisation", "acq_fn")}
    before = set(env.reset(seed=0)[0])
    observation, _, _, _, info = env.step({"edits": [edit], "command": "run"})
    (exam,) = EpisodeRecord.load(info["run_directory"]).artifacts()
    assert (exam.step, exam.side, exam.dataset) == (1, "meta_train", "Branin2d")
    assert set(exam.arrays()) == {"regret", "random", "points", "landscape"}
    assert set(observation) == before
    assert "artifacts" not in str(info)
    env.step("submit")
    env.close()
    drawn = plots.plot_run(Path(info["run_directory"]))
    assert {path.name for path in drawn} == {
        "scores.png",
        *(f"{kind}_{dataset}.png" for kind in ("regret", "queries") for dataset in ("Branin2d", "HolderTable2d")),
    }
    assert all(path.read_bytes().startswith(PNG) for path in drawn)
