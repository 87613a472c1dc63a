"""Scores that are compared with the base modules in the same exams: exact, measured once, and not charged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.episodes.evaluation import Evaluation
from discoenv.episodes.record import EpisodeRecord, SetupRecord
from discoenv.errors import InfraError, RunError
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.machine import cache
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import calibration, references
from discoenv.scoring.scores import Scoring
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import base_modules
from tests.cli.commands import invoke
from tests.conftest import MakeVariant

PAIRED = Scoring(reference="paired")
BROKEN = "raise ValueError('broken')\n"


@pytest.fixture
def make_evaluation(task: Task, host: Host) -> Iterator[Callable[..., Evaluation]]:
    """Evaluations with two exams on each side, closed after the test."""
    made: list[Evaluation] = []

    def make(seed: int = 1, *, scoring: Scoring = PAIRED, **arguments: Any) -> Evaluation:
        given = {"task": task.model_copy(update={"train_seeds": 2}), "host": host, **arguments}
        made.append(Evaluation(**given, seed=seed, budget_scale=20.0, scoring=scoring))
        return made[-1]

    yield make
    for evaluation in made:
        evaluation.close()


@pytest.fixture
def seen() -> list[Progress]:
    """What was reported."""
    return []


def begun(seen: list[Progress], *, reference: bool) -> int:
    return sum(progress.result is None and progress.reference == reference for progress in seen)


def test_the_base_modules_score_exactly_one_with_any_seed(
    make_evaluation: Callable[..., Evaluation], task: Task
) -> None:
    for seed in range(3):
        evaluation = make_evaluation(seed)
        for side in ("meta_train", "meta_test"):
            for score in evaluation.examine(base_modules(task), side):
                assert set(score.each) == {1.0}
                assert (score.normalised, score.outcome) == (1.0, 1.0)
    shipped = make_evaluation(scoring=Scoring()).examine(base_modules(task), "meta_train")[0]
    assert shipped.normalised != 1.0
    assert shipped.references == ()


def test_a_score_is_one_plus_the_paired_difference_in_shipped_spans(
    make_evaluation: Callable[..., Evaluation], task: Task, good: dict[str, str]
) -> None:
    evaluation, base = make_evaluation(), make_evaluation(scoring=Scoring())
    (score,), (other,) = evaluation.examine(good, "meta_train"), base.examine(base_modules(task), "meta_train")
    assert score.references == other.values
    span = score.entry.baseline.mean - score.entry.floor.mean
    expected = [1 + (value - own) / span for value, own in zip(score.values, other.values, strict=True)]
    assert score.each == pytest.approx(expected)


def test_references_are_run_once_and_neither_charged_nor_counted(
    make_evaluation: Callable[..., Evaluation], good: dict[str, str], seen: list[Progress]
) -> None:
    evaluation = make_evaluation(on_progress=seen.append)
    (score,) = evaluation.examine(good, "meta_train")
    assert (begun(seen, reference=False), begun(seen, reference=True)) == (2, 2)
    assert sorted(each.label for each in seen if each.reference and each.result is None) == [
        "reference exam 1 of 2",
        "reference exam 2 of 2",
    ]
    assert evaluation.spent_s == pytest.approx(sum(result.spent_s for result in score.results))
    evaluation.examine(good | {"features.py": good["features.py"] + "\n"}, "meta_train")
    assert (begun(seen, reference=False), begun(seen, reference=True)) == (4, 2)


def test_the_base_modules_are_not_examined_twice(
    make_evaluation: Callable[..., Evaluation], task: Task, good: dict[str, str], seen: list[Progress]
) -> None:
    evaluation = make_evaluation(on_progress=seen.append)
    evaluation.examine(base_modules(task), "meta_train")
    evaluation.examine(good, "meta_train")
    evaluation.examine(base_modules(task), "meta_train")
    assert (begun(seen, reference=False), begun(seen, reference=True)) == (2, 2)


def test_references_are_kept_for_later_episodes_with_the_same_exams(
    make_evaluation: Callable[..., Evaluation], good: dict[str, str], seen: list[Progress]
) -> None:
    (first,) = make_evaluation().examine(good, "meta_train")
    (again,) = make_evaluation(on_progress=seen.append).examine(good, "meta_train")
    assert begun(seen, reference=True) == 0
    assert again.each == first.each
    make_evaluation(2, on_progress=seen.append).examine(good, "meta_train")
    assert begun(seen, reference=True) == 2
    files = [path for path in cache.folder("references").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not any(str(result.seed) in path.read_text() for path in files for result in first.results)


def test_a_damaged_reference_is_measured_again(
    make_evaluation: Callable[..., Evaluation], good: dict[str, str], seen: list[Progress]
) -> None:
    make_evaluation().examine(good, "meta_train")
    for path in cache.folder("references").rglob("*.json"):
        path.write_text('{"dataset": "Line"}')
    make_evaluation(on_progress=seen.append).examine(good, "meta_train")
    assert begun(seen, reference=True) == 2


def test_where_a_learner_could_write_nothing_is_kept(
    make_evaluation: Callable[..., Evaluation], good: dict[str, str]
) -> None:
    provider = get_sandbox("process")
    with Host(provider) as host:
        make_evaluation(host=host).examine(good, "meta_train")
    provider.close()
    assert not cache.folder("references").exists()


def test_a_failed_exam_is_not_compared(
    make_evaluation: Callable[..., Evaluation], task: Task, seen: list[Progress]
) -> None:
    evaluation = make_evaluation(on_progress=seen.append)
    (score,) = evaluation.examine(base_modules(task) | {"model.py": BROKEN}, "meta_train")
    assert (score.each, score.references, score.outcome) == ((0.0, 0.0), (None, None), -1.0)
    assert begun(seen, reference=True) == 0


@pytest.mark.parametrize("own", [False, True])
def test_base_modules_that_fail_are_the_machine_s_failure(
    toy: Domain,
    make_variant: MakeVariant,
    make_evaluation: Callable[..., Evaluation],
    task: Task,
    good: dict[str, str],
    own: bool,
) -> None:
    source = toy.module_source("model", backend="default").replace("RIDGE * np", "RIDGED * np")
    make_variant("Toy", files={"templates/default/model.py": source})
    evaluation = make_evaluation()
    with pytest.raises(
        InfraError, match="the base modules failed in the exam that Toy, Line, default, tiny is compared"
    ):
        evaluation.examine(base_modules(task) if own else good, "meta_train")


def test_a_reference_is_found_by_all_that_it_depends_on(
    toy: Domain, make_variant: MakeVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ExamSpec(Setting(toy, "default", "Line", "tiny"), seed=7, budget_s=1.0)
    path = references.path_of(spec, "cpu")
    assert references.path_of(replace(spec, budget_s=2.0, number=3, side="meta_test"), "cpu") == path
    others = {
        references.path_of(spec, "Fake 80GB"),
        references.path_of(replace(spec, seed=8), "cpu"),
        references.path_of(replace(spec, setting=replace(spec.setting, dataset="Wave")), "cpu"),
        references.path_of(replace(spec, setting=replace(spec.setting, scale="small")), "cpu"),
    }
    main = toy.fixed_texts("Line", backend="default")["main.py"]
    for variant in (
        make_variant("Toy", change=lambda content: content.update(version=2)),
        make_variant("Toy", files={"templates/default/main.py": f"{main}#"}),
    ):
        others.add(references.path_of(replace(spec, setting=replace(spec.setting, domain=variant)), "cpu"))
    monkeypatch.setattr(calibration, "versions", lambda domain, dataset: {"numpy": "0"})
    others.add(references.path_of(spec, "cpu"))
    assert path not in others
    assert len(others) == 7


def test_the_environment_records_its_reference_and_replay_knows_it(
    task: Task, sandbox: Sandbox, good: dict[str, str], tmp_path: Path
) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path / "runs", reference="paired")
    observation, info = env.reset(seed=1)
    assert "the baseline implementation itself scores exactly 1" in observation["text"]
    edits = [{"path": name, "content": text} for name, text in good.items()]
    _, reward, _, _, info = env.step({"edits": edits, "command": "submit"})
    env.close()
    (exam,) = info["meta_test"]["Wave"]["exams"]
    assert exam["normalised"] == info["meta_test"]["Wave"]["normalised"] > 1
    score = info["meta_test"]["Wave"]
    span = score["baseline"] - score["floor"]
    assert exam["normalised"] == pytest.approx(1 + (exam["metric"] - exam["reference"]) / span)
    recorded = EpisodeRecord.load(info["run_directory"])
    assert (recorded.setup.reference, recorded.setup.transform) == ("paired", "ordered")
    assert recorded.setup.scoring == PAIRED
    result = invoke("replay", info["run_directory"])
    assert f"reward: recorded {reward:.6f}, again {reward:.6f}" in result.stdout


def test_runs_that_do_not_record_how_they_were_scored_are_linear() -> None:
    old = Path(__file__).parent / "runs_v1" / "toy_submitted"
    assert EpisodeRecord.load(old).setup.scoring == Scoring("shipped", "linear")
    later = json.loads((old / "episode.json").read_text()) | {"version": 3, "reference": "other"}
    with pytest.raises(RunError, match="reference is 'other'; it must be one of shipped, paired"):
        _ = SetupRecord.from_json(later).scoring
