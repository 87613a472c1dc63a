"""The reference agents, as the harness plays them: one episode each, with the options that they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from discoenv.agents import registry
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord, RunRecord
from discoenv.episodes.transcript import read_calls
from discoenv.errors import InfraError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.agents.conftest import KEY
from tests.agents.llm.openai_server import Fail, FakeOpenAI, Say


class Watched(DiscoGenEnv):
    """Remembers its actions, and how it ended."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.commands: list[str] = []
        self.submitted: list[dict[str, str]] = []
        self.reward = 0.0

    def step(self, action: Any) -> Any:
        outcome = super().step(action)
        self.commands.append(action if isinstance(action, str) else action["command"])
        self.submitted.append(dict(outcome[0]["files"]))
        self.reward = float(outcome[1])
        return outcome


@pytest.fixture
def env(task: Task, sandbox: Sandbox, tmp_path: Path) -> Any:
    watched = Watched(task=task, sandbox=sandbox, runs_dir=tmp_path / "runs", max_steps=6)
    yield watched
    watched.close()


def test_the_baseline_is_the_base_modules(env: Watched) -> None:
    registry.baseline(env, 0)
    assert env.commands == ["submit"]
    assert env.reward == pytest.approx(1, abs=0.2)


def test_unchanged_modules_are_stubs(env: Watched) -> None:
    registry.unchanged(env, 0)
    assert env.commands == ["submit"]
    assert env.reward == -1
    assert "NotImplementedError" in env.submitted[-1]["model.py"]


@pytest.mark.parametrize("agent", [registry.random_search, registry.evolve])
def test_searches_keep_to_their_steps_and_to_their_seed(agent: Any, env: Watched) -> None:
    agent(env, 3, steps=4)
    assert env.commands == ["run", "run", "run", "submit"]
    first, env.commands, env.submitted = env.submitted, [], []
    agent(env, 3, steps=4)
    assert env.submitted == first
    assert first[0] != first[1] != first[2]


def test_evolution_submits_the_best_that_it_tried(env: Watched) -> None:
    registry.evolve(env, 0, steps=5, islands=2)
    scores = [run.reward for run in _runs(env)]
    assert len(scores) == 4
    best = env.submitted[:-1][scores.index(max(scores))]
    assert env.submitted[-1] == best


def test_scripted_tries_the_candidates_of_a_folder(env: Watched, good: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "candidates/Toy/01_better"
    folder.mkdir(parents=True)
    (folder / "features.py").write_text(good["features.py"])
    registry.scripted(env, 0, candidates=str(tmp_path / "candidates"))
    assert env.commands == ["run", "submit"]
    assert env.submitted[-1] == good
    with pytest.raises(LookupError, match="no candidates for Toy"):
        registry.scripted(env, 0, candidates=str(tmp_path / "nowhere"))


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_a_model_plays_by_its_options(env: Watched, good: dict[str, str], key: None) -> None:
    writes = [("write_file", {"path": name, "content": text}) for name, text in good.items()]
    with FakeOpenAI([Say(calls=writes), Say(calls=[("run", {})]), Say(calls=[("submit", {})])]) as server:
        registry.react(env, 0, model="fake", base_url=server.url, retries=0)
    assert env.commands == ["run", "submit"]
    assert env.reward > 1
    assert env.run_directory is not None
    assert [call["event"] for call in read_calls(env.run_directory)].count("model_call") == 3


@pytest.mark.parametrize("agent", [registry.react, registry.best_of_n])
def test_an_endpoint_that_is_down_is_the_machines_fault(agent: Any, env: Watched, key: None) -> None:
    with (
        FakeOpenAI([], repeat=Fail(400, "the model is being moved")) as server,
        pytest.raises(InfraError, match="moved"),
    ):
        agent(env, 0, model="fake", base_url=server.url, retries=0)


@pytest.mark.parametrize(("options", "message"), [({}, "model= is missing"), ({"modle": "x"}, "unknown option modle")])
def test_mistakes_in_options_are_reported(options: dict[str, Any], message: str, env: Watched) -> None:
    with pytest.raises(TypeError, match=message):
        registry.react(env, 0, **options)


def _runs(env: Watched) -> list[RunRecord]:
    assert env.run_directory is not None
    return EpisodeRecord.load(env.run_directory).runs


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("discoenv.agents", ("gymnasium", "numpy", "rich", "typer", "openai", "gepa", "pydantic")),
        ("discoenv.agents.registry", ("rich", "typer", "openai", "gepa", "jax")),
        ("discoenv.agents.llm.react", ("openai", "gepa", "jax")),
        ("discoenv.agents.prompts.study", ("openai", "gepa", "jax")),
    ],
)
def test_agents_load_what_they_need_when_they_need_it(module: str, heavy: tuple[str, ...]) -> None:
    program = f"import {module}, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
