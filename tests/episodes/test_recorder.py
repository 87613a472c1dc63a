"""A run directory is written as things happen, survives a crash at any point, and is read back strictly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discoenv.episodes.record import (
    EpisodeRecord,
    EventRecord,
    ExamRecord,
    ResultRecord,
    ScoreRecord,
    SetupRecord,
    StepRecord,
)
from discoenv.episodes.recorder import Recorder
from discoenv.errors import RunError, TaskError
from discoenv.tasks.task import Task

SETUP = SetupRecord(episode_seed=2**62, sandbox="bubblewrap", budget_scale=3.0)


@pytest.fixture
def recorder(task: Task, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "runs", task, SETUP)


def test_a_run_has_its_own_directory_named_by_time_and_task(task: Task, tmp_path: Path) -> None:
    first, second = (Recorder(tmp_path / "runs", task, SETUP).directory for _ in range(2))
    assert first != second
    assert first.parent == second.parent == tmp_path / "runs"
    assert "_Toy-model-features_" in first.name


def test_a_long_list_of_modules_still_gives_a_valid_name(task: Task, tmp_path: Path) -> None:
    wide = task.model_copy(update={"domain": "pack/Toy", "modules": tuple(f"module_{n}" for n in range(100))})
    directory = Recorder(tmp_path, wide, SETUP).directory
    assert directory.parent == tmp_path
    assert len(directory.name) < 120


def test_what_was_recorded_is_read_back(recorder: Recorder, task: Task) -> None:
    recorder.modules(0, {"model.py": "a\r\n", "features.py": "é"})
    recorder.event(EventRecord(event="reset", text="\u2028\0"))
    recorder.modules(1, {"model.py": "b", "features.py": "é"})
    info = StepRecord(reward_parts={"score": np.array([1, 2])})
    recorder.event(EventRecord(event="step", step=1, reward=np.float64(0.5), info=info))
    recorder.result(ResultRecord(reward=np.float32(0.5), reward_parts={"path": Path("a")}))  # type: ignore[arg-type]
    run = EpisodeRecord.load(recorder.directory)
    assert run.task == task
    assert run.setup == SETUP
    assert run.modules() == {"model.py": "b", "features.py": "é"}
    assert run.result == ResultRecord(reward=0.5, reward_parts={"path": "a"})
    reset, step = run.events
    assert (reset.event, reset.text) == ("reset", "\u2028\0")
    assert (step.reward, step.info.reward_parts) == (0.5, {"score": [1, 2]})
    assert "T" in (step.time or "")
    assert EpisodeRecord.load(recorder.directory, events=False).events == ()
    assert EpisodeRecord.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_modules_are_kept_whenever_they_change_and_only_then(recorder: Recorder) -> None:
    recorder.modules(0, {"model.py": "a", "features.py": ""})
    recorder.modules(1, {"model.py": "a", "features.py": ""})
    recorder.modules(2, {"model.py": "b", "features.py": ""})
    recorder.modules(11, {"model.py": "c", "features.py": ""})
    recorder.modules(1000, {"model.py": "d", "features.py": ""})
    folders = sorted(path.name for path in (recorder.directory / "files").iterdir())
    assert folders == ["step_000", "step_002", "step_011", "step_1000"]
    assert EpisodeRecord.load(recorder.directory).modules() == {"model.py": "d", "features.py": ""}


def test_line_ends_of_a_submission_are_kept(recorder: Recorder) -> None:
    recorder.modules(0, {"model.py": "a\r\nb\rc\n", "features.py": ""})
    assert EpisodeRecord.load(recorder.directory).modules() == {"model.py": "a\r\nb\rc\n", "features.py": ""}


def test_a_crash_between_two_modules_does_not_mix_two_steps(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.modules(0, {"features.py": "old", "model.py": "old"})
    written = Path.replace
    with monkeypatch.context() as patch:

        def fail_at_model(self: Path, target: Path) -> Path:
            if Path(target).name == "model.py":
                raise OSError(28, "No space left on device")
            return written(self, target)

        patch.setattr(Path, "replace", fail_at_model)
        recorder.modules(1, {"features.py": "new", "model.py": "new"})
        assert "No space left on device" in (recorder.problem or "")
    assert EpisodeRecord.load(recorder.directory).modules() == {"features.py": "old", "model.py": "old"}
    assert recorder.flush()
    assert EpisodeRecord.load(recorder.directory).modules() == {"features.py": "new", "model.py": "new"}


@pytest.mark.parametrize("torn", ['{"event": "st', "{", '{"event": "step"', "\0\0\0", "\udcff\udcfe"])
def test_a_half_written_last_line_is_left_out(recorder: Recorder, torn: str) -> None:
    recorder.event(EventRecord(event="reset"))
    with (recorder.directory / "episode.jsonl").open("ab") as file:
        file.write(torn.encode(errors="surrogateescape"))
    assert [event.event for event in EpisodeRecord.load(recorder.directory).events] == ["reset"]


def test_a_run_that_just_began_has_no_events_and_no_result(recorder: Recorder) -> None:
    run = EpisodeRecord.load(recorder.directory)
    assert run.events == ()
    assert run.result is None
    assert (run.runs, run.best_run) == ([], None)
    with pytest.raises(RunError, match="files/ is empty, so there is nothing to score"):
        run.modules()


def test_numbers_that_json_does_not_know_are_read_back(recorder: Recorder) -> None:
    exam = ExamRecord(status="ok", metrics={"r2": float("nan"), "mse": float("inf")})
    recorder.event(EventRecord(event="step", info=StepRecord(meta_train={"Line": ScoreRecord(exams=(exam,))})))
    (event,) = EpisodeRecord.load(recorder.directory).events
    assert event.info.meta_train is not None
    assert str(event.info.meta_train["Line"].exams[0].metrics) == "{'r2': nan, 'mse': inf}"


@pytest.mark.parametrize("name", ["task.yaml", "episode.json"])
def test_a_folder_that_is_not_a_run_is_named_with_what_is_missing(recorder: Recorder, name: str) -> None:
    (recorder.directory / name).unlink()
    with pytest.raises(RunError) as caught:
        EpisodeRecord.load(recorder.directory)
    assert str(caught.value) == f"{recorder.directory}: {name} is missing, so this is not a run directory"


def test_a_damaged_file_is_named(recorder: Recorder) -> None:
    (recorder.directory / "episode.json").write_text("{}")
    with pytest.raises(RunError, match=r"episode\.json: episode_seed is missing"):
        EpisodeRecord.load(recorder.directory)
    (recorder.directory / "episode.json").write_text("{")
    with pytest.raises(RunError, match=r"episode\.json: not valid JSON"):
        EpisodeRecord.load(recorder.directory)
    (recorder.directory / "task.yaml").write_text("domain: 5\n")
    with pytest.raises(TaskError, match="domain: Input should be a valid string"):
        EpisodeRecord.load(recorder.directory)


def test_a_torn_result_is_an_error(recorder: Recorder) -> None:
    (recorder.directory / "result.json").write_text(json.dumps({"reward": 1})[:-1])
    with pytest.raises(RunError, match=r"result\.json: not valid JSON"):
        EpisodeRecord.load(recorder.directory)
