"""Records are typed: what is written is read back as it was, and what does not fit is read as nothing."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from discoenv.episodes.codec import SOMETIMES, Record
from discoenv.episodes.record import (
    VERSION,
    EpisodeRecord,
    EventRecord,
    ExamRecord,
    IntegrityRecord,
    RunRecord,
    ScoreRecord,
    SetupRecord,
    StepRecord,
    best_run,
)
from discoenv.episodes.recorder import Recorder
from discoenv.errors import RunError
from discoenv.tasks.task import Task


@dataclass(frozen=True)
class Inner(Record):
    number: int = 0


@dataclass(frozen=True)
class Outer(Record):
    name: str
    share: float = math.nan
    flag: bool = False
    inner: Inner = Inner()
    listed: tuple[Inner, ...] = ()
    named: dict[str, float] = field(default_factory=dict)
    either: dict[str, Any] | str | None = None
    perhaps: str | None = field(default=None, metadata=SOMETIMES)


FULL = {
    "name": "a",
    "share": 0.5,
    "flag": True,
    "inner": {"number": 1},
    "listed": [{"number": 2}, {"number": 3}],
    "named": {"x": 1.5},
    "either": {"any": [1, None]},
    "perhaps": "b",
}


def test_what_is_written_is_read_back() -> None:
    outer = Outer("a", 0.5, True, Inner(1), (Inner(2), Inner(3)), {"x": 1.5}, {"any": [1, None]}, "b")
    assert outer.to_json() == FULL
    assert Outer.from_json(json.loads(json.dumps(FULL))) == outer
    assert Outer.from_json({**FULL, "a_later_key": 1}) == outer
    content = outer.to_json()
    content["named"]["x"] = 2.0
    assert outer.named == {"x": 1.5}


def test_a_field_that_does_not_apply_is_left_out() -> None:
    content = Outer("a", share=1.0).to_json()
    assert "perhaps" not in content
    assert content["either"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("share", "much"),
        ("share", True),
        ("share", 10**400),
        ("flag", 1),
        ("inner", [1]),
        ("inner", {"number": "1"}),
        ("inner", {"number": True}),
        ("listed", {"number": 1}),
        ("named", [1]),
        ("either", 5),
        ("perhaps", {}),
    ],
)
def test_a_value_of_another_kind_is_read_as_the_default(key: str, value: Any) -> None:
    default, found = (getattr(each, key) for each in (Outer("a"), Outer.from_json({"name": "a", key: value})))
    assert found == default or (math.isnan(found) and math.isnan(default))


def test_an_entry_that_does_not_fit_is_left_out() -> None:
    outer = Outer.from_json({"name": "a", "listed": [1, {"number": 2}, None], "named": {"x": "1", "y": 2}})
    assert outer.listed == (Inner(2),)
    assert outer.named == {"y": 2.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [([], "expected a JSON object, not list"), ({}, "name is missing"), ({"name": 1}, "name: expected str, not int")],
)
def test_what_a_record_cannot_be_without_is_named(content: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        Outer.from_json(content)


def test_info_holds_the_version_and_only_what_applies() -> None:
    info = StepRecord(task={"domain": "Toy"}, integrity=IntegrityRecord("examined", "process", ("a note",))).to_json()
    assert info["version"] == VERSION
    assert info["integrity"] == {"level": "examined", "sandbox": "process", "notes": ["a note"], "flags": []}
    assert not {"changed", "refused", "meta_train", "score", "meta_test", "reward_parts", "infra_error"} & info.keys()
    assert info["run_directory"] is None


def test_a_later_version_is_refused_with_what_to_do(task: Task, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, task, SetupRecord(episode_seed=1, sandbox="process", budget_scale=3.0))
    path = recorder.directory / "episode.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": VERSION + 1}))
    with pytest.raises(
        RunError, match=rf"version {VERSION + 1} .* reads versions up to {VERSION}: install a later one"
    ):
        EpisodeRecord.load(recorder.directory)


def test_the_record_of_an_episode_needs_all_its_parts(task: Task) -> None:
    setup = SetupRecord(episode_seed=1, sandbox="process", budget_scale=3.0)
    event = EventRecord(event="reset", time="2026-01-01T00:00:00.000+00:00")
    content = EpisodeRecord(Path("a"), task, setup, events=(event,)).to_json()
    assert EpisodeRecord.from_json(content) == EpisodeRecord(Path("a"), task, setup, events=(event,))
    for key in ("task", "setup", "events"):
        with pytest.raises(RunError, match=f"{key} is missing"):
            EpisodeRecord.from_json({name: value for name, value in content.items() if name != key})


def test_files_of_a_run_are_not_links(task: Task, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "runs", task, SetupRecord(episode_seed=1, sandbox="process", budget_scale=3.0))
    (tmp_path / "secret.json").write_text(json.dumps({"reward_parts": {"secret": 1}}))
    (recorder.directory / "result.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(RunError, match=r"result\.json: not a regular file"):
        EpisodeRecord.load(recorder.directory)
    (recorder.directory / "result.json").unlink()
    (recorder.directory / "task.yaml").rename(tmp_path / "task.yaml")
    (recorder.directory / "task.yaml").symlink_to(tmp_path / "task.yaml")
    with pytest.raises(RunError, match=r"task\.yaml: not a regular file"):
        EpisodeRecord.load(recorder.directory)


def run(number: int, *, full: bool = True, reward: float = 1.0, score: float = 1.0) -> RunRecord:
    return RunRecord(number, number, score, reward, ("Line",), full)


@pytest.mark.parametrize(
    ("runs", "best"),
    [
        ([run(1, full=False, reward=9.0, score=9.0), run(2), run(3, full=False)], 2),
        ([run(1, reward=1.0, score=9.0), run(2, reward=2.0, score=0.0)], 2),
        ([run(1, score=1.0), run(2, score=2.0), run(3, score=1.5)], 2),
        ([run(1, score=0.0), run(2), run(3)], 2),
        ([run(1, reward=math.nan), run(2, reward=-5.0), run(3, reward=-5.0, score=math.nan)], 2),
        ([run(1, reward=math.nan), run(2, reward=math.nan)], 1),
    ],
)
def test_the_best_run_is_full_then_by_reward_then_by_score_then_the_first(runs: list[RunRecord], best: int) -> None:
    found = best_run(runs)
    assert found is not None
    assert found.number == best


def test_without_runs_none_is_the_best() -> None:
    assert best_run([]) is None


@pytest.mark.parametrize(("datasets", "full"), [(["A"], False), (["A", "B"], True), (["A", "B", "C"], True)])
def test_a_step_that_ran_is_a_run(datasets: list[str], full: bool) -> None:
    scores = {name: ScoreRecord(exams=(ExamRecord(status="ok", worth=0.5),)) for name in datasets}
    info = StepRecord(task={"meta_train": ["A", "B"]}, meta_train=scores, score=0.5, meta_train_reward=0.75)
    exams = {name: {0: 0.5} for name in datasets}
    assert info.run(3, 7) == RunRecord(3, 7, 0.5, 0.75, tuple(datasets), full, exams=exams)
    assert StepRecord().run(1, 1) is None
