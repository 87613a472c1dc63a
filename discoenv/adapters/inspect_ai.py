"""Inspect AI: ``inspect eval discoenv/discobench -T scale=tiny --model …``.

Inspect finds the tasks :func:`discobench` and :func:`train` through the entry-point group ``inspect_ai``. A sample is
an episode. Its tools are those of :mod:`discoenv.tools`; what trains, trains in discoenv's own sandboxes, so that no
``sandbox`` of Inspect's is needed. The solver is free: ``generate`` by default, ``react()`` or any other agent.
"""

from __future__ import annotations

import atexit
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from discoenv import __version__
from discoenv.adapters.frameworks import require
from discoenv.adapters.session import Session, SessionHost, TaskEntry
from discoenv.errors import EpisodeLeft
from discoenv.tools import Tool, ToolResult

require("inspect_ai")

from inspect_ai import Task, task  # noqa: E402 - after the message that says how to install it
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.log import HeadlineMetric  # noqa: E402
from inspect_ai.model import ContentImage, ContentText  # noqa: E402
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr  # noqa: E402
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver  # noqa: E402
from inspect_ai.tool import Tool as InspectTool  # noqa: E402
from inspect_ai.tool import ToolDef, ToolError, ToolParams  # noqa: E402

#: Messages of a sample, unless the user says otherwise: an agent that goes in circles ends some time.
MESSAGE_LIMIT: Final = 200
_Content = str | list[ContentText | ContentImage]


class Episodes:
    """The sessions of the samples that are being played.

    Args:
        host: opens them.
        entries: the tasks, by the id of their sample.
        seed: of episodes of fixed tasks; the second epoch of a sample has the next one, and so on.
    """

    def __init__(self, host: SessionHost, entries: Sequence[TaskEntry], seed: int) -> None:
        self._host = host
        self._entries = {entry.name: entry for entry in entries}
        self._seed = seed
        self._sessions: dict[str, Session] = {}

    async def open(self, state: TaskState) -> Session:
        """Start the episode of a sample.

        Raises:
            Inconclusive: the machine failed, or lacks something: an error of the sample.
        """
        entry = self._entries[str(state.sample_id)]
        seed = entry.seed if entry.split == "train" else self._seed + state.epoch - 1
        session = await self._host.aopen(entry, seed=seed)
        self._sessions[state.uuid] = session
        session.played_by("inspect_ai", {"model": str(state.model), "sample": state.sample_id, "epoch": state.epoch})
        return session

    def of(self, state: TaskState) -> Session:
        """The session of a sample.

        Raises:
            EpisodeLeft: it was closed.
        """
        if state.uuid not in self._sessions:
            raise EpisodeLeft(f"the episode of sample {state.sample_id} was closed")
        return self._sessions[state.uuid]

    async def close(self, state: TaskState) -> None:
        """End the episode of a sample, whether or not it is over."""
        session = self._sessions.pop(state.uuid, None)
        if session is not None:
            await session.aclose()


@task
def discobench(
    domain: str | list[str] | None = None,
    scale: str | None = None,
    objective: str = "performance",
    seed: int = 0,
    max_steps: int = 10,
    message_limit: int | None = MESSAGE_LIMIT,
    time_limit: int | None = None,
    sandbox: str = "auto",
    device: str = "auto",
    runs_dir: str | None = "runs",
) -> Task:
    """DiscoBench: the fixed tasks by which agents are compared.

    Args:
        domain: these domains only; several as a list or separated by commas.
        scale: ``tiny``, ``small`` or ``full``.
        objective: what the reward is made of.
        seed: of the episodes; epoch number e has the seed ``seed + e - 1``.
        max_steps: actions per episode.
        message_limit, time_limit: limits of a sample, messages and seconds. At either, the best run is scored.
        sandbox, device: of discoenv, where learners train.
        runs_dir: where episodes are recorded.
    """
    host = _host(domain, scale, objective, max_steps, sandbox, device, runs_dir)
    return _task(host, list(host.tasks("discobench")), seed, message_limit, time_limit)


@task
def train(
    domain: str | list[str] | None = None,
    scale: str | None = None,
    objective: str = "performance",
    count: int = 16,
    first: int = 0,
    max_steps: int = 10,
    message_limit: int | None = MESSAGE_LIMIT,
    time_limit: int | None = None,
    sandbox: str = "auto",
    device: str = "auto",
    runs_dir: str | None = "runs",
) -> Task:
    """Sampled tasks, none of DiscoBench.

    Args:
        domain, scale, objective, max_steps, message_limit, time_limit, sandbox, device, runs_dir: see
            :func:`discobench`.
        count: number of tasks.
        first: seed of the first one.
    """
    host = _host(domain, scale, objective, max_steps, sandbox, device, runs_dir)
    return _task(host, list(host.tasks("train", count, first=first)), 0, message_limit, time_limit)


def make_task(
    host: SessionHost,
    entries: Sequence[TaskEntry],
    *,
    seed: int = 0,
    solver: Solver | None = None,
    **settings: Any,
) -> Task:
    """A task of Inspect over any tasks of discoenv.

    Args:
        host: opens the episodes; its creator closes it after the evaluation.
        entries: the tasks, one per sample.
        seed: of episodes of fixed tasks; see :func:`discobench`.
        solver: who plays; None: ``generate`` with tools, until the model stops.
        settings: further arguments of Inspect's ``Task``.
    """
    episodes = Episodes(host, entries, seed)
    return Task(
        dataset=MemoryDataset([_sample(entry) for entry in entries], name="discoenv"),
        setup=_begin(episodes),
        solver=solver or generate(tool_calls="loop"),
        scorer=discoenv_reward(episodes),
        cleanup=episodes.close,
        version=__version__,
        headline_metric=HeadlineMetric(score="reward", metric="mean"),
        tags=["discoenv"],
        **settings,
    )


@solver
def _begin(episodes: Episodes) -> Solver:
    """Starts the episode, and puts its text and tools in place."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        session = await episodes.open(state)
        state.user_prompt.text = session.introduction
        state.tools = [_tool(tool, session, state) for tool in session.tools]
        return state

    return solve


@scorer(metrics={"*": [mean(), stderr()]})
def discoenv_reward(episodes: Episodes) -> Scorer:
    """Two scores: ``reward``, as discoenv's environment gives it, and ``score``, the mean normalised meta-test score.

    If the agent has not submitted, its best run is submitted first. A failure of the machine is an error of the sample,
    which ``--retry-on-error`` plays again.
    """

    async def score(state: TaskState, target: Target) -> Score:
        session = episodes.of(state)
        outcome = await session.areward()
        tested = list(outcome.meta_test.values())
        return Score(
            value={"reward": outcome.reward, "score": sum(tested) / len(tested)},
            answer=f"{outcome.ended_by} after {outcome.steps} actions",
            explanation=str(session.play.observation["text"]),
            metadata=outcome.facts(),
        )

    return score


def _tool(tool: Tool, session: Session, state: TaskState) -> InspectTool:
    async def call(**arguments: Any) -> _Content:
        result = await session.acall(tool.name, arguments)
        state.completed = session.over
        if not (result.ok or result.stepped):
            raise ToolError(result.text)
        return _content(result)

    definition = ToolDef(
        call,
        name=tool.name,
        description=tool.description,
        parameters=ToolParams.model_validate(tool.parameters),
        parallel=False,
    )
    made: Callable[..., Awaitable[Any]] = definition.as_tool()
    return made


def _content(result: ToolResult) -> _Content:
    if result.picture is None:
        return result.text
    data = base64.b64encode(result.picture.data).decode()
    image = ContentImage(image=f"data:{result.picture.mime_type};base64,{data}")
    return [ContentText(text=result.text), image]


def _sample(entry: TaskEntry) -> Sample:
    modules = ", ".join(f"{name}.py" for name in entry.task.modules)
    text = f"{entry.task.domain}: write {modules}. The whole text takes this one's place when the episode begins."
    return Sample(input=text, id=entry.name, metadata=entry.facts())


def _task(
    host: SessionHost, entries: Sequence[TaskEntry], seed: int, message_limit: int | None, time_limit: int | None
) -> Task:
    return make_task(host, entries, seed=seed, message_limit=message_limit, time_limit=time_limit)


def _host(
    domain: str | list[str] | None,
    scale: str | None,
    objective: str,
    max_steps: int,
    sandbox: str,
    device: str,
    runs_dir: str | None,
) -> SessionHost:
    """A session host that lives as long as this process: Inspect does not report when a task is over."""
    names = domain.split(",") if isinstance(domain, str) else domain
    settings: Mapping[str, Any] = {"device": device, "scale": scale, "objective": objective, "max_steps": max_steps}
    host = SessionHost(names, sandbox=sandbox, runs_dir=runs_dir, **settings)
    atexit.register(host.close)
    return host
