"""The command-line options of ``agents/evolve.py``, and the settings and operators that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import typer

from discoenv.agents import options
from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.search.evolution import EvolutionSettings, sampled_task
from discoenv.agents.search.operators import AstOperator, LlmOperator, Operator
from discoenv.arguments import require_effect
from discoenv.episodes.transcript import CallRecorder
from discoenv.tasks.task import Task


@dataclass(frozen=True)
class OperatorModelOptions(options.ModelOptions):
    """The model of the operator ``llm``."""

    model: Annotated[str, typer.Option(envvar="DISCOENV_MODEL", help="llm: model, as the endpoint calls it.")] = ""


@dataclass(frozen=True)
class EvolutionOptions:
    """The search and its task. With ``-r``, all but the generations are those of the run."""

    operator: Annotated[str, typer.Option(help="ast (random changes) or llm.")] = "ast"
    task: options.TaskName = ""
    domain: options.DomainName = ""
    scale: options.ScaleText = ""
    seed: Annotated[int, typer.Option(help="Seed of the episode and of the search.")] = 0
    generations: Annotated[
        int | None, typer.Option(min=0, help="Generations; default: 10, or those of the run.", show_default=False)
    ] = None
    children: Annotated[int, typer.Option(min=1, help="Individuals per generation.")] = 8
    islands: Annotated[int, typer.Option(min=1, help="Islands.")] = 4
    island_size: Annotated[int, typer.Option(min=1, help="Individuals that an island keeps.")] = 6
    migration_every: Annotated[int, typer.Option(min=0, help="Generations between migrations; 0: never.")] = 4
    changes: Annotated[float, typer.Option(min=1, help="ast: mean number of changes.")] = 1.5
    budget_scale: Annotated[float, typer.Option(min=0.1, help="Compute budget of an exam, in baselines.")] = 2.0

    def settings(self, sandbox: str, model: str) -> EvolutionSettings:
        """Settings of a new run.

        Args:
            sandbox: name of the provider, which a sampled task depends on.
            model: name of the model of the operator ``llm``.

        Raises:
            typer.BadParameter: there is no such operator.
        """
        if self.operator not in ("ast", "llm"):
            raise typer.BadParameter(f"--operator is {self.operator!r}; known are ast and llm")
        task = sampled_task(
            self.seed, task=self.task or None, domain=self.domain or None, scale=self.scale or None, sandbox=sandbox
        )
        chosen = {"changes": self.changes} if self.operator == "ast" else {"model": model}
        return EvolutionSettings(
            task=task.model_dump(mode="json"),
            seed=self.seed,
            generations=10 if self.generations is None else self.generations,
            children=self.children,
            islands=self.islands,
            island_size=self.island_size,
            migration_every=self.migration_every,
            operator={"name": self.operator, **chosen},
            budget_scale=self.budget_scale,
        )

    def resumed(self, directory: Path, context: typer.Context) -> EvolutionSettings:
        """Settings of an existing run, which gets another number of generations if one is given.

        Raises:
            ArgumentError: another option of a new run was typed.
            typer.BadParameter: the folder is not a run of evolution.
            RunError: its file is damaged.
        """
        own = {each.name for each in fields(self)} - {"generations"} | {"model", "runs"}
        require_effect(context, own, "beside --resume: it goes on with what the run began with")
        try:
            settings = EvolutionSettings.load(directory)
        except FileNotFoundError as error:
            raise typer.BadParameter(f"-r {directory}: {error}") from error
        return settings if self.generations is None else replace(settings, generations=self.generations)


def require_operators_options(settings: EvolutionSettings, context: typer.Context) -> None:
    """Refuse options of the operator that a run does not have.

    Raises:
        ArgumentError: one was typed.
    """
    if settings.operator["name"] == "ast":
        require_effect(context, (each.name for each in fields(OperatorModelOptions)), "beside --operator ast")
    else:
        require_effect(context, ["changes"], "beside --operator llm")


def make_operator(
    settings: EvolutionSettings, directory: Path, llm: OperatorModelOptions
) -> tuple[Operator, ChatModel | None]:
    """The operator of a run, and its model, if it has one; close the model after the run.

    Args:
        settings: of the run.
        directory: of the run; the model's calls are recorded there.
        llm: the endpoint and the budget, which starts anew when a run goes on.

    Raises:
        typer.BadParameter: the operator needs a model, and none is named.
    """
    task = Task.parse(settings.task)
    described = settings.operator
    if described["name"] == "ast":
        return AstOperator(task, changes=described["changes"]), None
    if not described["model"]:
        raise typer.BadParameter("--operator llm needs --model")
    chat = replace(llm, model=described["model"]).make()
    recorder = CallRecorder(directory)
    recorder.agent("evolve", {**chat.describe(), "seed": settings.seed})
    return LlmOperator(task, chat, recorder=recorder), chat
