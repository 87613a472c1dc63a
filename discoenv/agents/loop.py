"""One loop for agents without a language model: they map the latest observation and info to an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import gymnasium as gym
import numpy as np

if TYPE_CHECKING:
    from discoenv.agents.display import EpisodeDisplay

Env = gym.Env[Any, Any]


class EpisodeAgent(Protocol):
    """An agent of one episode."""

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        """The next action, given the latest observation and info; the first call is after ``env.reset``."""
        ...

    def describe(self, action: Mapping[str, Any], files: Mapping[str, str]) -> tuple[str, list[dict[str, str]]]:
        """For people: a title of the latest action, and those of its edits to ``files`` that are worth showing."""
        ...


A = TypeVar("A", bound=EpisodeAgent)


def play(
    env: Env,
    make_agent: Callable[[Mapping[str, Any]], A],
    *,
    seed: int | None = None,
    display: EpisodeDisplay | None = None,
) -> tuple[float, A]:
    """Play one episode.

    Args:
        env: the environment.
        make_agent: makes the agent; it gets the ``info`` of ``env.reset``.
        seed: of the episode.
        display: prints the episode.

    Returns:
        The reward of the last action, and the agent.
    """
    observation, info = env.reset(seed=seed)
    if display:
        display.task(info)
    agent = make_agent(info)
    reward, ended = 0.0, False
    while not ended:
        action = agent.act(observation, info)
        if display:
            display.action(*agent.describe(action, observation["files"]), observation["files"])
        observation, step_reward, terminated, truncated, info = env.step(action)
        reward, ended = float(step_reward), terminated or truncated
        if display:
            display.step(info)
    return reward, agent


class StepLimit(gym.Wrapper[Any, Any, Any, Any]):
    """Shows the agent fewer steps than the environment allows, so that it submits earlier.

    Args:
        env: the environment.
        steps: actions, the submission included; None: as many as the environment allows.
    """

    def __init__(self, env: Env, steps: int | None) -> None:
        super().__init__(env)
        if steps is not None and steps < 1:
            raise ValueError(f"steps is {steps}; the submission alone is one")
        self._steps = steps
        self._allowed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._allowed = int(observation["steps_left"])
        return self._limited(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._limited(observation), reward, terminated, truncated, info

    def _limited(self, observation: Any) -> Any:
        if self._steps is None:
            return observation
        left = int(observation["steps_left"])
        taken = self._allowed - left  # some actions cost no step
        left = min(left, max(0, self._steps - taken))
        return {**observation, "steps_left": np.array(left, dtype=np.int64)}


def edits(modules: Mapping[str, str]) -> list[dict[str, str]]:
    """The edits of an action that writes ``modules`` (text by file name)."""
    return [{"path": name, "content": text} for name, text in modules.items()]
