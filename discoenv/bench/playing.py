"""Plays one cell: an agent on a task with a seed, one episode, and what is to be known of it afterwards."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import gymnasium
import numpy as np
from gymnasium.utils import seeding

from discoenv import arguments
from discoenv.bench.agents import Agent
from discoenv.bench.cell import CellResult, DatasetOutcome, failure
from discoenv.env import DiscoGenEnv
from discoenv.episodes.episode import EpisodeLimits
from discoenv.episodes.record import RunRecord, ScoreRecord, StepRecord, best_run
from discoenv.episodes.transcript import read_calls
from discoenv.episodes.watch import watch
from discoenv.errors import ArgumentError, BenchError, DiscoenvError, Inconclusive, InfraError
from discoenv.exams import secrets
from discoenv.exams.host import Host
from discoenv.exams.secrets import Secret
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.experiment.worker import Failed
from discoenv.machine.devices import DeviceChoice
from discoenv.objectives import TRANSFORMS
from discoenv.sandbox import get_sandbox
from discoenv.scoring.scores import REFERENCES
from discoenv.tasks.registry import load_pack
from discoenv.tasks.task import Task
from discoenv.text import printable, shown

#: Folder of the episodes' run directories in a cell's folder; attempts that were cut off leave theirs, too.
RECORDS: Final = "episodes"
_COUNTED: Final = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True, kw_only=True)
class ExaminedRun(RunRecord):
    """A ``run`` with its outcome per dataset."""

    outcomes: Mapping[str, DatasetOutcome]


class OneEpisode(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The environment of a cell: its task and seed cannot be changed, and there is one episode.

    Args:
        env: the environment.
        seed: of the episode, whatever an agent passes to ``reset``.

    Attributes:
        steps: actions so far.
        over: whether the episode has ended.
        reward: of the episode.
        runs: each ``run``.
        last: what the last reset or step reported.
        infra_error: why the machine failed, if it did.
    """

    def __init__(self, env: DiscoGenEnv, seed: int) -> None:
        super().__init__(env)
        self._seed = seed
        self._max_steps = env.limits.max_steps
        self._begun = False
        self.steps = 0
        self.over = False
        self.reward = 0.0
        self.last: StepRecord | None = None
        self.runs: list[ExaminedRun] = []
        self.infra_error = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the episode. The seed is the cell's.

        Raises:
            BenchError: it has been started before, or another task is asked for.
        """
        if self._begun:
            raise BenchError("an agent plays one episode per cell: call reset() once")
        if options:
            raise BenchError("the task of a cell is fixed: call reset() without options")
        self._begun = True
        observation, info = self.env.reset(seed=self._seed)
        self.last = StepRecord.from_json(info)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Apply an action.

        Raises:
            InfraError: the machine failed.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps = self._max_steps - int(observation["steps_left"])
        self.last = StepRecord.from_json(info)
        run = self.last.run(len(self.runs) + 1, self.steps)
        if run is not None:
            self.runs.append(ExaminedRun(**vars(run), outcomes=_outcomes(self.last.meta_train)))
        self.over = terminated or truncated
        self.reward = float(reward)
        if self.last.infra_error is not None:
            self.infra_error = self.last.infra_error
            raise InfraError(self.infra_error)
        return observation, reward, terminated, truncated, info


class _Energy:
    """Adds up the energy of the agent's exams that are really run; an environment reports known ones again."""

    def __init__(self) -> None:
        self.joules: float | None = None
        self._begun: set[ExamSpec] = set()

    def __call__(self, progress: Progress) -> None:
        exam = progress.spec
        if progress.reference:
            return
        if progress.result is None:
            self._begun.add(exam)
        elif exam in self._begun:
            self._begun.remove(exam)
            self.joules = (self.joules or 0.0) + progress.result.energy.joules


def play_cell(config: dict[str, Any], seed: int, device: str, logdir: Path) -> dict[str, Any]:
    """Play a cell; as a ``run`` of :func:`discoenv.experiment.run_experiment`.

    Args:
        config: ``agent`` (text), ``task`` (plain values), ``secret`` (the commitment to the benchmark's secret), and
            arguments of the environment under ``environment``.
        seed: of the matrix; see :func:`episode_seed`.
        device: not used: each exam leases what it needs.
        logdir: the cell's folder, ``<benchmark>/cells/<ID>/<seed>``.

    Returns:
        A :class:`CellResult` as plain values.

    Raises:
        Failed: the agent raised; with the result.
        Inconclusive: the machine failed, or lacks something, be it the benchmark's secret.
    """
    secret = secrets.committed(config["secret"])
    shared = {"transform": "linear", **checked_environment(config.get("environment", {}))}  # as before it was recorded
    for pack in shared.pop("packs", ()):
        load_pack(pack)
    task = Task.parse(config["task"])
    play = Agent.parse(config["agent"]).load()
    episode = episode_seed(seed, task)
    energy = _Energy()
    transform = str(shared["transform"])
    sandbox = get_sandbox(str(shared.pop("sandbox", "auto")).split(","))  # each name is tried out on this node
    host = Host(
        sandbox,
        device=shared.pop("device", "auto"),
        exams_at_once=shared.pop("exams_at_once", None),
        secret=secret,
    )
    begin = time.monotonic()
    base = DiscoGenEnv(task=task, host=host, runs_dir=logdir / RECORDS, on_progress=energy, **shared)
    env = OneEpisode(base, episode)

    def result(**ending: Any) -> dict[str, Any]:
        best = best_run(env.runs)
        return CellResult(
            agent=config["agent"],
            task=task.task_id,
            domain=task.domain,
            modules=list(task.modules),
            seed=seed,
            meta_train={} if best is None else dict(best.outcomes),
            steps=env.steps,
            seconds=time.monotonic() - begin,
            joules=energy.joules,
            watch=_watched(base.run_directory, secret),
            failure=failure(task, transform),
            record=_relative(base.run_directory, logdir),
            **_language_models(base.run_directory),
            **ending,
        ).to_json()

    try:
        try:
            play(env, episode)
            if not env.over and not env.infra_error:
                if env.last is None:
                    env.reset()
                env.step("submit")
        except Inconclusive:
            raise
        except Exception as error:
            if not env.infra_error:
                line = " ".join(printable(f"{type(error).__name__}: {error}").split())[:500]
                raise Failed(f"the agent raised {line}", result(error=line)) from error
        if env.infra_error:
            raise InfraError(env.infra_error)
        assert env.last is not None
        outcomes = _outcomes(env.last.meta_test)
        succeeded = all(outcome.ok for outcome in outcomes.values())
        return result(reward=env.reward, meta_test=outcomes, succeeded=succeeded)
    finally:
        env.close()
        host.close()
        sandbox.close()


def checked_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the arguments that the environments of all cells share, each checked.

    Args:
        environment: of :class:`DiscoGenEnv` ``max_steps``, ``limits``, ``sandbox``, ``device``, ``reference`` and
            ``transform``; ``exams_at_once`` of :class:`Host`; and ``packs``, folders of further domains.

    Raises:
        BenchError: an argument is unknown or wrong.
    """
    found = dict(environment)
    try:
        for name, value in found.items():
            match name:
                case "packs":
                    found[name] = list(arguments.names(name, value)) if value else []
                case "sandbox":
                    arguments.names(name, value)
                case "device":
                    arguments.choice(name, value, get_args(DeviceChoice))
                case "reference":
                    arguments.choice(name, value, REFERENCES)
                case "transform":
                    arguments.choice(name, value, TRANSFORMS)
                case "limits":
                    arguments.settings(name, value, EpisodeLimits)
                case "max_steps" | "exams_at_once":
                    if value is not None:
                        arguments.integer(name, value, least=1)
                case _:
                    known = (
                        "max_steps",
                        "limits",
                        "sandbox",
                        "device",
                        "reference",
                        "transform",
                        "exams_at_once",
                        "packs",
                    )
                    raise BenchError(f"environment: unknown key {shown(name)}; known are {', '.join(known)}")
    except ArgumentError as error:
        raise BenchError(f"environment: {error}") from None
    return found


def episode_seed(seed: int, task: Task) -> int:
    """The seed of an episode: of the cell's seed and the task alone, so that agents are compared on the same exams."""
    words = np.frombuffer(hashlib.sha256(task.task_id.encode()).digest(), dtype="<u4")
    return int(np.random.SeedSequence([seed, *map(int, words)]).generate_state(1)[0])


def recorded_seed(seed: int, task: Task) -> int:
    """The seed in the record of a cell's episode: what :class:`DiscoGenEnv` draws first from :func:`episode_seed`."""
    generator, _ = seeding.np_random(episode_seed(seed, task))
    return int(generator.integers(2**63))


def _outcomes(scores: Mapping[str, ScoreRecord] | None) -> dict[str, DatasetOutcome]:
    return {name: DatasetOutcome.of(score) for name, score in (scores or {}).items()}


def _language_models(record: Path | None) -> dict[str, Any]:
    """Tokens and cost of the calls that an agent recorded beside the episode."""
    calls = [call for call in read_calls(record) if call.get("event") == "model_call"] if record else []
    if not calls:
        return {}
    usages = [call["usage"] if isinstance(call.get("usage"), dict) else {} for call in calls]
    prompt, completion = (sum(_count(usage.get(key)) for usage in usages) for key in _COUNTED)
    cost = sum(arguments.as_number(call.get("cost")) or 0.0 for call in calls)
    tokens = {"prompt": prompt, "completion": completion, "total": prompt + completion, "calls": len(calls)}
    return {"tokens": tokens, "cost_usd": cost or None}


def _watched(record: Path | None, secret: Secret) -> dict[str, int] | None:
    """What the record shows that a reader of results should look at; None if it cannot be read."""
    try:
        return None if record is None else watch(record, secret).counts
    except DiscoenvError:
        return None


def _count(value: Any) -> int:
    """A number of tokens out of a file that an agent may have written."""
    return int(arguments.as_number(value) or 0)


def _relative(record: Path | None, logdir: Path) -> str | None:
    """A run directory relative to the benchmark's folder, which is three above the cell's."""
    return None if record is None else os.path.relpath(record, logdir.parents[2])
