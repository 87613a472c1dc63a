"""Runs that were recorded in version 1 of the format open in every place where runs are read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from discoenv.cli.main import app
from discoenv.episodes import plots
from discoenv.episodes.record import VERSION, EpisodeRecord, ScoreRecord
from discoenv.episodes.transcript import read_calls
from discoenv.episodes.version_1 import _LISTS
from discoenv.tasks.domain import Domain
from discoenv.viewer.episode import EpisodeView
from discoenv.viewer.export import export

RUNS = Path(__file__).resolve().parent / "runs_v1"


@pytest.fixture(params=sorted(path.name for path in RUNS.iterdir()))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a run, which may be written to."""
    return Path(shutil.copytree(RUNS / request.param, tmp_path / request.param))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "episode.jsonl").read_text().splitlines()]


def test_nothing_of_it_is_lost(run: Path) -> None:
    record = EpisodeRecord.load(run)
    for line, event in zip(lines(run), record.events, strict=True):
        assert (line["time"], line["event"], line["text"]) == (event.time, event.event, event.text)
        assert (line.get("action"), line.get("step", 0)) == (event.action, event.step)
        old, new = line["info"], event.info.to_json()
        assert old.pop("reward", None) == new.pop("reward_parts", None)
        assert new.pop("version") == VERSION
        for side in ("meta_train", "meta_test"):
            assert old.get(side, {}).keys() == new.get(side, {}).keys()
            for name, score in old.pop(side, {}).items():
                same_score(score, new[side][name])
            new.pop(side, None)
        assert new["integrity"].pop("flags") == []
        assert old == new
    result = json.loads((run / "result.json").read_text())
    assert record.result is not None
    assert (record.result.reward, record.result.steps) == (result["reward"], result["steps"])
    assert record.result.reward_parts == result["reward_parts"]
    assert record.result.meta_test == record.events[-1].info.meta_test
    setup = {**json.loads((run / "episode.json").read_text()), "version": VERSION, "secret": None}
    setup |= {"max_file_bytes": None, "max_seeds": None, "origin": None, "paired": False}
    setup |= {"reference": "shipped", "transform": "linear"}
    assert setup == record.setup.to_json()


def same_score(old: dict[str, Any], new: dict[str, Any]) -> None:
    exams = new["exams"]
    for name, field in _LISTS.items():
        assert old[name] == [exam[field] for exam in exams], name
    assert (old["value"], old["metric"]) == (new["metric"], new["metric_name"])
    assert old["stdout"] == exams[-1]["stdout"]
    assert old["traceback"] == next((exam["traceback"] for exam in exams if exam["traceback"]), "")
    assert all(exam["device"] == old["device"] for exam in exams)
    same = ("normalised", "standard_error", "floor", "baseline", "baseline_std", "baseline_seconds")
    assert {key: old[key] for key in same} == {key: new[key] for key in same}
    assert ScoreRecord.from_json(new).to_json() == new


def test_what_is_read_is_written_in_the_present_form(run: Path) -> None:
    record = EpisodeRecord.load(run)
    assert EpisodeRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_the_best_run_is_one_on_all_datasets() -> None:
    record = EpisodeRecord.load(RUNS / "toy_submitted")
    whole, part = record.runs
    assert (whole.datasets, part.datasets) == (("Line", "Steps"), ("Steps",))
    assert part.score > whole.score
    assert record.best_run == whole


def test_a_traceback_belongs_to_the_exam_that_failed() -> None:
    record = EpisodeRecord.load(RUNS / "toy_failed")
    assert record.result is not None
    assert record.result.meta_test is not None
    first, last = record.result.meta_test["Wave"].exams
    assert "ZeroDivisionError" in first.traceback
    assert (last.traceback, last.stdout) == ("", "about to divide\n")
    assert not record.result.meta_test["Wave"].ok
    assert [bool(event.info.refused) for event in record.events] == [False, True, True, False, False]


def test_it_opens_in_the_viewer_and_as_one_file(run: Path, tmp_path: Path) -> None:
    view = EpisodeView(run)
    assert view.update()
    summary, overview, record = view.summary(), view.overview(), EpisodeRecord.load(run)
    assert record.result is not None
    assert record.best_run is not None
    assert (summary["status"], summary["reward"], summary["best"]) == (
        "done",
        record.result.reward,
        record.best_run.score,
    )
    assert summary["costs"]["exams"] == sum(
        len(score.exams)
        for event in record.events
        for side in (event.info.meta_train, event.info.meta_test)
        for score in (side or {}).values()
    )
    assert overview["reward_parts"] == record.result.reward_parts
    last = len(record.events) - 1
    shown = view.step(last)["scores"]["meta_test"]["Wave"]
    assert shown["metric_name"] == "r2"
    assert shown["stdout"] == view.output(last, "meta_test", "Wave") != ""
    assert len(view.calls.light) == sum(call["event"] in ("model_call", "tool_call") for call in read_calls(run))
    export(run, tmp_path / "run.html")
    assert "meta_test" in (tmp_path / "run.html").read_text()


def test_its_scores_are_drawn(run: Path, toy: Domain) -> None:
    pytest.importorskip("matplotlib")
    (picture,) = plots.plot_run(run)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_its_submission_is_scored_again(toy: Domain, sandbox_name: str) -> None:
    result = CliRunner().invoke(app, ["replay", str(RUNS / "toy_submitted"), "--sandbox", sandbox_name])
    assert result.exit_code == 0, result.output
    found = re.search(r"reward: recorded ([\d.]+), again ([\d.]+)", result.output)
    assert found is not None
    assert float(found[1]) == pytest.approx(1.3705203517694664, abs=1e-6)
    assert float(found[2]) == pytest.approx(float(found[1]), abs=0.2)  # other held-out data
    assert "of an older protocol, whose exams had public seeds" in " ".join(result.stderr.split())
