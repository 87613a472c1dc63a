"""Steps that nothing waits for: asked for, watched, ended before their time; and the environment for ``asyncio``.

A step takes as long as its exams, from seconds to hours. :class:`StepQueue` takes the steps of one episode in a
thread, so that an event loop goes on, and :class:`AsyncDiscoGenEnv` is :class:`discoenv.env.DiscoGenEnv` on top of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Self, TypeVar

from discoenv import arguments
from discoenv.env import DiscoGenEnv, Observation
from discoenv.episodes.episode import Info
from discoenv.errors import EpisodeLeft, UnknownName
from discoenv.exams.spec import Progress, RunningExam

Status = Literal["waiting", "running", "done", "failed", "cancelled"]
Result = TypeVar("Result")
Transition = tuple[Observation, float, bool, bool, Info]
#: How long exams may take to begin or to end after a step was told to stop, before the episode is ended.
_PATIENCE_S: Final = 1.0
#: How long the thread of a queue may take to end.
_LONGEST_END_S: Final = 60.0


class ExamCounts:
    """Counts the exams of the step that goes on; :meth:`take` is what an environment wants for ``on_progress``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        with self._lock:
            self._running: list[Progress] = []
            self._finished: dict[str, int] = {}  # by side: a last run is followed by the submission
            self._total: dict[str, int] = {}

    def take(self, progress: Progress) -> None:
        """An exam begins or ends."""
        side = progress.spec.side
        with self._lock:
            if not progress.reference:  # exams of the base modules are named, and do not count
                self._total[side] = progress.total
            if progress.result is None:
                self._running.append(progress)
                return
            self._running = [
                each for each in self._running if (each.spec, each.reference) != (progress.spec, progress.reference)
            ]
            if progress.reference:
                return
            self._finished[side] = self._finished.get(side, 0) + 1

    def state(self, waiting: int) -> tuple[int, int | None, str]:
        """Number of finished exams, of all exams (None: not known yet), and the same in words.

        Args:
            waiting: how many exams wait for a core.
        """
        with self._lock:
            finished, total = sum(self._finished.values()), sum(self._total.values())
            doing = ", ".join(dict.fromkeys(each.spec.dataset for each in self._running))
        known = [f"{finished} of {total} exams finished"] if total else []
        if doing:
            known.append(f"training: {doing}")
        elif waiting:
            known.append("waiting for a core: exams of other processes hold all of this machine's")
        elif not total:
            known.append("preparing")
        return finished, total or None, "; ".join(known)


@dataclass(frozen=True)
class StepState:
    """How a step stands.

    Attributes:
        id: as :meth:`StepQueue.submit` returned it.
        status: ``waiting`` for earlier steps; ``running``; ``done``, with a result; ``failed``, it raised;
            ``cancelled``, it never began, or the episode was left while it ran.
        elapsed_s: seconds since it began, until it ended; 0 while it waits.
        finished, total: number of exams that have ended, and of all (None: not known yet).
        running: the exams that go on, each with its dataset, its seconds and its last line of output.
        text: the same in words.
        late: whether its deadline passed before it had ended.
    """

    id: str
    status: Status
    elapsed_s: float = 0.0
    finished: int = 0
    total: int | None = None
    running: tuple[RunningExam, ...] = ()
    text: str = ""
    late: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("done", "failed", "cancelled")


@dataclass(eq=False)
class _Step(Generic[Result]):
    """A step that was asked for."""

    id: str
    work: Callable[[], Result]
    final: bool = False
    result: Future[Result] = field(default_factory=Future)
    over: threading.Event = field(default_factory=threading.Event)
    begun_s: float | None = None
    ended_s: float | None = None
    late: bool = False
    left: bool = False
    counted: tuple[int, int | None, str] = (0, None, "")
    timer: threading.Timer | None = None


class StepQueue(Generic[Result]):
    """Takes the steps of one episode in a thread of its own, one after another. Any thread may use it; close it.

    Args:
        running: the exams that go on.
        stop: ends the ``run`` that goes on, which still has a result; whether there was one.
        leave: ends the episode: what goes on raises :class:`EpisodeLeft`.
        close: ends all that belongs to it, after ``leave``.
        counts: what the environment reports the progress of exams to.
        waiting: number of exams that wait for a core.
        limit: as many ended steps are remembered for :meth:`poll` and :meth:`result`.
    """

    def __init__(
        self,
        *,
        running: Callable[[], Sequence[RunningExam]],
        stop: Callable[[], bool],
        leave: Callable[[], object],
        close: Callable[[], object] = lambda: None,
        counts: ExamCounts,
        waiting: Callable[[], int] = lambda: 0,
        limit: int = 1000,
    ) -> None:
        self._running = running
        self._stop = stop
        self._leave = leave
        self._close = close
        self._counts = counts
        self._waiting = waiting
        self._limit = limit
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._steps: dict[str, _Step[Result]] = {}
        self._asked: queue.SimpleQueue[_Step[Result] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[], Result], *, deadline_s: float | None = None, final: bool = False) -> str:
        """Ask for a step, and return at once.

        Args:
            work: takes it.
            final: it ends the episode with a score, so that :meth:`finish` waits for it.
            deadline_s: seconds from now after which it is ended as :meth:`cancel` does, the time in which it waits for
                earlier steps included; None: never.

        Returns:
            An id for the other methods.

        Raises:
            EpisodeLeft: the queue is closed.
            ArgumentError: the deadline is not a positive number.
        """
        if deadline_s is not None:
            deadline_s = arguments.number("deadline_s", deadline_s, above=0)
        with self._lock:
            if self._closed:
                raise EpisodeLeft("the episode was closed: no further step can be taken")
            step = _Step(f"step-{next(self._numbers)}", work, final)
            self._steps[step.id] = step
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._take_steps, name="discoenv-steps", daemon=True)
                self._thread.start()
            if deadline_s is not None:
                step.timer = threading.Timer(deadline_s, self._end, args=(step,), kwargs={"late": True})
                step.timer.daemon = True
                step.timer.start()
            self._asked.put(step)
        return step.id

    def poll(self, step_id: str) -> StepState:
        """How a step stands; returns at once.

        Raises:
            UnknownName: there is no such step, or it was over long ago.
        """
        step = self._find(step_id)
        if not step.over.is_set() and step.begun_s is not None:
            elapsed = time.monotonic() - step.begun_s
            finished, total, text = self._counts.state(self._waiting())
            return StepState(step.id, "running", elapsed, finished, total, tuple(self._running()), text, late=step.late)
        if not step.over.is_set():
            return StepState(step.id, "waiting", text="waiting for earlier steps", late=step.late)
        elapsed = 0.0 if step.begun_s is None or step.ended_s is None else step.ended_s - step.begun_s
        finished, total, _ = step.counted
        status: Status = "cancelled" if step.result.cancelled() or step.left else "done"
        text = "over"
        if status == "done" and (error := step.result.exception()) is not None:
            status, text = "failed", f"{type(error).__name__}: {error}"
        return StepState(step.id, status, elapsed, finished, total, (), text, late=step.late)

    def result(self, step_id: str, timeout_s: float | None = None) -> Result:
        """The result of a step; waits for it.

        Raises:
            EpisodeLeft: it was cancelled before it had begun, or the episode was left meanwhile.
            TimeoutError: ``timeout_s`` passed first; the step goes on.
            Exception: what the step raised.
        """
        step = self._find(step_id)
        if not step.over.wait(timeout_s):
            raise TimeoutError(f"{step_id} still runs after {timeout_s} s: wait again, or cancel() it")
        return self._outcome(step)

    async def wait(self, step_id: str) -> Result:
        """As :meth:`result`, for an event loop. If the waiting is cancelled, so is the step."""
        step = self._find(step_id)
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def report() -> None:
            if not over.done():
                over.set_result(None)

        def on_end(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(report)

        step.result.add_done_callback(on_end)
        try:
            await over
        except asyncio.CancelledError:
            threading.Thread(target=self._end, args=(step,), name="discoenv-cancel", daemon=True).start()
            raise
        return self._outcome(step)

    def cancel(self, step_id: str) -> bool:
        """End a step. Returns at once, or when what goes on has been told to end; whether there was anything to end.

        A step that waits never begins. A ``run`` is stopped, counts as an action, and has as its result what had
        finished. A step that scores the episode cannot be stopped: the episode is left, without a reward.
        """
        step = self._find(step_id)
        if step.over.is_set():
            return False
        self._end(step)
        return True

    def finish(self) -> None:
        """Have no further step begin, stop a ``run``, and wait for what goes on, which may be a submission."""
        with self._lock:
            steps = [step for step in self._steps.values() if not step.over.is_set()]
        for step in reversed(steps):  # the last first, so that none of them begins meanwhile
            if step.result.cancel():
                step.over.set()
        for step in steps:
            while not step.over.wait(0.05):
                if not step.final:
                    self._stop()

    def close(self) -> None:
        """Leave the episode, end its steps, and wait until the thread has ended. Safe to call again."""
        with self._lock:
            closed, self._closed, thread = self._closed, True, self._thread
            steps = list(self._steps.values())
        if not closed:
            for step in steps:
                if step.timer is not None:
                    step.timer.cancel()
                step.left |= not step.over.is_set() and step.begun_s is not None
                if step.result.cancel():
                    step.over.set()
            self._asked.put(None)
        self._leave()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_LONGEST_END_S)
        self._close()

    def _find(self, step_id: str) -> _Step[Result]:
        with self._lock:
            if step_id in self._steps:
                return self._steps[step_id]
            raise UnknownName("step", step_id, list(self._steps)[-12:])

    def _forget(self) -> None:
        ended = [name for name, step in self._steps.items() if step.over.is_set()]
        for name in ended[: max(0, len(ended) - self._limit)]:
            del self._steps[name]

    def _outcome(self, step: _Step[Result]) -> Result:
        if step.result.cancelled():
            when = "its deadline passed" if step.late else "it was cancelled"
            raise EpisodeLeft(f"{step.id} was not taken: {when} before it had begun")
        try:
            return step.result.result()
        except EpisodeLeft as error:
            if not step.late:
                raise
            raise EpisodeLeft(f"the deadline of {step.id} passed, which ended the episode: {error}") from error

    def _end(self, step: _Step[Result], *, late: bool = False) -> None:
        if step.over.is_set():
            return
        step.late |= late
        if step.result.cancel():  # it had not begun
            step.over.set()
            return
        begin = time.monotonic()
        stopped = False
        while not step.over.wait(0.02):
            stopped = self._stop() or stopped
            if stopped and not late:
                return
            if time.monotonic() - begin > _PATIENCE_S:
                step.left = True
                self._leave()
                return

    def _take_steps(self) -> None:
        """Take the steps that are asked for, as the target of a thread."""
        while (step := self._asked.get()) is not None:
            if not step.result.set_running_or_notify_cancel():
                continue
            self._counts.begin()
            step.begun_s = time.monotonic()
            result, error = None, None
            try:
                result = step.work()
            except BaseException as raised:  # its result is raised where it is asked for
                error = raised
            step.ended_s = time.monotonic()
            step.counted = self._counts.state(0)
            if step.timer is not None:
                step.timer.cancel()
            step.left &= error is not None
            step.over.set()
            if error is None:
                step.result.set_result(result)  # type: ignore[arg-type]
            else:
                step.result.set_exception(error)


class AsyncDiscoGenEnv:
    """:class:`DiscoGenEnv` for ``asyncio``: its steps are awaited, and nothing blocks the event loop.

    Besides awaiting :meth:`step`, a step can be asked for (:meth:`submit`), watched (:meth:`poll`) and ended
    (:meth:`cancel`). Steps of one environment come one after another; many environments step side by side, in as many
    exams at once as their ``host`` allows.

    Args:
        on_progress: as in :class:`DiscoGenEnv`; it is called in another thread.
        further: all other arguments of :class:`DiscoGenEnv`.

    Attributes:
        env: the environment. Do not step it yourself while a step goes on.

    Example:
        ::

            async with AsyncDiscoGenEnv("OnPolicyRL", scale="tiny") as env:
                observation, info = await env.reset(seed=0)
                step = env.submit({"command": "run"}, deadline_s=600)
                while not env.poll(step).over:
                    await asyncio.sleep(1)
                observation, reward, terminated, truncated, info = await env.wait(step)
    """

    def __init__(
        self,
        domain: str | Sequence[str] | None = None,
        task: Any = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        **further: Any,
    ) -> None:
        counts = ExamCounts()

        def report(progress: Progress) -> None:
            counts.take(progress)
            if on_progress is not None:
                on_progress(progress)

        if on_progress is not None:
            arguments.function("on_progress", on_progress, "progress")
        self.env = env = DiscoGenEnv(domain, task, on_progress=report, **further)
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self._steps: StepQueue[Any] = StepQueue(
            running=lambda: env.running,
            stop=env.stop_run,
            leave=env.leave,
            close=env.close,
            counts=counts,
            waiting=lambda: env.host.cores.waiting,
        )

    async def __aenter__(self) -> Self:
        """The environment; leaving the block closes it."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close it."""
        await self.close()

    async def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Start an episode; see :meth:`DiscoGenEnv.reset`, whose errors it raises."""
        result: tuple[Observation, Info] = await self._steps.wait(
            self._steps.submit(lambda: self.env.reset(seed=seed, options=options))
        )
        return result

    async def step(self, action: Any, *, deadline_s: float | None = None) -> Transition:
        """Apply an action; see :meth:`DiscoGenEnv.step`, whose errors it raises.

        If the waiting is cancelled, so is the step, as by :meth:`cancel`.

        Args:
            action: as for :meth:`DiscoGenEnv.step`.
            deadline_s: seconds after which the step is ended, as by :meth:`cancel`; None: never.

        Raises:
            EpisodeLeft: the environment was closed meanwhile, or the deadline passed while the episode was scored.
        """
        return await self.wait(self.submit(action, deadline_s=deadline_s))

    def submit(self, action: Any, *, deadline_s: float | None = None) -> str:
        """Ask for a step, and return its id at once; see :meth:`StepQueue.submit`."""

        def work() -> Transition:
            observation, reward, terminated, truncated, info = self.env.step(action)
            return observation, float(reward), terminated, truncated, info

        return self._steps.submit(work, deadline_s=deadline_s)

    def poll(self, step_id: str) -> StepState:
        """How a step stands: exams finished, dataset, elapsed seconds and last line of output of those that go on.

        Raises:
            UnknownName: there is no such step.
        """
        return self._steps.poll(step_id)

    async def wait(self, step_id: str) -> Transition:
        """The result of a step; see :meth:`step`."""
        result: Transition = await self._steps.wait(step_id)
        return result

    def result(self, step_id: str, timeout_s: float | None = None) -> Transition:
        """The result of a step, for threads; see :meth:`StepQueue.result`."""
        result: Transition = self._steps.result(step_id, timeout_s)
        return result

    def cancel(self, step_id: str) -> bool:
        """End a step; see :meth:`StepQueue.cancel`. It takes up to a second."""
        return self._steps.cancel(step_id)

    def end(self) -> None:
        """End the episode, its processes and its temporary files, for threads. Safe to call again."""
        self._steps.close()

    async def close(self) -> None:
        """As :meth:`end`, for event loops."""
        await asyncio.get_running_loop().run_in_executor(None, self.end)
