"""What every framework wants: a list of tasks, an episode with tools, its reward exactly once, an end.

A :class:`SessionHost` lists tasks and opens a :class:`Session` of one. All sessions share one
:class:`discoenv.exams.host.Host`; each has a thread for its steps, so that many play side by side. Every method of a
session that may take long has a twin for event loops, whose name begins with ``a``.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from discoenv import arguments
from discoenv.asynchronous import ExamCounts, StepQueue, StepState
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import ScoreRecord
from discoenv.errors import EpisodeLeft, InfraError, UnknownName
from discoenv.exams.host import Host
from discoenv.exams.secrets import Secret
from discoenv.machine.devices import DeviceChoice
from discoenv.sandbox import SandboxChoice
from discoenv.tasks.discobench import domain_of, get_discobench_tasks
from discoenv.tasks.task import Task
from discoenv.tools import TOOLS, Tool, ToolResult, ToolSession

Split = Literal["train", "discobench"]
SPLITS: Final[tuple[Split, ...]] = ("train", "discobench")
_Answer = TypeVar("_Answer")
#: The tools that take a step, and so may take long.
STEPS: Final = ("run", "submit")
#: Threads for what is neither a step nor quick: opening, closing, reading files.
_THREADS: Final = 64


@dataclass(frozen=True)
class TaskEntry:
    """A task of a split.

    Attributes:
        split: ``train`` or ``discobench``.
        index: its place in the split, from 0.
        name: how it is called there: that of the DiscoBench task, or ``train-<index>``.
        seed: of its episode. In ``train`` it is the index, and fixes the task, too.
        task: the task.
    """

    split: Split
    index: int
    name: str
    seed: int
    task: Task

    @property
    def id(self) -> str:
        """The task's id, which says nothing about the seed."""
        return self.task.task_id

    def facts(self) -> dict[str, Any]:
        """What frameworks keep beside it, as JSON."""
        return {
            "split": self.split,
            "index": self.index,
            "name": self.name,
            "seed": self.seed,
            "task_id": self.id,
            "domain": self.task.domain,
            "scale": self.task.scale,
            "objective": self.task.objective,
        }


@dataclass(frozen=True)
class Outcome:
    """What an episode came to.

    Attributes:
        reward: its reward; see :class:`discoenv.env.DiscoGenEnv`.
        task_id: id of the task.
        ended_by: ``submit``, the agent's; ``best_run``, submitted because the agent had stopped without; ``files``, the
            same where there was no run; or ``steps``, the actions were used up.
        steps: actions that it took.
        runs: number of runs.
        meta_test, meta_train: normalised score by dataset; meta-train is the best run's, empty without one.
        reward_parts: what the reward is made of.
        integrity: how far it can be trusted: level, sandbox, notes and flags.
        device: what was trained on.
        run_directory: where the episode is recorded; None without a record.
    """

    reward: float
    task_id: str
    ended_by: str
    steps: int
    runs: int
    meta_test: Mapping[str, float]
    meta_train: Mapping[str, float]
    reward_parts: Mapping[str, float]
    integrity: Mapping[str, Any]
    device: str
    run_directory: str | None

    def facts(self) -> dict[str, Any]:
        """It as JSON."""
        return asdict(self)


class Session:
    """One episode, for one agent. Made by :meth:`SessionHost.open`; any thread may use it; close it.

    Attributes:
        entry: the task, its split and seed.
        tools: the tools, with their JSON Schemas.
        introduction: what the agent should read first.
    """

    def __init__(
        self,
        entry: TaskEntry,
        env: DiscoGenEnv,
        counts: ExamCounts,
        threads: ThreadPoolExecutor,
        on_close: Callable[[Session], object],
        restore: Path | None = None,
    ) -> None:
        self.entry = entry
        self.tools: tuple[Tool, ...] = TOOLS
        self._env = env
        self._threads = threads
        self._on_close = on_close
        again: dict[str, Any] = {"seed": entry.seed} if restore is None else {"options": {"restore": restore}}
        self._play = ToolSession(env, **again)
        self.introduction = self._play.introduction
        self._steps: StepQueue[ToolResult] = StepQueue(
            running=lambda: env.running,
            stop=env.stop_run,
            leave=env.leave,
            close=self._play.close,
            counts=counts,
            waiting=lambda: env.host.cores.waiting,
        )
        self._settling = threading.Lock()
        self._outcome: Outcome | None = None
        self._failure: Exception | None = None
        self._closed = False

    def __enter__(self) -> Self:
        """The session; leaving the block closes it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    @property
    def play(self) -> ToolSession:
        """The episode itself: files, runs, notes."""
        return self._play

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        return self._play.over

    @property
    def run_directory(self) -> Path | None:
        """Where it is recorded; None without a record."""
        return self._env.run_directory

    # ---- tools

    def call(
        self,
        name: str,
        arguments: str | Mapping[str, Any] | None = None,
        *,
        call_id: str | None = None,
        deadline_s: float | None = None,
    ) -> ToolResult:
        """Use a tool, and wait for its result. A wrong call is a result, too, with ``ok`` False.

        Args:
            name: the tool.
            arguments: a mapping or its JSON text.
            call_id: the model's id of the call, for the record.
            deadline_s: seconds after which a step is ended; see :meth:`StepQueue.submit`.

        Raises:
            InfraError: the machine failed at this step, which ends the episode: discard it.
            EpisodeLeft: the session was closed, or the deadline ended the episode.
        """
        if name not in STEPS:
            return self._quick(name, arguments, call_id)
        return self._steps.result(self.submit(name, arguments, call_id=call_id, deadline_s=deadline_s))

    async def acall(
        self,
        name: str,
        arguments: str | Mapping[str, Any] | None = None,
        *,
        call_id: str | None = None,
        deadline_s: float | None = None,
    ) -> ToolResult:
        """As :meth:`call`, for event loops. If the waiting is cancelled, so is the step."""
        if name not in STEPS:
            return await self._in_thread(functools.partial(self._quick, name, arguments, call_id))
        return await self._steps.wait(self.submit(name, arguments, call_id=call_id, deadline_s=deadline_s))

    # ---- steps that are not waited for

    def submit(
        self,
        name: str,
        arguments: str | Mapping[str, Any] | None = None,
        *,
        call_id: str | None = None,
        deadline_s: float | None = None,
    ) -> str:
        """Ask for a step (``run`` or ``submit``) with the files as they are now, and return its id at once.

        Args and errors are those of :meth:`call`.
        """
        work = functools.partial(self._step, name, arguments, call_id=call_id, files=self._play.files)
        return self._steps.submit(work, deadline_s=deadline_s, final=name == "submit")

    def poll(self, step_id: str) -> StepState:
        """How a step stands; see :meth:`StepQueue.poll`."""
        return self._steps.poll(step_id)

    def result(self, step_id: str, timeout_s: float | None = None) -> ToolResult:
        """The result of a step; see :meth:`StepQueue.result`, and :meth:`call` for what it raises."""
        return self._steps.result(step_id, timeout_s)

    async def wait(self, step_id: str) -> ToolResult:
        """As :meth:`result`, for event loops."""
        return await self._steps.wait(step_id)

    def cancel(self, step_id: str) -> bool:
        """End a step; see :meth:`StepQueue.cancel`."""
        return self._steps.cancel(step_id)

    # ---- the end

    def reward(self, *, deadline_s: float | None = None) -> Outcome:
        """What the episode came to. It is scored once, whoever asks and however often; later calls get the same.

        If the agent has stopped without submitting, what still runs is stopped and its best run is submitted; without
        any run, the files as they are.

        Args:
            deadline_s: seconds that this submission may take; None: as long as it takes.

        Raises:
            InfraError: the machine failed. This is no reward of 0: discard the episode, or play it again.
            EpisodeLeft: the session was closed before the episode was over.
            Inconclusive: something else failed that says nothing about the agent.
        """
        with self._settling:
            if self._outcome is None and self._failure is None:
                try:
                    self._outcome = self._settle(deadline_s)
                except Exception as error:
                    self._failure = error
            if self._failure is not None:
                raise self._failure
            assert self._outcome is not None
            return self._outcome

    async def areward(self, *, deadline_s: float | None = None) -> Outcome:
        """As :meth:`reward`, for event loops. If the waiting is cancelled, the session is closed."""
        waiting = self._in_thread(functools.partial(self.reward, deadline_s=deadline_s))
        try:
            return await waiting
        except asyncio.CancelledError:
            self._closed = True  # from now on: whoever asks again gets no reward, either
            threading.Thread(target=self.close, name="discoenv-cancel", daemon=True).start()
            raise

    def played_by(self, name: str, options: Mapping[str, Any]) -> None:
        """Note in the record who plays, and how it was set up."""
        if self._play.recorder is not None:
            self._play.recorder.agent(name, options)

    def close(self) -> None:
        """End the episode, what trains, and its temporary files. Safe to call again, from any thread.

        An episode that was not over has no reward, and is recorded as left.
        """
        self._closed = True
        self._steps.close()
        self._on_close(self)

    async def aclose(self) -> None:
        """As :meth:`close`, for event loops."""
        await self._in_thread(self.close)

    def _settle(self, deadline_s: float | None) -> Outcome:
        play, ended_by = self._play, ""
        if self._closed and not play.over:
            raise EpisodeLeft("the episode was closed before it was over: it has no reward")
        if not play.over:
            self._steps.finish()
        if not play.over:
            ended_by, run = ("best_run", play.best.number) if play.best else ("files", 0)
            work = functools.partial(self._step, "submit", {"run": run}, source="agent")
            self._steps.result(self._steps.submit(work, deadline_s=deadline_s, final=True))
        self._require_sound()
        last = self._env.history.last
        outcome = Outcome(
            reward=play.reward,
            task_id=self.entry.id,
            ended_by=ended_by or ("submit" if last.terminated else "steps"),
            steps=last.step,
            runs=len(play.runs),
            meta_test=_normalised(last.info.meta_test),
            meta_train={} if play.best is None else _normalised(self._trained(play.best.number)),
            reward_parts=dict(last.info.reward_parts or {}),
            integrity=asdict(last.info.integrity),
            device=last.info.device,
            run_directory=None if self.run_directory is None else str(self.run_directory),
        )
        if play.recorder is not None:
            play.recorder.end({"ended_by": outcome.ended_by, "reason": "", "reward": outcome.reward})
        return outcome

    def _trained(self, number: int) -> Mapping[str, ScoreRecord] | None:
        """Scores of a run."""
        runs = [event.info.meta_train for event in self._env.history.events if event.info.meta_train is not None]
        return runs[number - 1]

    def _quick(self, name: str, arguments: str | Mapping[str, Any] | None, call_id: str | None) -> ToolResult:
        """Use a tool that takes no step."""
        if self._closed:
            raise EpisodeLeft("the episode was closed: no tool can be used")
        return self._play.call(name, arguments, call_id=call_id)

    def _step(self, name: str, arguments: str | Mapping[str, Any] | None, **further: Any) -> ToolResult:
        result = self._play.call(name, arguments, **further)
        if self._play.over and not self._play.scored:
            self._require_sound()
        return result

    def _require_sound(self) -> None:
        """Raise an error if the episode was over without a reward.

        Raises:
            InfraError: the machine failed.
            EpisodeLeft: it was left.
        """
        if "infra_error" in self._play.info:
            raise InfraError(
                f"the machine failed, so the episode has no reward; play it again: {self._play.info['infra_error']}"
            )
        if not self._play.scored:
            raise EpisodeLeft("the episode was left before it was over: it has no reward")

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class SessionHost:
    """Lists tasks and opens sessions, which share a host. Close it; those that are still open are closed with it.

    Args:
        domain, scale, objective: of the tasks, as in :class:`DiscoGenEnv`.
        host: where exams run; its creator closes it.
        sandbox, device, exams_at_once, secret: without a ``host``, those of one that is made when it is needed first.
        runs_dir: where run directories are written; None keeps no record.
        settings: further arguments of :class:`DiscoGenEnv`, those of all episodes: ``max_steps``, ``sampling``,
            ``limits``, ``reference``, ``transform``, ``packs``, ``reward_fn``.

    Raises:
        ArgumentError, UnknownName, SandboxUnavailable: as :class:`DiscoGenEnv`, when the host is first needed.
    """

    def __init__(
        self,
        domain: str | Sequence[str] | None = None,
        *,
        scale: Any = None,
        host: Host | None = None,
        sandbox: SandboxChoice = "auto",
        device: DeviceChoice = "auto",
        exams_at_once: int | None = None,
        secret: Secret | str | Path | None = None,
        runs_dir: str | Path | None = "runs",
        **settings: Any,
    ) -> None:
        self._domains = None if domain is None else arguments.names("domain", domain)
        self._settings: dict[str, Any] = {"domain": self._domains, "scale": scale, **settings}
        self._runs_dir = runs_dir
        self._make_host = functools.partial(Host, sandbox, device=device, exams_at_once=exams_at_once, secret=secret)
        self._given = host
        self._own: Host | None = None
        self._lock = threading.RLock()
        self._sessions: set[Session] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="discoenv-session")

    def __enter__(self) -> Self:
        """The host itself; leaving the block closes it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    @property
    def host(self) -> Host:
        """Where exams run.

        Raises:
            EpisodeLeft: this is closed.
        """
        with self._lock:
            if self._given is not None:
                return self._given
            if self._closed:
                raise EpisodeLeft("the session host was closed: make another one")
            if self._own is None:
                self._own = self._make_host()
            return self._own

    # ---- tasks

    def num_tasks(self, split: str) -> int | None:
        """Number of tasks of a split; None: as many as are asked for.

        Raises:
            UnknownName: there is no such split.
        """
        return len(self._names()) if _split(split) == "discobench" else None

    def task(self, split: str, index: int) -> TaskEntry:
        """A task of a split; the same one every time.

        Raises:
            UnknownName: there is no such split, or no such task.
        """
        index = arguments.integer("index", index, least=0)
        if _split(split) == "train":
            with self._lock:
                return TaskEntry("train", index, f"train-{index}", index, self._sampler.task_of(index))
        names = self._names()
        if index >= len(names):
            raise UnknownName("task", str(index), [f"0 to {len(names) - 1}"], "discobench")
        settings = {key: value for key, value in self._settings.items() if key != "domain"}
        env = DiscoGenEnv(task=names[index], host=self.host, runs_dir=None, **settings)
        try:
            return TaskEntry("discobench", index, names[index], 0, env.task_of(0))
        finally:
            env.close()

    def tasks(self, split: str, count: int | None = None, *, first: int = 0) -> Iterator[TaskEntry]:
        """The tasks of a split, in their order.

        Args:
            split: ``train``: tasks that are sampled, the one with index i by the seed i, none of DiscoBench, without
                end; or ``discobench``: the fixed tasks by which agents are compared.
            count: number of tasks; None: all.
            first: index of the first one.
        """
        total = self.num_tasks(split)
        last = (
            None
            if total is None and count is None
            else min(number for number in (total, None if count is None else first + count) if number is not None)
        )
        indices = itertools.count(first) if last is None else range(first, last)
        return (self.task(split, index) for index in indices)

    def find(self, name: str) -> TaskEntry:
        """The task of a name: of a DiscoBench task, or ``train-<seed>``.

        Raises:
            UnknownName: there is no such task.
        """
        kind, _, number = name.partition("-")
        if kind == "train" and number.isdecimal():
            return self.task("train", int(number))
        names = self._names()
        if name not in names:
            raise UnknownName("task", name, [*names, "train-0"])
        return self.task("discobench", names.index(name))

    # ---- sessions

    def open(
        self,
        task: TaskEntry | str | Task | Mapping[str, Any],
        *,
        seed: int | None = None,
        runs_dir: Any = "auto",
        restore: str | Path | None = None,
    ) -> Session:
        """Start an episode. It takes from a second to a minute.

        Args:
            task: an entry of :meth:`tasks`; the name of one; or any task, see :class:`DiscoGenEnv`.
            seed: of the episode; None: the one of the entry.
            runs_dir: where this episode is recorded; ``auto``: as all are.
            restore: a run directory of the task, whose episode was left or cut off: go on with it.

        Raises:
            UnknownName, TaskError: there is no such task, or it is wrong.
            MissingHere: this machine lacks what the task needs.
            InfraError: the machine failed.
        """
        if isinstance(task, str):
            task = self.find(task)
        played: Task | Mapping[str, Any]
        if isinstance(task, TaskEntry):
            given, played = task, task.task
        else:
            given, played = None, task
        counts = ExamCounts()
        env = DiscoGenEnv(
            task=played,
            host=self.host,
            on_progress=counts.take,
            runs_dir=self._runs_dir if runs_dir == "auto" else runs_dir,
            **self._settings,
        )
        try:
            entry = given or TaskEntry("train", 0, "", 0, env.task_of(0))
            if seed is not None:
                entry = replace(entry, seed=arguments.integer("seed", seed, least=0))
            found = None if restore is None else Path(restore)
            session = Session(entry, env, counts, self._threads, self._sessions.discard, found)
        except BaseException:
            env.close()
            raise
        with self._lock:
            if not self._closed:
                self._sessions.add(session)
                return session
        session.close()
        raise EpisodeLeft("the session host was closed: make another one")

    async def aopen(
        self, task: TaskEntry | str | Task | Mapping[str, Any], *, seed: int | None = None, runs_dir: Any = "auto"
    ) -> Session:
        """As :meth:`open`, for event loops. If the waiting is cancelled, the session is closed once it is made."""
        future = self._threads.submit(self.open, task, seed=seed, runs_dir=runs_dir)
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(_close_made)
            raise

    def close(self) -> None:
        """Close all sessions and, if it is this one's, the host. Safe to call again."""
        with self._lock:
            self._closed = True
            sessions = list(self._sessions)
        for session in sessions:
            session.close()
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            own.close()
        self._threads.shutdown(wait=False)

    @functools.cached_property
    def _sampler(self) -> DiscoGenEnv:
        return DiscoGenEnv(host=self.host, runs_dir=None, **self._settings)

    def _names(self) -> list[str]:
        """DiscoBench tasks of the domains."""
        if self._settings.get("packs"):
            _ = self._sampler  # which loads them
        return [name for name in get_discobench_tasks() if self._domains is None or domain_of(name) in self._domains]


def _split(name: str) -> Split:
    if name not in SPLITS:
        raise UnknownName("split", str(name), SPLITS)
    return name


def _close_made(future: Future[Session]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()


def _normalised(scores: Mapping[str, ScoreRecord] | None) -> dict[str, float]:
    return {dataset: score.normalised for dataset, score in (scores or {}).items()}
