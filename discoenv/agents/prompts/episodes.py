"""Episodes by which prompts are judged: played in parallel, each kept on disk, none played twice.

An episode is identified by its prompt, task, seed and the player's limits. One that the machine or the model's server
spoilt says nothing about the prompt, and is not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.llm.play import AgentOutcome
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import StepRecord
from discoenv.episodes.transcript import read_calls
from discoenv.errors import EpisodeSpoilt, InfraError, SamplingFailed, TaskError
from discoenv.exams.host import Host
from discoenv.machine import atomic
from discoenv.sandbox import SandboxChoice
from discoenv.scoring import offered
from discoenv.tasks.sampling import sample_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task
from discoenv.tools import ToolSession

_SHOWN_CALLS: Final = 40
_SHOWN_CHARACTERS: Final = 300


class Player(Protocol):
    """Plays the episode of a session to its end; ``instructions`` is the prompt."""

    def __call__(self, session: ToolSession, model: ChatModel, *, instructions: str) -> AgentOutcome:
        """How it ended."""
        ...


@dataclass(frozen=True)
class Assignment:
    """A task and the seed of its episode."""

    task: Task
    seed: int


@dataclass(frozen=True)
class PlayedEpisode:
    """An episode that was played.

    Attributes:
        key: identifies it.
        summary: what the task was, in one paragraph.
        actions: what the agent did, one line for each tool call.
        feedback: how it went: scores of the runs, meta-test scores, errors.
        ended_by: see :class:`discoenv.agents.llm.play.AgentOutcome`.
        calls, tokens: spent on it.
    """

    key: str
    task_id: str
    reward: float
    summary: str
    actions: list[str]
    feedback: str
    ended_by: str
    calls: int
    tokens: int
    run_directory: str | None


class EpisodePlayer:
    """Plays episodes in ``<directory>/runs`` and keeps them in ``<directory>/episodes``.

    Args:
        directory: where to.
        play: plays one.
        make_model: a model with the budget of one episode; it is closed after it.
        player: what else identifies an episode besides prompt, task and seed: the agent, the model, the limits.
        max_steps: actions per episode.
        sandbox: as in :class:`DiscoGenEnv`.
        parallel: episodes at a time.
        exams_at_once: exams to run concurrently; None: one per core.
        on_episode: called after each episode that was played.
    """

    def __init__(
        self,
        directory: Path,
        play: Player,
        make_model: Callable[[], ChatModel],
        *,
        player: Mapping[str, Any],
        max_steps: int,
        sandbox: SandboxChoice = "auto",
        parallel: int = 4,
        exams_at_once: int | None = None,
        on_episode: Callable[[PlayedEpisode], None] = lambda episode: None,
    ) -> None:
        self._folder = directory / "episodes"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._runs = directory / "runs"
        self._play = play
        self._make_model = make_model
        self._player = {**player, "max_steps": max_steps}
        self._max_steps = max_steps
        self._host = Host(sandbox, exams_at_once=exams_at_once)
        self._parallel = parallel
        self._on_episode = on_episode

    def play(self, assignments: Sequence[Assignment], prompt: str) -> list[PlayedEpisode]:
        """One episode for each assignment.

        Raises:
            EpisodeSpoilt: one could not be played; the others were, and are kept.
        """
        threads = ThreadPoolExecutor(self._parallel)
        try:
            futures = [threads.submit(self._one, assignment, prompt) for assignment in assignments]
            wait(futures)
        finally:
            threads.shutdown(cancel_futures=True)  # interrupted: those that have begun are played to their end and kept
        return [future.result() for future in futures]

    def close(self) -> None:
        """End what still runs."""
        self._host.close()

    def _one(self, assignment: Assignment, prompt: str) -> PlayedEpisode:
        task = assignment.task
        identity = [prompt, task.task_id, assignment.seed, self._player]
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
        path = self._folder / f"{key}.json"
        if path.exists():
            return PlayedEpisode(**json.loads(path.read_text(encoding="utf-8")))
        episode = self._played(key, assignment, prompt)
        atomic.write_text(path, json.dumps(asdict(episode), indent=1) + "\n")
        self._on_episode(episode)
        return episode

    def _played(self, key: str, assignment: Assignment, prompt: str) -> PlayedEpisode:
        model = self._make_model()
        env = DiscoGenEnv(
            task=assignment.task,
            host=self._host,
            runs_dir=self._runs,
            max_steps=self._max_steps,
        )
        try:
            session = ToolSession(env, seed=assignment.seed)
            outcome = self._play(session, model, instructions=prompt)
            if not session.over and outcome.ended_by != "model_error":
                session.submit_best()  # a prompt is judged by what it leads to, be it nothing
        except InfraError as error:
            raise EpisodeSpoilt(f"{assignment.task.task_id}: {error}") from error
        finally:
            env.close()
            model.close()
        if "infra_error" in session.info:
            raise EpisodeSpoilt(f"{assignment.task.task_id}: {session.info['infra_error']}")
        if outcome.ended_by == "model_error":
            raise EpisodeSpoilt(f"{assignment.task.task_id}: {outcome.reason}")
        return PlayedEpisode(
            key=key,
            task_id=assignment.task.task_id,
            reward=session.reward,
            summary=summary(assignment.task),
            actions=_actions(outcome.run_directory),
            feedback=_feedback(session, outcome),
            ended_by=outcome.ended_by,
            calls=outcome.spent.calls,
            tokens=outcome.spent.tokens,
            run_directory=None if outcome.run_directory is None else str(outcome.run_directory),
        )


def summary(task: Task) -> str:
    """A task in words, for the model that rewrites the prompt: without names of its meta-test datasets."""
    specification = task.resolve().specification
    return (
        f"{specification.title}: {specification.summary.strip()} The agent wrote {', '.join(task.modules)}, starting "
        f"from {'stubs' if task.start == 'stub' else 'the baseline implementations'}; it could train on "
        f"{len(task.meta_train)} datasets, and is scored on {len(task.meta_test)} others. Objective: {task.objective}."
    )


def sample_assignments(count: int, *, seed: int, domains: Sequence[str] | None, scale: Scale) -> list[Assignment]:
    """``count`` different tasks of the sampler, none of them of DiscoBench; those for a lower count come first.

    Raises:
        TaskError: there are not so many.
    """
    rng = np.random.default_rng(seed)
    usable = offered.usable(scale)
    found: dict[str, Assignment] = {}
    for _ in range(100 * count):
        if len(found) == count:
            break
        try:
            task = sample_task(rng, domains=domains, scale=scale, usable=usable, test_seeds=1)
        except SamplingFailed:  # the domain that was drawn has no two calibrated datasets at this scale
            continue
        found.setdefault(task.task_id, Assignment(task, seed + len(found)))
    if len(found) < count:
        where = ", ".join(domains) if domains else "all domains"
        raise TaskError(f"{where}, scale {scale}: there are only about {len(found)} different tasks, not {count}")
    return list(found.values())


def _actions(run_directory: Path | None) -> list[str]:
    calls = [] if run_directory is None else read_calls(run_directory)
    lines = []
    for call in calls:
        if call["event"] == "tool_call":
            values = call["arguments"] if isinstance(call["arguments"], dict) else {"": call["arguments"]}
            arguments = ", ".join(f"{name}={_cut(str(value), 60)!r}" for name, value in values.items())
            lines.append(f"{call['name']}({arguments}) -> {_cut(call['text'], _SHOWN_CHARACTERS)}")
    return lines[:_SHOWN_CALLS]


def _feedback(session: ToolSession, outcome: AgentOutcome) -> str:
    runs = ", ".join(f"{run.score:.3f}" for run in session.runs) or "none"
    tested = list((StepRecord.from_json(session.info).meta_test or {}).values())
    scores = ", ".join(f"{score.normalised:.3f}" for score in tested) or "none"
    errors = sorted({exam.message for score in tested for exam in score.exams if exam.message})
    lines = [
        f"Reward {session.reward:.3f} (0 is a trivial solution, 1 the baseline; more is better).",
        f"Mean normalised scores of its runs while it worked: {runs}.",
        f"Normalised scores on the hidden datasets: {scores}.",
        f"The episode ended by: {outcome.ended_by} {outcome.reason}".rstrip() + ".",
        f"It used {session.max_steps - session.steps_left} of {session.max_steps} actions and {outcome.spent.calls} "
        "answers of the model.",
    ]
    return "\n".join([*lines, *(f"Error on a hidden dataset: {_cut(error, _SHOWN_CHARACTERS)}" for error in errors)])


def _cut(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"
