"""The texts that an agent reads."""

from __future__ import annotations

from dataclasses import replace

from discoenv.episodes import feedback
from discoenv.exams.output import last_lines
from discoenv.scoring import baselines
from discoenv.scoring.scores import Score, score
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
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


def test_what_is_measured_besides_the_metric_is_shown(toy: Domain) -> None:
    setting = Setting(toy, "default", "Line", "tiny")
    exams = [result(0.5, metrics={"r2": 0.5, "mse": mse}) for mse in (1.0, 3.0)]
    failed = replace(exams[0], status="error", metrics=None)
    text = feedback.report([score(setting.metric, baselines.entry(setting), [*exams, failed])], title="Scores")
    assert "Also measured:" in text
    assert "* A: mse 2\n" in text


def test_output_is_cut_at_the_end_of_a_line(toy: Domain) -> None:
    setting = Setting(toy, "default", "Line", "tiny")
    lines = [f"epoch {number:4} loss {1 / (number + 1):.6f}" for number in range(500)]
    exam = replace(result(0.5), stdout="\n".join(lines), status="error", metrics=None, traceback="\n".join(lines))
    text = feedback.report([score(setting.metric, baselines.entry(setting), [exam])], title="Scores")
    shown = [line for line in text.splitlines() if "loss" in line]
    assert 50 < len(shown) < 200
    assert set(shown) <= set(lines)
    assert text.count("[…]\n") == 2


def test_last_lines_are_whole_where_they_can_be() -> None:
    assert last_lines("a\nbc\n", 6) == "a\nbc\n"
    assert last_lines("abc\ndef\nghi", 7) == "[…]\ndef\nghi"
    assert last_lines("abc\ndef\nghi", 5) == "[…]\nghi"
    assert last_lines("abcdef", 3) == "[…]\ndef"
    assert last_lines("abcdef\n", 3) == "[…]\nef\n"


def test_the_table_shows_how_much_of_the_budget_was_spent_and_what_the_baseline_needs(toy: Domain) -> None:
    score = passed(toy, "Line")
    exams = tuple(replace(score.results[0], spent_s=spent, budget_s=45.0) for spent in (20.0, 40.0))
    entry = score.entry.model_copy(update={"cpu_s": score.entry.seconds.model_copy(update={"mean": 9.0})})
    text = feedback.report([replace(score, results=exams, entry=entry)], title="Scores")
    assert "| seconds of budget |" in text
    assert "| 30 of 45 s; baseline 9 s |" in text


def introduction(toy: Domain, costs: list[float]) -> str:
    task = Task(domain="Toy", modules=("model",), meta_train=("Line",), meta_test=("Wave",), scale="tiny")
    return feedback.introduction(
        task, max_steps=3, budgets={"Line": 12.0}, hidden_costs=costs, max_file_bytes=100, compute_budget_s=None
    )


def test_the_task_says_what_the_hidden_datasets_cost_without_their_names(toy: Domain) -> None:
    assert "* Line: 12 s\n" in introduction(toy, [2.0])
    assert "On the hidden datasets the baseline costs 2 times what it costs on these" in introduction(toy, [2.0])
    assert "the baseline costs between 0.7 and 3.2 times" in introduction(toy, [3.21, 0.66, 1.0])
    assert "hidden datasets the baseline" not in introduction(toy, [])
    assert "Wave" not in introduction(toy, [2.0])
