"""Run directories are read as they grow, whatever is in them, and nothing outside of them is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from discoenv.episodes.jsonl import NotThere
from discoenv.episodes.record import EventRecord, ExamRecord, ResultRecord, ScoreRecord, SetupRecord, StepRecord
from discoenv.episodes.recorder import Recorder
from discoenv.tasks.task import Task
from discoenv.viewer import diffs
from discoenv.viewer.episode import OUTPUT_CHARACTERS, STALE_S, EpisodeView
from discoenv.viewer.index import RunIndex
from discoenv.viewer.plain import dumps
from tests.viewer import recorded

SETUP = SetupRecord(episode_seed=1, sandbox="bubblewrap", budget_scale=3.0, max_steps=4)


@pytest.fixture
def recorder(task: Task, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "runs", task, SETUP)


def step(number: int, **info: Any) -> EventRecord:
    return EventRecord(event="step", step=number, action={"edits": [], "command": "run"}, info=StepRecord(**info))


def read(recorder: Recorder) -> EpisodeView:
    episode = EpisodeView(recorder.directory)
    episode.update()
    return episode


def test_answers_are_json_that_browsers_accept() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = dumps({"a": [float("nan"), -float("inf")], "b": "\ud800\u2028", "c": (1, None)})
    assert text.isascii()
    found = json.loads(text, parse_constant=refuse)
    assert found == {"a": ["NaN", "-Infinity"], "b": "\ud800\u2028", "c": [1, None]}


def test_changes_are_counted_line_by_line() -> None:
    before = {"a.py": "one\ntwo\nthree", "same.py": "x", "gone.py": "1\n2\n"}
    after = {"a.py": "one\n2\nthree\nfour\n", "same.py": "x"}
    changed, gone = diffs.compare(before, after)
    assert (changed["path"], changed["added"], changed["removed"]) == ("a.py", 2, 1)
    assert changed["hunks"] == [
        [[" ", 1, 1, "one"], ["-", 2, 0, "two"], ["+", 0, 2, "2"], [" ", 3, 3, "three"], ["+", 0, 4, "four"]]
    ]
    assert (gone["path"], gone["added"], gone["removed"]) == ("gone.py", 0, 2)
    assert diffs.counts(before, after)[0] == {"path": "a.py", "added": 2, "removed": 1}


def test_far_changes_are_shown_apart_and_very_long_files_as_a_whole() -> None:
    lines = [str(number) for number in range(100)]
    other = ["first", *lines[1:-1], "last"]
    (change,) = diffs.compare({"a": "\n".join(lines)}, {"a": "\n".join(other)})
    assert len(change["hunks"]) == 2
    long = "\n".join(str(number % 150) for number in range(diffs.MOST_LINES))
    (change,) = diffs.compare({"a": long}, {"a": long[::-1]})
    assert change["removed"] == diffs.MOST_LINES
    assert len(change["hunks"]) == 1


def test_a_run_of_a_living_process_is_running_and_one_of_a_dead_process_has_crashed(
    recorder: Recorder, task: Task, tmp_path: Path
) -> None:
    assert read(recorder).status == "running", "before its first event, too"
    recorder.event(EventRecord(event="reset"))
    assert read(recorder).status == "running"
    program = (
        "import sys; from pathlib import Path; from discoenv.episodes.record import EventRecord, SetupRecord; "
        "from discoenv.episodes.recorder import Recorder; from discoenv.tasks.task import Task; "
        f"recorder = Recorder(Path(sys.argv[1]), Task.from_yaml(sys.argv[2]), {SETUP}); "
        "recorder.event(EventRecord(event='reset'))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "dead"), task.to_yaml()], check=True)
    (dead,) = (tmp_path / "dead").iterdir()
    episode = EpisodeView(dead)
    episode.update()
    assert episode.status == "crashed"


def test_a_run_of_an_unknown_process_has_crashed_when_nothing_happened_for_long(recorder: Recorder) -> None:
    recorder.event(EventRecord(event="reset"))
    owner = recorder.directory / "owner.json"
    owner.write_text(json.dumps(json.loads(owner.read_text()) | {"boot": "another machine", "process": "1-2-3"}))
    assert read(recorder).status == "running"
    events = recorder.directory / "episode.jsonl"
    long_ago = events.stat().st_mtime - STALE_S - 1
    for path in (events, recorder.directory / "episode.json"):
        os.utime(path, (long_ago, long_ago))
    assert read(recorder).status == "crashed"
    owner.unlink()
    assert read(recorder).status == "crashed"


def test_an_ended_run_is_done_or_failed_by_the_machine(recorder: Recorder) -> None:
    recorder.event(EventRecord(event="reset"))
    recorder.result(ResultRecord(reward=1.5))
    assert (read(recorder).status, read(recorder).summary()["reward"]) == ("done", 1.5)
    recorder.result(ResultRecord(reward=0.0, infra_error="no space"))
    episode = read(recorder)
    assert (episode.status, episode.overview()["infra_error"]) == ("infra_error", "no space")


def test_a_damaged_run_is_listed_with_what_is_wrong(recorder: Recorder) -> None:
    (recorder.directory / "task.yaml").write_text("domain: 5\n")
    (listed,) = RunIndex(recorder.directory.parent).list()["runs"]
    assert listed["status"] == "unreadable"
    assert "domain: Input should be a valid string" in listed["problem"]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"step": "x", "info": []},
        {"info": {"meta_train": [1]}},
        {"action": 5},
        {"reward": 10**400, "time": 5, "info": {"version": 2, "meta_train": {"A": {"exams": [1, {"seconds": "x"}]}}}},
        {"info": {"version": "x", "task": {"meta_train": 5}, "meta_train": {"A": {"exams": 5}}, "score": True}},
    ],
)
def test_an_event_of_another_shape_does_no_harm(event: dict[str, object], recorder: Recorder) -> None:
    recorded.write_line(recorder, event)
    odd = {"meta_test": {"A": {"statuses": 1, "stdout": 5, "seconds": "x"}}}
    recorded.write_line(recorder, {"event": "step", "step": 1, "info": odd})
    episode = read(recorder)
    assert len(episode.overview()["list"]) == 2
    dumps([episode.step(0), episode.step(1), episode.output(1, "meta_test", "A")])


def test_modules_are_those_of_the_last_step_that_changed_them(recorder: Recorder) -> None:
    recorder.modules(0, {"model.py": "a\n"})
    recorder.event(EventRecord(event="reset"))
    recorder.event(step(1))
    recorder.modules(2, {"model.py": "b\n"})
    recorder.event(step(2))
    episode = read(recorder)
    assert [episode.files(index)["model.py"] for index in (0, 1, 2, -1)] == ["a\n", "a\n", "b\n", "b\n"]
    assert episode.step(1)["diff"] == []
    assert episode.diff(0, 2)[0]["hunks"] == [[["-", 1, 0, "a"], ["+", 0, 1, "b"]]]
    assert [one["files"] for one in episode.overview()["list"]][2] == [{"path": "model.py", "added": 1, "removed": 1}]
    with pytest.raises(NotThere, match="no step 3"):
        episode.files(3)


def test_only_what_is_new_is_sent_again(recorder: Recorder) -> None:
    recorder.event(EventRecord(event="reset"))
    episode = read(recorder)
    assert episode.update() is False
    recorder.event(step(1, score=0.5))
    assert episode.update() is True
    overview = episode.overview(after=1)
    assert ([one["step"] for one in overview["list"]], overview["steps"], overview["score"]) == ([1], 1, 0.5)


def test_a_long_output_is_cut_until_all_of_it_is_asked_for(recorder: Recorder) -> None:
    printed = "".join(f"line {number}\n" for number in range(10_000))
    exams = (ExamRecord(status="ok", stdout="short"), ExamRecord(status="ok", stdout=printed))
    recorder.event(step(1, meta_train={"A": ScoreRecord(exams=exams)}))
    episode = read(recorder)
    shown = episode.step(0)["scores"]["meta_train"]["A"]
    assert shown["stdout"] == printed[-OUTPUT_CHARACTERS:]
    assert shown["stdout_characters"] == len(printed)
    assert episode.output(0, "meta_train", "A") == printed


def test_costs_are_added_up(recorder: Recorder) -> None:
    exams = (ExamRecord(seconds=1.0, joules=5.0), ExamRecord(seconds=None, joules=float("nan")))
    score = ScoreRecord(exams=exams)
    recorder.event(step(1, meta_train={"A": score, "B": score}))
    recorder.event(step(2, meta_train={"A": score}))
    costs = read(recorder).summary()["costs"]
    assert (costs["seconds"], costs["joules"], costs["exams"], costs["money"]) == (3.0, 15.0, 6, None)


def test_runs_are_found_at_any_depth_and_a_single_run_as_itself(task: Task, tmp_path: Path) -> None:
    deep = Recorder(tmp_path / "a" / "b", task, SETUP).directory
    Recorder(tmp_path, task, SETUP)
    (tmp_path / "other").mkdir()
    assert f"a/b/{deep.name}" in RunIndex(tmp_path).find()
    assert len(RunIndex(tmp_path).find()) == 2
    assert list(RunIndex(deep).find()) == [deep.name]


def test_links_are_not_followed(recorder: Recorder, task: Task, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "model.py").write_text("private")
    hidden = Recorder(secret, task, SETUP)
    hidden.event(EventRecord(event="reset", text="private"))
    root = recorder.directory.parent
    (root / "link").symlink_to(hidden.directory)
    assert list(RunIndex(root).find()) == [recorder.directory.name]
    (recorder.directory / "episode.jsonl").symlink_to(hidden.directory / "episode.jsonl")
    (recorder.directory / "calls.jsonl").symlink_to(secret / "model.py")
    (recorder.directory / "files" / "step_000").mkdir(parents=True)
    (recorder.directory / "files" / "step_000" / "model.py").symlink_to(secret / "model.py")
    (recorder.directory / "files" / "step_001").symlink_to(secret)
    (recorder.directory / "pictures").symlink_to(secret)
    (secret / "a.png").write_bytes(b"private")
    episode = read(recorder)
    assert episode.steps == []
    assert episode.calls.light == []
    assert episode.files(-1) == {"model.py": ""}
    with pytest.raises(NotThere, match="no picture"):
        episode.picture("a.png")
