"""Inspect AI plays episodes: the same rewards as Gymnasium, failures as errors of samples, nothing left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from discoenv.adapters.session import SessionHost, TaskEntry
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tools import TOOLS
from tests.adapters import playing
from tests.adapters.playing import REAL, SLOW, Call, gym_reward, script
from tests.conftest import FailingSandbox

inspect_ai = playing.framework("inspect_ai")

Evaluate = Callable[..., Any]


def entry_of(task: Task, seed: int = 0) -> TaskEntry:
    return TaskEntry("discobench", 0, "toy", seed, task)


def model_of(calls: Sequence[Call]) -> Any:
    """A model that makes these calls, in each sample from the start, and then stops."""
    from inspect_ai.model import ChatMessageAssistant, ModelOutput, ModelUsage, get_model

    def answer(messages: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
        turn = sum(isinstance(message, ChatMessageAssistant) for message in messages)
        if turn < len(calls):
            output = ModelOutput.for_tool_call("mockllm/model", calls[turn].name, dict(calls[turn].arguments))
        else:
            output = ModelOutput.from_content("mockllm/model", "I stop.")
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it counts, with a download
        return output

    return get_model("mockllm/model", custom_outputs=answer)


@pytest.fixture
def make_host(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., SessionHost]]:
    made: list[SessionHost] = []

    def make(**arguments: Any) -> SessionHost:
        settings: dict[str, Any] = {"sandbox": sandbox, "runs_dir": tmp_path / "runs"}
        made.append(SessionHost(**(settings | arguments)))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Evaluates a task with a scripted model; the log."""

    def run(task: Any, calls: Sequence[Call], **settings: Any) -> Any:
        (log,) = inspect_ai.eval(
            task, model=model_of(calls), display="none", log_dir=str(tmp_path / "logs"), **settings
        )
        return log

    return run


def test_an_episode_is_worth_what_it_is_worth_in_gymnasium(
    make_host: Callable[..., SessionHost], evaluate: Evaluate, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    from inspect_ai.log import read_eval_log

    from discoenv.adapters.inspect_ai import make_task

    log = evaluate(make_task(make_host(), [entry_of(task)], seed=3), script(good), epochs=2)
    assert log.status == "success"
    expected = [gym_reward(task, good, seed, sandbox=sandbox) for seed in (3, 4)]
    assert [sample.scores["discoenv_reward"].value["reward"] for sample in log.samples] == expected
    assert min(expected) > 1
    read = read_eval_log(log.location)  # as the viewer does
    score = read.samples[0].scores["discoenv_reward"]
    assert score.metadata["task_id"] == task.task_id
    assert score.metadata["integrity"]["sandbox"] == sandbox.name
    assert score.value["score"] == pytest.approx(score.metadata["meta_test"]["Wave"])
    assert (score.answer, "Meta-test scores" in score.explanation) == ("submit after 2 actions", True)
    metrics = {each.name: each.metrics["mean"].value for each in read.results.scores}
    assert metrics["reward"] == pytest.approx(sum(expected) / 2)
    assert "## Your tools" in read.samples[0].messages[0].text
    assert Path(score.metadata["run_directory"]).is_dir()
    (event,) = [event for event in read.samples[0].events if event.event == "model"][:1]
    assert [tool.name for tool in event.tools] == [tool.name for tool in TOOLS]
    properties = {tool.name: set(tool.parameters.properties) for tool in event.tools}
    assert properties == {tool.name: set(tool.parameters["properties"]) for tool in TOOLS}


def test_without_a_submission_the_best_run_counts_and_wrong_calls_are_errors_of_tools(
    make_host: Callable[..., SessionHost], evaluate: Evaluate, task: Task, good: dict[str, str]
) -> None:
    from discoenv.adapters.inspect_ai import make_task

    calls = [*script(good, submit=False), Call("read_file", {"path": "nothing.py"}), Call("run", {"datasets": ["X"]})]
    log = evaluate(make_task(make_host(), [entry_of(task)]), calls)
    (sample,) = log.samples
    assert sample.scores["discoenv_reward"].metadata["ended_by"] == "best_run"
    assert sample.scores["discoenv_reward"].value["reward"] > 1
    errors = [message.error.message for message in sample.messages if getattr(message, "error", None)]
    assert [error.split("\n")[0] for error in errors] == [
        "Error: there is no file 'nothing.py'; list_files shows what there is",
        "Error: 'X' is not a meta-train dataset; they are Line",
    ]


def test_at_a_limit_the_best_run_counts(
    make_host: Callable[..., SessionHost], evaluate: Evaluate, task: Task, good: dict[str, str]
) -> None:
    from discoenv.adapters.inspect_ai import make_task

    calls = [*script(good, submit=False), *[Call("list_files", {})] * 50]
    log = evaluate(make_task(make_host(), [entry_of(task)], message_limit=12), calls)
    (sample,) = log.samples
    assert sample.limit.type == "message"
    assert sample.scores["discoenv_reward"].value["reward"] > 1


def test_a_failing_machine_is_an_error_of_the_sample_and_played_again_if_wanted(
    make_host: Callable[..., SessionHost],
    evaluate: Evaluate,
    task: Task,
    sandbox: Sandbox,
    good: dict[str, str],
) -> None:
    from discoenv.adapters.inspect_ai import make_task

    failing = make_host(sandbox=FailingSandbox(sandbox, 2))
    log = evaluate(make_task(failing, [entry_of(task)]), script(good))
    (sample,) = log.samples
    assert log.status == "error"
    assert "the machine failed, so the episode has no reward" in sample.error.message
    assert not sample.scores
    failing = make_host(sandbox=FailingSandbox(sandbox, 2))
    log = evaluate(make_task(failing, [entry_of(task)]), script(good), retry_on_error=1)
    assert log.samples[0].scores["discoenv_reward"].value["reward"] == gym_reward(task, good, 0, sandbox=sandbox)
    assert not failing._sessions


def test_cancelling_leaves_no_process_and_no_session(
    make_host: Callable[..., SessionHost], task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    from discoenv.adapters.inspect_ai import make_task

    host = make_host()

    async def play() -> None:
        calls = script(good | {"features.py": SLOW})
        evaluation = asyncio.create_task(
            inspect_ai.eval_async(
                make_task(host, [entry_of(task)]), model=model_of(calls), log_dir=str(tmp_path / "logs")
            )
        )
        while not playing.exams_below():
            await asyncio.sleep(0.05)
            assert not evaluation.done()
        evaluation.cancel()
        await asyncio.wait([evaluation], timeout=60)
        assert evaluation.done()

    asyncio.run(play())
    playing.eventually(lambda: not host._sessions)
    host.close()
    playing.eventually(lambda: not playing.exams_below())


def test_the_event_loop_goes_on_while_exams_run(
    make_host: Callable[..., SessionHost], task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    """Four samples at once, and ticks between them."""
    from discoenv.adapters.inspect_ai import make_task

    entries = [TaskEntry("train", seed, f"train-{seed}", seed, task) for seed in range(4)]
    gaps: list[float] = []
    over = threading.Event()

    async def play() -> Any:
        async def tick() -> None:
            while not over.is_set():
                begin = time.monotonic()
                await asyncio.sleep(0.005)
                gaps.append(time.monotonic() - begin)

        ticking = asyncio.create_task(tick())
        (log,) = await inspect_ai.eval_async(
            make_task(make_host(), entries), model=model_of(script(good)), log_dir=str(tmp_path / "logs")
        )
        over.set()
        await ticking
        return log

    log = asyncio.run(play())
    assert [sample.id for sample in log.samples] == [f"train-{seed}" for seed in range(4)]
    assert len({sample.scores["discoenv_reward"].value["reward"] for sample in log.samples}) == 4
    assert len(gaps) > 50


@pytest.mark.parametrize("domain", REAL)
def test_discobench_is_found_by_its_name(domain: str, evaluate: Evaluate, tmp_path: Path) -> None:
    task = playing.real_task(domain)
    name = f"{domain}_{task.modules[0]}"
    files = playing.base_of(task)
    settings = {"domain": domain, "scale": "tiny", "seed": 1, "runs_dir": str(tmp_path / "runs")}
    log = evaluate("discoenv/discobench", script(files), task_args=settings, sample_id=name)
    (sample,) = log.samples
    assert sample.id == name
    assert sample.scores["discoenv_reward"].value["reward"] == gym_reward(name, files, 1, scale="tiny")
    assert log.eval.task == "discoenv/discobench"
    assert log.eval.headline_metric is None or log.results.headline.score == "reward"


def test_training_tasks_are_found_by_their_name(evaluate: Evaluate, tmp_path: Path) -> None:
    settings = {"domain": "GreenhouseGasPrediction", "scale": "tiny", "count": 2, "first": 7}
    log = evaluate("discoenv/train", [], task_args={**settings, "runs_dir": str(tmp_path / "runs")}, limit=1)
    (sample,) = log.samples
    assert (sample.id, sample.metadata["seed"]) == ("train-7", 7)
    assert sample.scores["discoenv_reward"].metadata["ended_by"] == "files"
