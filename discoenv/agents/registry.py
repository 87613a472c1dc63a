"""The reference agents as the benchmark plays them: functions ``(env, seed, **options)`` that play one episode.

``discoenv bench run --agents random_search:steps=3`` names the function and gives the options. The functions are entry
points of the group ``discoenv.agents``, declared in ``pyproject.toml``. An agent of your own has the same form. It is
named by its import path (``package.module:function``) or by an entry point of your package; see docs/bench.md.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discoenv.agents import loop
from discoenv.agents.loop import Env, StepLimit, edits
from discoenv.errors import InfraError
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

if TYPE_CHECKING:
    from discoenv.agents.llm.chat import ChatModel
    from discoenv.agents.llm.play import AgentOutcome


def baseline(env: Env, seed: int) -> None:
    """Submits the base modules: what every agent should beat, and a reward of about 1."""
    _, info = env.reset(seed=seed)
    env.step({"edits": edits(base_modules(Task.parse(info["task"]))), "command": "submit"})


def unchanged(env: Env, seed: int) -> None:
    """Submits the modules as they are at the start: mostly stubs, so a reward of 0."""
    env.reset(seed=seed)
    env.step("submit")


def scripted(env: Env, seed: int, *, candidates: str = "", steps: int | None = None) -> None:
    """Tries hand-written candidates in turn and submits the best; see :mod:`discoenv.agents.scripted`.

    Args:
        env, seed: the episode.
        candidates: folder of candidates (``<domain>/<candidate>/<module>.py``); default: the domain's.
        steps: most actions, the submission included.
    """
    from discoenv.agents.scripted import ScriptedAgent  # each agent loads what it alone needs

    folder = Path(candidates) if candidates else None
    loop.play(StepLimit(env, steps), lambda info: ScriptedAgent(info["task"]["domain"], folder), seed=seed)


def random_search(env: Env, seed: int, *, steps: int | None = None, changes: float = 1.5) -> None:
    """Hill climbing by random changes of the base modules; see :mod:`discoenv.agents.search.random_search`.

    Args:
        env, seed: the episode, and the changes.
        steps: most actions, the submission included.
        changes: mean number of changes per candidate.
    """
    from discoenv.agents.search.random_search import RandomSearch

    loop.play(StepLimit(env, steps), lambda info: RandomSearch(info["task"], seed=seed, changes=changes), seed=seed)


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
    from discoenv.agents.search.evolving_agent import EvolvingAgent

    archive = {"islands": islands, "island_size": island_size, "migration_every": migration_every}
    loop.play(
        StepLimit(env, steps),
        lambda info: EvolvingAgent(Task.parse(info["task"]), seed=seed, changes=changes, **archive),
        seed=seed,
    )


def react(env: Env, seed: int, *, prompt_file: str = "", **model: Any) -> None:
    """A chat model that calls tools; see :mod:`discoenv.agents.llm.react`.

    Args:
        env, seed: the episode.
        prompt_file: a file with another system prompt.
        model: fields of :class:`discoenv.agents.options.ModelOptions`; ``model``, its name, must be given.
    """
    from discoenv.agents.llm import react as agent
    from discoenv.tools import ToolSession

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
    from discoenv.agents.llm import best_of_n as agent
    from discoenv.tools import ToolSession

    chat = _chat({"temperature": 1.0, **model})
    try:
        _counted(agent.play(ToolSession(env, seed=seed), chat, samples=samples))
    finally:
        chat.close()


def _chat(options: dict[str, Any]) -> ChatModel:
    from discoenv.agents.options import ModelOptions

    known = [each.name for each in fields(ModelOptions)]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise TypeError(f"unknown option {', '.join(unknown)}; known are {', '.join(known)}")
    if not options.get("model"):
        raise TypeError("the option model= is missing: the model, as the endpoint calls it")
    return ModelOptions(**options).make()


def _counted(outcome: AgentOutcome) -> None:
    """Raise an error if the endpoint could not be reached, since the episode then says nothing about the agent.

    Raises:
        InfraError: the episode ended for this reason.
    """
    if outcome.ended_by == "model_error":
        raise InfraError(f"the language model could not be had: {outcome.reason}")
