"""Best of N samples whole sets of modules, and submits the one that trained best."""

from __future__ import annotations

from pathlib import Path

from discoenv.agents.display import ChatDisplay
from discoenv.agents.llm import best_of_n
from discoenv.agents.llm.budget import Budget, Ledger
from discoenv.episodes.transcript import read_calls
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from tests.agents.conftest import MakeModel
from tests.agents.llm.openai_server import Fail, FakeOpenAI, Say
from tests.conftest import MakeSession


def sample(files: dict[str, str]) -> Say:
    blocks = [f"### `{name}`\n\n```python\n{text}```\n" for name, text in files.items()]
    return Say("Here they are.\n\n" + "\n".join(blocks))


def test_the_best_sample_is_submitted(
    make_session: MakeSession, make_model: MakeModel, task: Task, good: dict[str, str]
) -> None:
    base = base_modules(task)
    incomplete = {"model.py": base["model.py"]}
    broken = {**base, "features.py": "def features(x):\n    return y\n"}
    session = make_session(max_steps=10)
    with FakeOpenAI([sample(base), sample(incomplete), Fail(503), sample(good), sample(broken)]) as server:
        model = make_model(server.url)
        outcome = best_of_n.play(session, model, samples=4, display=ChatDisplay())
    assert (outcome.ended_by, outcome.runs) == ("samples", 3)
    assert (outcome.reward or 0) > 1
    assert session.observation["files"] == good
    assert session.steps_left == 6
    prompts = [request["messages"] for request in server.requests]
    assert prompts[0] == prompts[-1]  # samples are independent
    assert "### `features.py` (editable)" in prompts[0][1]["content"]
    assert "Your tools" not in prompts[0][1]["content"]
    calls = read_calls(Path(session.info["run_directory"]))
    asked = [call for call in calls if call["event"] == "model_call"]
    assert [call["conversation"] for call in asked] == ["sample 1", "sample 2", "sample 3", "sample 4"]
    assert [call["step"] for call in asked] == [0, 1, 1, 2]


def test_the_last_step_is_kept_for_the_submission(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    others = [good | {"model.py": f"{good['model.py']}# {number}\n"} for number in range(9)]  # the same again is free
    with FakeOpenAI(list(map(sample, others))) as server:
        outcome = best_of_n.play(make_session(max_steps=3), make_model(server.url), samples=9)
        assert len(server.requests) == 2
    assert (outcome.ended_by, outcome.runs) == ("steps", 2)
    assert (outcome.reward or 0) > 1


def test_a_spent_budget_submits_the_best_so_far(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    with FakeOpenAI([], repeat=sample(good)) as server:
        model = make_model(server.url, ledger=Ledger(Budget(calls=1)))
        outcome = best_of_n.play(make_session(), model, samples=9)
    assert (outcome.ended_by, outcome.runs) == ("budget", 1)
    assert (outcome.reward or 0) > 1


def test_a_model_that_cannot_be_had_leaves_the_files_as_they_are(
    make_session: MakeSession, make_model: MakeModel
) -> None:
    with FakeOpenAI([], repeat=Fail(403, "not you")) as server:
        outcome = best_of_n.play(make_session(), make_model(server.url), samples=2)
    assert (outcome.ended_by, outcome.reward) == ("model_error", None)
    assert "not you" in outcome.reason
