"""The command-line options of ``agents/prompt_optimiser.py``, and the settings that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, cast

import numpy as np
import typer

from discoenv.agents import options
from discoenv.agents.llm import best_of_n, react
from discoenv.agents.prompts.episodes import Assignment, sample_assignments
from discoenv.agents.prompts.study import StudySettings
from discoenv.arguments import require_effect
from discoenv.scoring import baselines
from discoenv.tasks import discobench
from discoenv.tasks.reading import read_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting, Task

#: Numbers of training tasks that a study compares.
STUDY: Final = (1, 5, 10, 30)


@dataclass(frozen=True)
class AgentModelOptions(options.ModelOptions):
    """The agent's model; the budgets are those of one episode."""

    model: Annotated[str, typer.Option(envvar="DISCOENV_MODEL", help="The agent's model. Needed without -r.")] = ""
    max_tokens: Annotated[int, typer.Option(min=1, help="Budget of one episode: tokens.")] = 400_000
    max_calls: Annotated[int, typer.Option(min=1, help="Budget of one episode: answers of the model.")] = 40
    reflection_model: Annotated[str, typer.Option(help="Rewrites the prompt; default: the agent's.")] = ""

    def models(self, settings: StudySettings) -> tuple[AgentModelOptions, options.ModelOptions]:
        """The agent's model, with the budget of one episode, and the reflecting model, with that of a whole study."""
        llm = replace(self, **settings.model)
        reflecting = replace(
            llm,
            model=llm.reflection_model or llm.model,
            max_calls=max(1, settings.rounds * len(settings.ks)),
            max_tokens=2**40,
            tool_calls="auto",
        )
        return llm, reflecting


@dataclass(frozen=True)
class StudyOptions:
    """The agent, the searches and their tasks. With ``-r``, those of the run are used instead."""

    k: Annotated[int, typer.Option("-k", "--tasks", min=1, help="Training tasks.")] = 5
    study: Annotated[bool, typer.Option("--study", help="Compare 1, 5, 10 and 30 training tasks.")] = False
    rounds: Annotated[int, typer.Option(min=0, help="Prompts proposed in each search.")] = 10
    minibatch: Annotated[int, typer.Option(min=1, help="Tasks on which a proposal is compared first.")] = 3
    agent: Annotated[str, typer.Option(help="react or best_of_n.")] = "react"
    max_steps: Annotated[int, typer.Option(min=2, help="Actions per episode.")] = 5
    domain: Annotated[list[str] | None, typer.Option(help="Domains (repeat the option); default: all.")] = None
    scale: options.ScaleText = "small"
    seed: Annotated[int, typer.Option(help="Of tasks, episodes and searches.")] = 0
    held_out: Annotated[
        list[str] | None, typer.Option(help="Tasks to test on (repeat the option); default: drawn from DiscoBench.")
    ] = None
    held_out_count: Annotated[int, typer.Option(min=1, help="How many DiscoBench tasks to draw.")] = 8
    prompt_file: Annotated[Path | None, typer.Option(help="The first prompt; default: the agent's.")] = None


#: Options that belong to a run, and not to where its model is to be found.
_PLAYING: Final = (
    "model",
    "reflection_model",
    "temperature",
    "tool_calls",
    "max_completion_tokens",
    "context_tokens",
    "max_tokens",
    "max_calls",
)


def new_settings(study: StudyOptions, llm: AgentModelOptions) -> StudySettings:
    """Settings of a new run: draws its tasks.

    Raises:
        typer.BadParameter: an option is wrong.
    """
    if not llm.model:
        raise typer.BadParameter("--model is needed")
    if study.agent not in ("react", "best_of_n"):
        raise typer.BadParameter(f"--agent is {study.agent!r}; known are react and best_of_n")
    ks = list(STUDY) if study.study else [study.k]
    domains = list(study.domain or []) or None
    training = sample_assignments(max(ks), seed=study.seed, domains=domains, scale=cast(Scale, study.scale))
    names = list(study.held_out or [])
    if not names:
        names = [
            name for name in discobench.get_discobench_tasks() if not domains or discobench.domain_of(name) in domains
        ]
    defaults = {"scale": study.scale, "train_seeds": 1, "test_seeds": 1}
    held_out = [Assignment(read_task(name, defaults), study.seed) for name in names]
    if not study.held_out:
        held_out = [each for each in held_out if _is_calibrated(each.task)]
        chosen = np.random.default_rng(study.seed).permutation(len(held_out))[: study.held_out_count]
        held_out = [held_out[int(index)] for index in sorted(chosen)]
    if not held_out:
        raise typer.BadParameter(f"no DiscoBench task has baselines at scale {study.scale}: give some by --held-out")
    default_prompt = react.INSTRUCTIONS if study.agent == "react" else best_of_n.INSTRUCTIONS
    return StudySettings(
        agent=study.agent,
        model={name: getattr(llm, name) for name in _PLAYING},
        prompt=study.prompt_file.read_text(encoding="utf-8") if study.prompt_file else default_prompt,
        ks=ks,
        rounds=study.rounds,
        minibatch=study.minibatch,
        max_steps=study.max_steps,
        seed=study.seed,
        training=[_plain(each) for each in training],
        held_out=[_plain(each) for each in held_out],
    )


def _is_calibrated(task: Task) -> bool:
    domain = task.resolve()
    return all(
        baselines.has_entry(Setting(domain, task.backend, dataset, task.scale))
        for dataset in (*task.meta_train, *task.meta_test)
    )


def _plain(assignment: Assignment) -> dict[str, Any]:
    return {"task": assignment.task.model_dump(mode="json"), "seed": assignment.seed}


def resumed_settings(directory: Path, context: typer.Context) -> StudySettings:
    """Settings of an existing run.

    Raises:
        ArgumentError: an option of a new run was typed.
        typer.BadParameter: the folder is not a run of this program.
    """
    own = {*(each.name for each in fields(StudyOptions)), *_PLAYING, "runs"}
    require_effect(context, own, "beside --resume: it goes on with what the run began with")
    try:
        return StudySettings.load(directory)
    except (OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(f"-r {directory}: this is not a run that can go on ({error})") from error
