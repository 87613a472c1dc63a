"""Evolution gets better over generations, goes on after it was killed, and asks the language model sensibly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.agents.display import EvolutionDisplay
from discoenv.agents.llm.budget import Budget, Ledger
from discoenv.agents.search.evolution import Evolution, EvolutionSettings, ParallelEvaluator
from discoenv.agents.search.islands import Individual, Islands
from discoenv.agents.search.operators import AstOperator, LlmOperator, Operator
from discoenv.episodes.transcript import CallRecorder, read_calls
from discoenv.errors import InfraError, RunError
from discoenv.exams.host import Host
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.agents.conftest import MakeModel, ended
from tests.agents.llm.openai_server import Answer, Fail, FakeOpenAI, Say
from tests.conftest import POLYNOMIAL_FEATURES, FailingSandbox
from tests.real_domains import tiny_task

ROOT = Path(__file__).resolve().parents[3]


def settings_for(task: Task, **changes: Any) -> EvolutionSettings:
    settings = EvolutionSettings(
        task=task.model_dump(mode="json"),
        seed=0,
        generations=3,
        children=4,
        islands=2,
        island_size=3,
        migration_every=2,
        operator={"name": "ast", "changes": 1.5},
    )
    return replace(settings, **changes)


def test_random_changes_raise_the_score_over_generations(task: Task, tmp_path: Path, sandbox: Sandbox) -> None:
    evolution = Evolution(tmp_path, settings_for(task), AstOperator(task), num_envs=2, host=Host(sandbox))
    result = evolution.run()
    trace = evolution.trace()
    assert len(trace) == 13
    assert trace[-1] > trace[0] + 0.02
    assert result["meta_train_score"] == trace[-1]
    assert result["base_meta_train_score"] == trace[0]
    recorded = json.loads((Path(result["run_directory"]) / "result.json").read_text())
    assert recorded["reward"] == result["reward"]


@pytest.mark.slow
def test_random_changes_raise_the_score_on_greenhouse_gases(tmp_path: Path, sandbox: Sandbox) -> None:
    modules = ("model", "data_processing")
    task = tiny_task("GreenhouseGasPrediction", modules=modules, meta_train=("BoxModel/CO2",))
    settings = settings_for(task, generations=2, islands=1, children=6, budget_scale=50.0)
    evolution = Evolution(tmp_path, settings, AstOperator(task), num_envs=2, host=Host(sandbox))
    evolution.run()
    trace = evolution.trace()
    assert trace[-1] > trace[0]  # by little in some exams: the base is good


@pytest.mark.slow
def test_random_changes_raise_the_score_in_reinforcement_learning(tmp_path: Path, sandbox: Sandbox) -> None:
    task = tiny_task("OnPolicyRL", modules=("schedule",))
    settings = settings_for(task, generations=1, children=3, islands=1, seed=3, budget_scale=50.0)
    evolution = Evolution(tmp_path, settings, AstOperator(task), num_envs=2, host=Host(sandbox))
    evolution.run()
    trace = evolution.trace()
    assert trace[-1] > trace[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it: Input should be"),
        ("{", "it: Invalid JSON"),
        ('{"seed": 0}', "task: Field required"),
        ("changed", "children: Input should be a valid integer"),
    ],
)
def test_settings_that_cannot_be_read_name_what_is_wrong(task: Task, tmp_path: Path, text: str, message: str) -> None:
    settings = settings_for(task, budget_scale=7.0)
    settings.save(tmp_path)
    assert EvolutionSettings.load(tmp_path) == settings
    path = tmp_path / "evolve.json"
    earlier = json.loads(path.read_text())
    del earlier["budget_scale"]
    path.write_text(json.dumps(earlier))
    assert EvolutionSettings.load(tmp_path).budget_scale == 2.0
    path.write_text(json.dumps(earlier | {"children": "4"}) if text == "changed" else text)
    with pytest.raises(RunError, match=rf"evolve\.json: {message}"):
        EvolutionSettings.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", '{"number": 3}', '{"number": "3", "generation": 0, "island": 0}'])
def test_an_individual_that_cannot_be_read_names_its_file(
    task: Task, tmp_path: Path, sandbox: Sandbox, text: str
) -> None:
    (tmp_path / "individuals").mkdir()
    (tmp_path / "individuals" / "00003.json").write_text(text)
    with Host(sandbox) as host, pytest.raises(RunError, match=r"00003\.json: "):
        Evolution(tmp_path, settings_for(task), AstOperator(task), host=host)


class Interrupted(Exception):
    """Ends a run as a kill does, at an inconvenient time."""


class InterruptedOperator:
    """Breaks off after so many proposals."""

    attempts = 50

    def __init__(self, inner: Operator, proposals: int) -> None:
        self.inner = inner
        self.left = proposals

    def propose(self, *arguments: Any, **named: Any) -> Any:
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        return self.inner.propose(*arguments, **named)


def test_an_interrupted_run_goes_on_and_ends_as_one_that_was_not(task: Task, tmp_path: Path, sandbox: Sandbox) -> None:
    settings = settings_for(task, generations=2, children=3)
    operator = AstOperator(task)
    whole = Evolution(tmp_path / "whole", settings, operator, num_envs=2, host=Host(sandbox)).run()
    for proposals in (1, 3):
        broken = InterruptedOperator(operator, proposals)
        with pytest.raises(Interrupted):
            Evolution(tmp_path / "parts", settings, broken, num_envs=1, host=Host(sandbox)).run()
    parts = Evolution(
        tmp_path / "parts", EvolutionSettings.load(tmp_path / "parts"), operator, num_envs=3, host=Host(sandbox)
    ).run()
    assert ended(tmp_path / "parts") == ended(tmp_path / "whole")
    assert {key: parts[key] for key in ("reward", "best")} == {key: whole[key] for key in ("reward", "best")}
    again = Evolution(tmp_path / "parts", settings, operator, host=Host(FailingSandbox(sandbox, failures=99))).run()
    assert again == parts  # nothing is left to do


GOOD = f"Polynomials fit curves.\n\n### `features.py`\n\n```python\n{POLYNOMIAL_FEATURES}```\n"


def test_a_language_model_is_shown_scores_and_errors_and_its_modules_are_examined(
    task: Task, tmp_path: Path, sandbox: Sandbox, make_model: MakeModel
) -> None:
    broken = "I divide.\n\n### `features.py`\n\n```python\ndef features(x):\n    return x / None\n```\n"
    script: list[Answer] = [
        Say(broken),
        Say("I have no idea."),
        Say("Still none."),
        Fail(400, "no"),
        Fail(400, "no"),
        Say(GOOD),
    ]
    settings = settings_for(task, generations=4, children=1, islands=1, operator={"name": "llm", "model": "fake"})
    with FakeOpenAI(script, repeat=Say("")) as server:
        operator = LlmOperator(task, make_model(server.url), recorder=CallRecorder(tmp_path))
        evolution = Evolution(tmp_path, settings, operator, num_envs=1, host=Host(sandbox))
        result = evolution.run()
    individuals = [each for _, each in sorted(evolution.individuals.items())]
    assert [each.score is not None for each in individuals] == [True, True, False, False, True]
    assert individuals[1].score is not None and individuals[1].score < 0.5
    assert "NoneType" in individuals[1].feedback
    assert "holds no new module" in individuals[2].feedback or "copy" in individuals[2].feedback
    assert "cannot be had" in individuals[3].feedback
    assert result["best"] == 4
    assert result["reward"] > 1
    assert individuals[4].description == "Polynomials fit curves."
    first = server.requests[0]["messages"]
    assert first[0]["role"] == "system"
    for expected in ("Toy regression", "### `features.py`", "mean normalised score", "Meta-train scores"):
        assert expected in first[1]["content"]
    assert "Steps" not in first[1]["content"]  # nothing of the meta-test side
    calls = [event for event in read_calls(tmp_path) if event["event"] == "model_call"]
    assert {call["conversation"] for call in calls} == {f"individual {number}" for number in (1, 2, 3, 4)}


def test_when_the_budget_is_spent_the_best_so_far_is_submitted_and_more_budget_goes_on(
    task: Task, tmp_path: Path, sandbox: Sandbox, make_model: MakeModel
) -> None:
    settings = settings_for(task, generations=3, children=2, islands=1, operator={"name": "llm", "model": "fake"})
    with FakeOpenAI([Say(GOOD)], repeat=Say(GOOD.replace("range(6)", "range(4)"))) as server:
        for calls, complete in ((1, False), (50, True)):
            model = make_model(server.url, ledger=Ledger(Budget(calls=calls)))
            evolution = Evolution(tmp_path, settings, LlmOperator(task, model), num_envs=2, host=Host(sandbox))
            result = evolution.run()
            assert (result["budget_spent"] is None) is complete or result["best"] == 1
            assert (evolution.budget_spent is None) is complete
            assert result["reward"] > 1
    assert len(evolution.individuals) == 7


def test_a_failing_machine_is_tried_again_with_the_same_exams(task: Task, tmp_path: Path, sandbox: Sandbox) -> None:
    settings = settings_for(task, generations=1, children=2)
    failing = FailingSandbox(sandbox, failures=2)
    whole = Evolution(tmp_path / "whole", settings, AstOperator(task), num_envs=1, host=Host(sandbox)).run()
    evolution = Evolution(tmp_path / "failing", settings, AstOperator(task), num_envs=1, host=Host(failing))
    assert evolution.run()["reward"] == whole["reward"]
    assert evolution.individuals[0].failures == 1
    assert ended(tmp_path / "failing") == ended(tmp_path / "whole")


def test_a_machine_that_keeps_failing_is_an_error_and_not_a_score(task: Task, tmp_path: Path, sandbox: Sandbox) -> None:
    failing = FailingSandbox(sandbox, failures=99)
    with pytest.raises(InfraError, match="no space"):
        Evolution(tmp_path, settings_for(task), AstOperator(task), num_envs=1, host=Host(failing)).run()
    settings = settings_for(task, generations=0)
    assert Evolution(tmp_path, settings, AstOperator(task), num_envs=1, host=Host(sandbox)).run()["best"] == 0


def test_candidates_are_examined_in_parallel_and_as_one_by_one(task: Task, sandbox: Sandbox) -> None:
    base, good = (
        {"features.py": POLYNOMIAL_FEATURES.replace("range(6)", "range(2)")},
        {"features.py": POLYNOMIAL_FEATURES},
    )
    found = []
    for count in (1, 3):
        evaluator = ParallelEvaluator(task.model_copy(update={"start": "base"}), 3, count, host=Host(sandbox))
        try:
            batches = [[base, good, base]] if count == 3 else [[base], [good], [base]]
            found.append([float(each.score or 0) for batch in batches for each in evaluator.evaluate(batch)])
        finally:
            evaluator.close()
    assert found[0] == found[1]
    assert found[0][0] == found[0][2] < found[0][1]


def individual(number: int, score: float | None, *, island: int = 0, reward: float | None = None) -> Individual:
    fitness = score if reward is None else reward
    return Individual(number, 1, island, {"m.py": str(number)}, score=score, reward=fitness, evaluated=True)


def test_islands_keep_their_best_and_exchange_them() -> None:
    islands = Islands(2, 2, migration_every=2)
    islands.add_generation(0, [individual(0, 1.0)])
    assert [[each.number for each in members] for members in islands.members] == [[0], [0]]
    islands.add_generation(
        1, [individual(1, 3.0), individual(2, 2.0), individual(3, None), individual(4, 1.5, island=1)]
    )
    assert [[each.number for each in members] for members in islands.members] == [[1, 2], [4, 0]]
    islands.add_generation(2, [])
    assert [[each.number for each in members] for members in islands.members] == [[1, 2], [1, 4]]
    assert islands.best is not None and islands.best.number == 1


def test_rewards_come_before_scores_and_better_parents_are_drawn_more_often() -> None:
    islands = Islands(1, 3, migration_every=0)
    islands.add_generation(
        1, [individual(1, 9.0, reward=0.0), individual(2, 1.0, reward=2.0), individual(3, 1.0, reward=0.0)]
    )
    assert [each.number for each in islands.members[0]] == [2, 1, 3]
    rng = np.random.default_rng(0)
    drawn = [islands.parents(0, rng) for _ in range(700)]
    first = [sum(parents[0].number == number for parents in drawn) for number in (2, 1, 3)]
    assert first[0] > 1.5 * first[1] > 2 * first[2] > 0
    assert {len(parents) for parents in drawn} == {1, 2}
    assert all(len({each.number for each in parents}) == len(parents) for parents in drawn)


def test_generations_are_reported(
    task: Task, tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    display = EvolutionDisplay(Console(width=200))
    settings = settings_for(task, generations=1, children=1)
    seen: list[tuple[int, int]] = []

    def on_generation(number: int, individuals: Sequence[Individual], islands: Islands) -> None:
        seen.append((number, len(individuals)))
        display.generation(number, individuals, islands)

    display.begin(tmp_path, settings)
    evolution = Evolution(tmp_path, settings, AstOperator(task), host=Host(sandbox), on_generation=on_generation)
    display.end(evolution.run())
    assert seen == [(0, 1), (1, 1)]
    printed = capsys.readouterr().out
    assert "generation 1: 1 individuals" in printed
    assert "number" in printed and "reward" in printed
