"""verifiers: a taskset, its tools, and the reward; ``vf-eval discoenv-verifiers``.

Each rollout has a process of its own, which verifiers starts and which holds the episode and serves its tools over MCP.
What the score needs is kept in the rollout's state. If the agent stops without submitting, the episode is restored from
its record when the rollout ends, and its best run is submitted.
"""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

from discoenv.adapters.frameworks import require
from discoenv.adapters.functions import as_method
from discoenv.adapters.session import Session, SessionHost, Split, TaskEntry
from discoenv.errors import DiscoenvError, Inconclusive
from discoenv.machine.devices import DeviceChoice
from discoenv.objectives import Transform
from discoenv.scoring.scores import Reference
from discoenv.tools import TOOLS

require("verifiers")

import verifiers.v1 as vf  # noqa: E402 - after the message

_PROMPT: Final = (
    "Discover a machine-learning algorithm. Begin with the tool read_task. Use the tools, and submit at the end."
)


class DiscoenvState(vf.State):
    """What the tools leave for the score.

    Attributes:
        run_directory: where the episode is recorded.
        outcome: what it came to, as JSON; None: it is not over.
        failure: why it has no reward; empty: nothing failed.
    """

    run_directory: str = ""
    outcome: dict[str, Any] | None = None
    failure: str = ""


class DiscoenvData(vf.TaskData):
    """A row: the task, as JSON, and the episode's seed."""

    task: dict[str, Any]
    seed: int


class DiscoenvToolsConfig(vf.ToolsetConfig):
    """Where and how episodes are played and recorded; see :class:`discoenv.env.DiscoGenEnv`."""

    sandbox: str = "auto"
    device: DeviceChoice = "auto"
    runs_dir: str = "runs"
    max_steps: int = 10
    reference: Reference = "shipped"
    transform: Transform = "ordered"

    def host(self) -> SessionHost:
        """What opens the episodes."""
        return SessionHost(
            sandbox=self.sandbox,
            device=self.device,
            runs_dir=self.runs_dir,
            max_steps=self.max_steps,
            reference=self.reference,
            transform=self.transform,
        )


class DiscoenvTools(vf.Toolset[DiscoenvToolsConfig, DiscoenvState]):
    """The tools of one episode, in a process of its own."""

    TOOL_PREFIX = None
    _session: Session | None = None
    _failure: str = "it was not begun"

    async def setup_task(self, task: DiscoenvData) -> None:
        """Begin the episode of a row. What goes wrong is said by each tool, and fails the rollout."""
        try:
            host = self.config.host()
            self._exit_stack.callback(host.close)
            self._session = await host.aopen(task.task, seed=task.seed)
            self._session.played_by("verifiers", {})
        except DiscoenvError as error:  # verifiers waits for a server that ended for minutes
            self._failure = f"{type(error).__name__}: {error}"

    def register(self, mcp: Any) -> None:
        """Offer the tools. They are no methods of the class, which has a ``run`` of its own."""
        for tool, function in zip(TOOLS, _FUNCTIONS, strict=True):
            bound = self._with_state(types.MethodType(function, self))
            mcp.add_tool(bound, name=tool.name, description=tool.description)

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        state = self.state
        if self._session is None:
            state.failure = self._failure
            return f"There is no episode: {self._failure}"
        state.run_directory = str(self._session.run_directory)
        try:
            result = await self._session.acall(name, arguments)
            if self._session.over:
                state.outcome = (await self._session.areward()).facts()
        except Inconclusive as error:
            state.failure = f"{type(error).__name__}: {error}"
            return f"The episode has no reward, because the machine failed: {error}"
        return result.text


_FUNCTIONS: Final = [as_method(tool, "DiscoenvTools", DiscoenvTools._call) for tool in TOOLS]


class DiscoenvTaskConfig(vf.TaskConfig):
    """``--env.taskset.task.tools.*``: where and how episodes are played."""

    tools: DiscoenvToolsConfig = DiscoenvToolsConfig()


class DiscoenvTask(vf.Task[DiscoenvData, DiscoenvState, DiscoenvTaskConfig]):
    """An episode of discoenv, its reward, and what it is made of."""

    @classmethod
    def toolsets(cls, config: DiscoenvTaskConfig) -> list[Any]:
        """The process of the episode."""
        return [DiscoenvTools(config.tools)]

    async def finalize(self, trace: Any, runtime: Any) -> None:
        """Submit the best run of an agent that has stopped without submitting."""
        state = trace.state
        if state.outcome is None and not state.failure:
            work = functools.partial(_settle, self.config.tools, self.data, state.run_directory)
            try:
                state.outcome = await asyncio.get_running_loop().run_in_executor(None, work)
            except Inconclusive as error:
                state.failure = f"{type(error).__name__}: {error}"
        trace.info["discoenv"] = state.outcome or {"failure": state.failure}

    @vf.reward(weight=1.0)
    async def submitted(self, trace: Any) -> float:
        """The reward of the episode, as ``gym.make`` gives it.

        Raises:
            TaskError: the machine failed, so there is none.
        """
        if trace.state.outcome is None:
            raise vf.TaskError(f"the episode has no reward; play it again: {trace.state.failure or 'it is not over'}")
        return float(trace.state.outcome["reward"])

    @vf.metric
    async def normalised(self, trace: Any) -> dict[str, float]:
        """Normalised scores of the meta-test datasets, by name."""
        outcome = trace.state.outcome or {}
        return {f"meta_test/{dataset}": score for dataset, score in outcome.get("meta_test", {}).items()}


class DiscoenvConfig(vf.TasksetConfig):
    """Which tasks: a split, how many of it (None: all; ``train`` has no end), and of what they are sampled."""

    split: Split = "train"
    count: int | None = None
    first: int = 0
    domain: str | None = None
    scale: str | None = None
    objective: str | None = None
    task: DiscoenvTaskConfig = DiscoenvTaskConfig()


class DiscoenvTaskset(vf.Taskset[DiscoenvTask, DiscoenvConfig]):
    """All tasks of discoenv: sampled ones (``train``) and those of DiscoBench."""

    def __init__(self, config: DiscoenvConfig) -> None:
        super().__init__(config)
        self.INFINITE = config.split == "train" and config.count is None

    def load(self) -> Iterator[DiscoenvTask]:
        """The tasks, in order."""
        config = self.config
        with SessionHost(config.domain, scale=config.scale, objective=config.objective, runs_dir=None) as host:
            for entry in host.tasks(config.split, config.count, first=config.first):
                yield DiscoenvTask(row(entry), config.task)


def row(entry: TaskEntry) -> DiscoenvData:
    """A row of the taskset."""
    content = entry.task.model_dump(mode="json")
    return DiscoenvData(
        id=f"{entry.split}/{entry.name}", name=entry.name, prompt=_PROMPT, task=content, seed=entry.seed
    )


def _settle(config: DiscoenvToolsConfig, data: DiscoenvData, run_directory: str) -> dict[str, Any]:
    """What an episode that was left comes to if its best run is submitted; without a run: its files as they are."""
    with config.host() as host:
        return host.open(data.task, seed=data.seed, restore=run_directory or None).reward().facts()


if __name__ == "__main__":
    DiscoenvTools.run()
