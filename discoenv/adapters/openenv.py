"""OpenEnv: a server whose sessions are episodes, and a client that waits for exams.

::

    python -m discoenv.adapters.openenv --scale tiny --port 8000

A session is an episode of its own; all share one host. Actions are those of Gymnasium (``command``, ``edits``,
``datasets``, …). An episode at which the machine fails is an error of the session, not an observation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from discoenv.adapters.frameworks import require
from discoenv.adapters.session import SPLITS, SessionHost
from discoenv.asynchronous import AsyncDiscoGenEnv, Transition
from discoenv.episodes.record import StepRecord
from discoenv.errors import EpisodeLeft, InfraError

require("openenv")

from openenv.core.client_types import StepResult  # noqa: E402 - after the message that says how to install it
from openenv.core.env_client import EnvClient  # noqa: E402
from openenv.core.env_server.http_server import create_app  # noqa: E402
from openenv.core.env_server.interfaces import Environment  # noqa: E402
from openenv.core.env_server.types import Action, Observation, State  # noqa: E402
from pydantic import Field  # noqa: E402

#: Seconds that the client waits for an answer, unless told otherwise: longer than a step of tiny and small tasks.
MESSAGE_TIMEOUT_S: Final = 6 * 3600.0
#: Sampled tasks that a list shows; there are as many as seeds.
_SHOWN: Final = 100
_MOST: Final = 2**31 - 1


class DiscoenvAction(Action):
    """An action of discoenv's environment.

    Attributes:
        command: ``edit``, ``run``, ``history``, ``compare`` or ``submit``.
        edits: ``{"path": …, "content": …}`` or ``{"path": …, "old": …, "new": …}``.
        datasets, seeds, race: what a ``run`` trains on.
        runs: which runs are compared.
    """

    command: str = "run"
    edits: list[dict[str, str]] = Field(default_factory=list)
    datasets: list[str] = Field(default_factory=list)
    seeds: int | None = None
    race: bool = False
    runs: list[int] = Field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """It as :func:`discoenv.episodes.action.parse_action` takes it."""
        content = self.model_dump(exclude={"metadata"})
        return {key: value for key, value in content.items() if value not in (None, [], False)}


class DiscoenvObservation(Observation):
    """What the environment answers.

    Attributes:
        text: what a language model should read.
        files: the editable files, name to text.
        score: mean normalised score of the last run.
        steps_left: actions left.
        truncated: whether the episode ended because actions were used up.
        info: what Gymnasium's ``info`` holds.
    """

    text: str = ""
    files: dict[str, str] = Field(default_factory=dict)
    score: float = 0.0
    steps_left: int = 0
    truncated: bool = False
    info: dict[str, Any] = Field(default_factory=dict)


class DiscoenvState(State):
    """Which episode is played.

    Attributes:
        task_id: id of the task.
        run_directory: where it is recorded.
    """

    task_id: str = ""
    run_directory: str | None = None


class DiscoenvEnvironment(Environment[DiscoenvAction, DiscoenvObservation, DiscoenvState]):
    """One session of the server.

    Args:
        host: lists tasks, and holds the host that all sessions share.
        settings: arguments of :class:`discoenv.env.DiscoGenEnv`.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, host: SessionHost, settings: dict[str, Any]) -> None:
        super().__init__()
        self._tasks = host
        self._settings = settings
        self._env: AsyncDiscoGenEnv | None = None
        self._state = DiscoenvState()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> DiscoenvObservation:
        """As :meth:`reset_async`, blocking."""
        env, options, seed = self._prepared(seed, kwargs)
        observation, info = env.env.reset(seed=seed, options=options)
        return self._begun(observation, info, episode_id)

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any
    ) -> DiscoenvObservation:
        """Begin an episode.

        Args:
            seed: of the episode; default: the task's.
            episode_id: any name.
            kwargs: ``split`` and ``index``, or ``task`` (a DiscoBench task, ``train-<seed>``, or a mapping).
        """
        env, options, seed = self._prepared(seed, kwargs)
        observation, info = await env.reset(seed=seed, options=options)
        return self._begun(observation, info, episode_id)

    def step(self, action: DiscoenvAction, timeout_s: float | None = None, **kwargs: Any) -> DiscoenvObservation:
        """As :meth:`step_async`, blocking."""
        env = self._required()
        return self._answer(env.result(env.submit(action.plain(), deadline_s=timeout_s)))

    async def step_async(
        self, action: DiscoenvAction, timeout_s: float | None = None, **kwargs: Any
    ) -> DiscoenvObservation:
        """Apply an action.

        Args:
            action: what to do.
            timeout_s: seconds after which a run is stopped; a submission that takes longer ends without a reward.
            kwargs: not used.

        Raises:
            InfraError: the machine failed: the episode has no reward.
        """
        return self._answer(await self._required().step(action.plain(), deadline_s=timeout_s))

    @property
    def state(self) -> DiscoenvState:
        """Which episode is played."""
        return self._state

    def close(self) -> None:
        """End the episode and what trains."""
        env, self._env = self._env, None
        if env is not None:
            env.end()

    # ---- lists of tasks

    def list_splits(self) -> list[dict[str, str]]:
        """``train``, which is sampled, and ``discobench``, which is fixed."""
        return [{"name": split, "type": "train" if split == "train" else "test"} for split in SPLITS]

    def num_tasks(self, split: str) -> int:
        """Number of tasks; of ``train`` as many as there are seeds."""
        number = self._tasks.num_tasks(split)
        return _MOST if number is None else number

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """What is known of a task.

        Raises:
            IndexError: there is none of that index.
        """
        if not 0 <= index < self.num_tasks(split):
            raise IndexError(f"{split} has {self.num_tasks(split)} tasks; index is {index}")
        return self._tasks.task(split, index).facts()

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """All tasks; of ``train`` the first."""
        return self.get_task_range(split, 0, min(_SHOWN, self.num_tasks(split)))

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        """Tasks from ``start`` to ``stop``, which is not included."""
        first, last, _ = slice(start, stop).indices(self.num_tasks(split))
        return [self.get_task(split, index) for index in range(first, last)]

    # ----

    def _prepared(self, seed: int | None, chosen: dict[str, Any]) -> tuple[AsyncDiscoGenEnv, dict[str, Any], int]:
        """The environment, and the options and seed of its reset."""
        if self._env is None:
            self._env = AsyncDiscoGenEnv(host=self._tasks.host, **self._settings)
        task: Any = chosen.get("task")
        if task is None:
            entry = self._tasks.task(chosen.get("split", "train"), int(chosen.get("index", seed or 0)))
        elif isinstance(task, str):
            entry = self._tasks.find(task)
        else:
            return self._env, {"task": task}, seed or 0
        return self._env, {"task": entry.task}, entry.seed if seed is None else seed

    def _begun(self, observation: dict[str, Any], info: dict[str, Any], episode_id: str | None) -> DiscoenvObservation:
        self._state = DiscoenvState(
            episode_id=episode_id, step_count=0, task_id=info["task_id"], run_directory=info["run_directory"]
        )
        return self._answer((observation, 0.0, False, False, info))

    def _answer(self, transition: Transition) -> DiscoenvObservation:
        observation, reward, terminated, truncated, info = transition
        record = StepRecord.from_json(info)
        if record.infra_error is not None:
            raise InfraError(f"the machine failed, so the episode has no reward; reset: {record.infra_error}")
        over = terminated or truncated
        if self._env is not None and self._env.env.limits is not None:
            left = int(observation["steps_left"])
            self._state.step_count = max(0, self._env.env.limits.max_steps - left)
        return DiscoenvObservation(
            done=over,
            reward=reward,
            text=str(observation["text"]),
            files=dict(observation["files"]),
            score=float(observation["score"]),
            steps_left=int(observation["steps_left"]),
            truncated=truncated,
            info=info,
        )

    def _required(self) -> AsyncDiscoGenEnv:
        if self._env is None:
            raise EpisodeLeft("no episode was begun: reset first")
        return self._env


class DiscoenvClient(EnvClient[DiscoenvAction, DiscoenvObservation, DiscoenvState]):
    """Plays over the network, and waits for exams: OpenEnv's own client gives up after a minute.

    Args:
        base_url: of the server.
        message_timeout_s: seconds that one step may take.
        further: see OpenEnv's ``EnvClient``.
    """

    def __init__(self, base_url: str, *, message_timeout_s: float = MESSAGE_TIMEOUT_S, **further: Any) -> None:
        super().__init__(base_url=base_url, message_timeout_s=message_timeout_s, **further)

    def _step_payload(self, action: DiscoenvAction) -> dict[str, Any]:
        payload: dict[str, Any] = action.model_dump()
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[DiscoenvObservation]:
        content = {**payload["observation"], "done": payload.get("done", False), "reward": payload.get("reward")}
        observation = DiscoenvObservation.model_validate(content)
        return StepResult(observation=observation, reward=observation.reward, done=observation.done)

    def _parse_state(self, payload: dict[str, Any]) -> DiscoenvState:
        state: DiscoenvState = DiscoenvState.model_validate(payload)
        return state


def make_app(host: SessionHost, *, max_sessions: int = 64, **settings: Any) -> Any:
    """The server, as an ASGI application.

    Args:
        host: lists tasks and holds the host; its creator closes it after the server.
        max_sessions: episodes at the same time.
        settings: arguments of :class:`discoenv.env.DiscoGenEnv`, such as ``max_steps`` and ``runs_dir``.
    """
    factory: Callable[[], Environment] = lambda: DiscoenvEnvironment(host, settings)  # noqa: E731
    return create_app(
        factory,
        DiscoenvAction,
        DiscoenvObservation,
        env_name="discoenv",
        max_concurrent_envs=max_sessions,
        state_cls=DiscoenvState,
    )


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted."""
    import uvicorn  # noqa: PLC0415 - only the server needs it

    parser = argparse.ArgumentParser(description="Serve discoenv to clients of OpenEnv.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--domain", nargs="*", help="default: all")
    parser.add_argument("--scale", default="small", choices=["tiny", "small", "full"])
    parser.add_argument("--max-steps", type=int, default=10)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--sandbox", default="auto")
    given = parser.parse_args(arguments)
    with SessionHost(given.domain, scale=given.scale, sandbox=given.sandbox) as tasks:
        app = make_app(tasks, max_steps=given.max_steps, runs_dir=given.runs)
        uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
