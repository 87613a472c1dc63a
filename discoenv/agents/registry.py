"""The reference agents as the harness plays them: functions ``(env, seed, **options)`` that play one episode.

``discoenv bench run --agents random_search:steps=3`` names the function and gives the options. An agent of your own has
the same form, and is named by its import path (``package.module:function``); see docs/bench.md.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from discoenv.agents.scripted import CANDIDATES, ScriptedAgent
from discoenv.agents.search.islands import Individual, Islands
from discoenv.agents.search.operators import AstOperator, OperatorFailed, Parent
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

if TYPE_CHECKING:
    from discoenv.agents.llm.chat import ChatModel
    from discoenv.agents.llm.play import Outcome

Env = gym.Env[Any, Any]


class StepLimit(gym.Wrapper[Any, Any, Any, Any]):
    """Tells the agent of fewer steps than the environment allows, so that it submits earlier.

    Args:
        env: the environment.
        steps: actions, the submission included; None: as many as the environment allows.
    """

    def __init__(self, env: Env, steps: int | None) -> None:
        super().__init__(env)
        if steps is not None and steps < 1:
            raise ValueError(f"steps is {steps}; the submission alone is one")
        self._steps = steps
        self._taken = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        self._taken = 0
        observation, info = self.env.reset(seed=seed, options=options)
        return self._limited(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        self._taken += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._limited(observation), reward, terminated, truncated, info

    def _limited(self, observation: Any) -> Any:
        if self._steps is None:
            return observation
        left = min(int(observation["steps_left"]), max(0, self._steps - self._taken))
        return {**observation, "steps_left": np.array(left, dtype=np.int64)}


def baseline(env: Env, seed: int) -> None:
    """Submits the base modules: what every agent should beat, and a reward of about 1."""
    _, info = env.reset(seed=seed)
    env.step({"edits": _edits(base_modules(Task.parse(info["task"]))), "command": "submit"})


def unchanged(env: Env, seed: int) -> None:
    """Submits the modules as they are at the start: mostly stubs, so a reward of 0."""
    env.reset(seed=seed)
    env.step("submit")


def scripted(env: Env, seed: int, *, candidates: str = "", steps: int | None = None) -> None:
    """Tries hand-written candidates in turn and submits the best.

    Args:
        env, seed: the episode.
        candidates: folder of candidates (``<domain>/<candidate>/<module>.py``); default: those of ``agents/``.
        steps: most actions, the submission included.
    """
    limited = StepLimit(env, steps)
    observation, info = limited.reset(seed=seed)
    agent = ScriptedAgent(info["task"]["domain"], Path(candidates) if candidates else CANDIDATES)
    ended = False
    while not ended:
        observation, _, terminated, truncated, _ = limited.step(agent.act(observation))
        ended = terminated or truncated


def random_search(env: Env, seed: int, *, steps: int | None = None, changes: float = 1.5) -> None:
    """Hill climbing by random changes of the base modules; see :mod:`discoenv.agents.search.random_search`.

    Args:
        env, seed: the episode, and the changes.
        steps: most actions, the submission included.
        changes: mean number of changes per candidate.
    """
    from discoenv.agents.search import random_search as search  # noqa: PLC0415 - each agent loads what it alone needs

    search.play(StepLimit(env, steps), seed=seed, changes=changes)


def evolve(
    env: Env,
    seed: int,
    *,
    steps: int | None = None,
    changes: float = 1.5,
    islands: int = 2,
    island_size: int = 6,
    migration_every: int = 4,
) -> None:
    """Evolution on islands by random changes, one individual per ``run`` of the episode; submits the best.

    Args:
        env, seed: the episode, and the search.
        steps: most actions, the submission included.
        changes: mean number of changes per child.
        islands, island_size, migration_every: see :class:`discoenv.agents.search.islands.Islands`; a generation is one
            child per island.
    """
    limited = StepLimit(env, steps)
    observation, info = limited.reset(seed=seed)
    task = Task.parse(info["task"])
    operator, archive = AstOperator(task, changes=changes), Islands(islands, island_size, migration_every)
    rng = np.random.default_rng(seed)
    born = [Individual(0, 0, 0, base_modules(task))]
    generation = 0
    while observation["steps_left"] > 1 and born:
        for individual in born:
            if observation["steps_left"] <= 1:
                break
            observation, _, terminated, truncated, info = limited.step(
                {"edits": _edits(individual.modules), "command": "run"}
            )
            if terminated or truncated:
                return
            individual.score, individual.reward = info.get("score"), info.get("meta_train_reward")
        archive.add_generation(generation, born)
        generation += 1
        born = _children(archive, operator, rng, generation)
    best = archive.best
    limited.step({"edits": _edits(best.modules if best else base_modules(task)), "command": "submit"})


def _children(archive: Islands, operator: AstOperator, rng: np.random.Generator, generation: int) -> list[Individual]:
    """One child per island, as far as changes lead to any."""
    known = [each.modules for members in archive.members for each in members]
    children = []
    for island in range(len(archive.members)):
        number = 1 + (generation - 1) * len(archive.members) + island
        parents = archive.parents(island, rng)
        for _ in range(operator.attempts):
            try:
                proposal = operator.propose(
                    [Parent(each.modules, each.score) for each in parents], rng, label=f"individual {number}"
                )
            except OperatorFailed:
                break
            if proposal.modules not in known:
                known.append(proposal.modules)
                children.append(Individual(number, generation, island, proposal.modules))
                break
    return children


def react(env: Env, seed: int, *, prompt_file: str = "", **model: Any) -> None:
    """A chat model that calls tools; see :mod:`discoenv.agents.llm.react`.

    Args:
        env, seed: the episode.
        prompt_file: a file with another system prompt.
        model: fields of :class:`discoenv.agents.options.ModelOptions`; ``model``, its name, must be given.
    """
    from discoenv.agents.llm import react as agent  # noqa: PLC0415
    from discoenv.tools import ToolSession  # noqa: PLC0415

    instructions = Path(prompt_file).read_text(encoding="utf-8") if prompt_file else agent.INSTRUCTIONS
    chat = _chat(model)
    try:
        _counted(agent.play(ToolSession(env, seed=seed), chat, instructions=instructions))
    finally:
        chat.close()


def best_of_n(env: Env, seed: int, *, samples: int = 8, **model: Any) -> None:
    """A chat model that writes the modules N times; see :mod:`discoenv.agents.llm.best_of_n`.

    Args:
        env, seed: the episode.
        samples: N; the environment's steps allow at most one fewer than they are.
        model: fields of :class:`discoenv.agents.options.ModelOptions`; ``model``, its name, must be given.
    """
    from discoenv.agents.llm import best_of_n as agent  # noqa: PLC0415
    from discoenv.tools import ToolSession  # noqa: PLC0415

    chat = _chat({"temperature": 1.0, **model})
    try:
        _counted(agent.play(ToolSession(env, seed=seed), chat, samples=samples))
    finally:
        chat.close()


def _chat(options: dict[str, Any]) -> ChatModel:
    from discoenv.agents.options import ModelOptions  # noqa: PLC0415

    known = [each.name for each in fields(ModelOptions)]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise TypeError(f"unknown option {', '.join(unknown)}; known are {', '.join(known)}")
    if not options.get("model"):
        raise TypeError("the option model= is missing: the model, as the endpoint calls it")
    return ModelOptions(**options).make()


def _counted(outcome: Outcome) -> None:
    """An episode that ended because the endpoint could not be reached says nothing about the agent."""
    from discoenv.errors import InfraError  # noqa: PLC0415

    if outcome.ended_by == "model_error":
        raise InfraError(f"the language model could not be had: {outcome.reason}")


def _edits(modules: dict[str, str]) -> list[dict[str, str]]:
    return [{"path": name, "content": text} for name, text in modules.items()]
