"""The texts that an agent reads."""

from __future__ import annotations

from dataclasses import replace

from discoenv.episodes import feedback
from discoenv.scoring import baselines
from discoenv.scoring.scores import Score, score
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting
from tests.objectives.test_costs import result


def passed(toy: Domain, dataset: str) -> Score:
    """A score of one exam of a dataset of the toy domain."""
    setting = Setting(toy, "default", dataset, "tiny")
    exam = result(0.5, dataset=dataset, metrics={"r2": 0.5, "mse": 1.0})
    return score(setting.metric, baselines.entry(setting), [exam])


def test_a_metric_that_all_datasets_share_is_in_the_head_of_the_table(toy: Domain) -> None:
    text = feedback.report([passed(toy, "Line"), passed(toy, "Wave")], title="Scores")
    assert "| dataset | r2 | normalised |" in text
    assert "| Line | 0.5 |" in text


def test_metrics_that_differ_are_named_in_each_row(toy: Domain) -> None:
    other = passed(toy, "Wave")
    other = replace(other, entry=other.entry.model_copy(update={"metric": "mse"}))
    text = feedback.report([passed(toy, "Line"), other], title="Scores")
    assert "| dataset | metric | normalised |" in text
    assert "| Line | r2 0.5 |" in text
    assert "| Wave | mse 0.5 |" in text


def test_seconds_are_said_to_be_left_only_if_they_are_limited() -> None:
    assert feedback.left(3, None) == "3 actions left."
    assert feedback.left(3, 12.4) == "3 actions left. 12 s of compute left."
    assert feedback.left(0, -1.0) == "0 actions left. 0 s of compute left."
