"""Runs to look at: two that were really played, with calls of a language model in one, and one that is hostile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import yaml

import discoenv  # noqa: F401 - registers the environment
from agents import scripted
from discoenv.agents.scripted import ScriptedAgent
from discoenv.env import DiscoGenEnv
from discoenv.episodes import jsonl
from discoenv.episodes.record import EVENTS, EventRecord, SetupRecord
from discoenv.episodes.recorder import Recorder
from discoenv.episodes.transcript import CallRecorder
from discoenv.tasks.task import Task

TASK: dict[str, Any] = {
    "domain": "GreenhouseGasPrediction",
    "modules": ["data_processing", "model"],
    "meta_train": ["BoxModel/CFC", "BoxModel/CO2"],
    "meta_test": ["MaunaLoa/CO2", "BoxModel/CH4", "BoxModel/N2O"],
    "scale": "tiny",
    "test_seeds": 2,
}
BROKEN = '''"""A model that is not finished."""


def make_model(config):
    """Not yet."""
    raise ValueError("no model for a horizon of %s years" % config["horizon_years"])
'''
#: Says "executed" to the test in every way that a page could fall for.
MARKUP = (
    "</script><script>window.executed=1</script><img src=x onerror='window.executed=1'>"
    "<svg onload=window.executed=1><a href='javascript:window.executed=1'>x</a>\"'`${window.executed=1}{{1}}<!--"
)


def scripted_run(root: Path) -> Path:
    """Play the hand-written candidates; returns the run directory."""
    root.mkdir(parents=True)
    task = root.parent / f"{root.name}.yaml"
    task.write_text(yaml.safe_dump(TASK))
    scripted.main(scale="tiny", task=str(task), runs=root)
    (run,) = root.iterdir()
    return run


def chat_run(root: Path) -> Path:
    """A short episode with a refused action, a module that raises, a good one, and a record of calls.

    The exams are real; what the language model says is made up.
    """
    task = TASK | {"meta_test": ["BoxModel/CH4"], "test_seeds": 1}
    env = gym.make("DiscoGen-v0", task=task, max_steps=5, runs_dir=root, disable_env_checker=True)
    try:
        observation, _ = env.reset(seed=3)
        run = cast(DiscoGenEnv, env.unwrapped).run_directory
        assert run is not None
        talk = Talk(run, observation["text"])
        talk.asks(
            0, "Let me look for the data first.", "read_file", {"path": "data.csv"}, "There is no such file.", ok=False
        )
        env.step({"edits": [{"path": "data.csv", "content": "1,2"}], "command": "run"})
        talk.asks(
            1,
            "I begin with a **simple** model:\n\n* a trend\n* a season",
            "write_file",
            {"path": "model.py", "content": BROKEN},
            "Staged.",
        )
        talk.asks(1, "Now train.", "run", {"datasets": ["BoxModel/CFC"]}, "ValueError", steps=1)
        env.step({"edits": [{"path": "model.py", "content": BROKEN}], "command": "run"})
        good = ScriptedAgent(TASK["domain"]).act({"files": observation["files"], "steps_left": 9}, {})
        talk.asks(2, "It raised. I write it again.", "run", {}, "mean 1.5", steps=1)
        env.step(good)
        talk.asks(3, "Good enough.", "submit", {}, "reward", steps=1)
        *_, reward, terminated, _, _ = env.step({"command": "submit"})
        assert terminated
        talk.calls.end({"ended_by": "submit", "reward": float(reward), "spent": {"calls": 4}})
    finally:
        env.close()
    return run


class Talk:
    """A conversation with a model that says what the test gives it to say."""

    def __init__(self, run: Path, introduction: str) -> None:
        self.calls = CallRecorder(run)
        self.calls.agent("react", {"max_tokens": 100_000})
        system = {"role": "system", "content": "You discover algorithms."}
        self.messages: list[dict[str, Any]] = [system, {"role": "user", "content": introduction}]

    def asks(
        self,
        step: int,
        says: str,
        tool: str,
        arguments: dict[str, Any],
        result: str,
        *,
        ok: bool = True,
        steps: int = 0,
    ) -> None:
        """One answer of the model, and the tool that it asks for."""
        number = len(self.messages)
        function = {"name": tool, "arguments": json.dumps(arguments)}
        asked = [{"id": f"call_{number}", "type": "function", "function": function}]
        reply = {"role": "assistant", "content": says, "reasoning": f"thought {number}", "tool_calls": asked}
        usage = {"prompt_tokens": 900 + 200 * number, "cached_tokens": 0, "completion_tokens": 40, "source": "reported"}
        attempts = [{"error": "RateLimitError: slow down", "status": 429, "waited_s": 2.0}] if number == 2 else []
        facts = {
            "model": "example-model",
            "conversation": "main",
            "step": step,
            "usage": usage,
            "cost": 0.0125,
            "latency_s": 1.5,
            "finish_reason": "tool_calls",
            "attempts": attempts,
            "parameters": {"temperature": 0.7},
        }
        self.calls.model_call(self.messages, reply, facts)
        self.messages += [reply, {"role": "tool", "tool_call_id": f"call_{number}", "content": result}]
        self.calls.tool_call(
            {
                "name": tool,
                "arguments": arguments,
                "text": result,
                "ok": ok,
                "stepped": bool(steps),
                "step": step + steps,
                "duration_s": 0.01,
                "source": "model",
            }
        )


def write_line(recorder: Recorder, line: Mapping[str, Any]) -> None:
    """Append anything to a run's ``episode.jsonl``, as another version or a stranger might."""
    jsonl.append(recorder.directory / EVENTS, json.dumps(line))


def hostile_run(root: Path) -> Path:
    """A run that is going on, and tries to become markup wherever a text can stand."""
    task = Task(domain="Toy", modules=("model",), meta_train=(MARKUP,), meta_test=("Wave",), scale="tiny")
    setup = SetupRecord(episode_seed=1, sandbox=MARKUP, budget_scale=3.0, task_id=MARKUP, max_steps=4)
    recorder = Recorder(root, task, setup)
    recorder.modules(0, {"model.py": "start\n"})
    recorder.event(EventRecord(event="reset", text=f"# {MARKUP}\n\n| {MARKUP} |\n|---|\n| {MARKUP} |\n"))
    recorder.modules(1, {"model.py": f"{MARKUP}\n'''{MARKUP}\n"})
    write_line(recorder, hostile_step(1))
    calls = CallRecorder(recorder.directory)
    calls.agent(MARKUP, {MARKUP: MARKUP})
    call = {"id": MARKUP, "function": {"name": MARKUP, "arguments": json.dumps({MARKUP: f"{MARKUP}\n{MARKUP}"})}}
    reply = {"role": MARKUP, "content": MARKUP, "tool_calls": [call], "reasoning": MARKUP}
    calls.model_call([{"role": "user", "content": MARKUP}], reply, {"model": MARKUP, "step": 0, "label": MARKUP})
    calls.tool_call({"name": MARKUP, "arguments": MARKUP, "text": MARKUP, "ok": False, "step": 1, "stepped": True})
    (recorder.directory / "pictures").mkdir()
    (recorder.directory / "pictures" / "a.svg").write_text("<svg onload='window.executed=1'/>")
    return recorder.directory


def hostile_step(number: int) -> dict[str, Any]:
    """A step whose texts are all markup, and whose numbers are not all numbers."""
    exam = {
        "status": MARKUP,
        "seconds": 1.0,
        "joules": None,
        "memory_method": MARKUP,
        "energy_method": MARKUP,
        "message": MARKUP,
        "traceback": MARKUP,
        "stdout": MARKUP,
    }
    score = {
        "normalised": 0.5 * number,
        "standard_error": float("nan"),
        "metric": float("inf"),
        "metric_name": MARKUP,
        "floor": MARKUP,
        "exams": [exam],
    }
    info = {"version": 2, "meta_train": {MARKUP: score}, "score": 0.5 * number, "refused": MARKUP}
    action = {"edits": [], "command": MARKUP}
    return {"event": "step", "step": number, "action": action, "text": MARKUP, "reward": 0.0, "info": info}
