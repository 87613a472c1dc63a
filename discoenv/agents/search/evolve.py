"""An agent that evolves modules: a language model, or random changes, as the mutation operator.

``python agents/evolve.py --operator llm --model gpt-5-mini --task OnPolicyRL_loss``; ``--operator ast`` needs no model.
``python agents/evolve.py -r DIR`` goes on with a run that was stopped or killed. The search itself stands in
``agents/evolution.py``, the operators in ``agents/operators.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from discoenv.agents import options
from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.search.evolution import Evolution, Settings, new_directory, sampled_task
from discoenv.agents.search.islands import Individual, Islands
from discoenv.agents.search.operators import AstOperator, LlmOperator, Operator
from discoenv.episodes.transcript import CallRecorder
from discoenv.exams.host import Host
from discoenv.tasks.task import Task


class Display:
    """Prints a run, one line per generation."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begin(self, directory: Path, settings: Settings) -> None:
        """What is searched, and how."""
        task = settings.task
        lines = [
            f"domain      {task['domain']} ({task['scale']})",
            f"edit        {', '.join(task['modules'])}",
            f"meta-train  {', '.join(task['meta_train'])}",
            f"operator    {settings.operator['name']}",
            f"search      {settings.generations} generations of {settings.children}, {settings.islands} islands",
            f"recorded in {directory}",
        ]
        self.console.print(Panel(Text("\n".join(lines)), title="evolve", expand=False))

    def generation(self, number: int, individuals: Sequence[Individual], islands: Islands) -> None:
        """What came of a generation."""
        scores = [each.score for each in individuals if each.score is not None]
        best = islands.best
        shown = f"best of it {max(scores):.3f}" if scores else "no scores"
        failed = sum(each.score is None for each in individuals)
        line = f"generation {number}: {len(individuals)} individuals, {failed} without a score, {shown}"
        if best is not None:
            line += f"; best so far {best.score:.3f} (number {best.number}: {best.description[:100]})"
        self.console.print(Text(line))

    def end(self, result: dict[str, Any]) -> None:
        """How it ended."""
        lines = [
            f"reward {result['reward']:.3f}   (0 = trivial, 1 = baseline, on datasets never seen before)",
            f"meta-train score {result['meta_train_score']:.3f}; base modules {result['base_meta_train_score']:.3f}",
            f"number {result['best']} of {result['individuals']}",
        ]
        if result["budget_spent"]:
            lines.append(f"ended early: {result['budget_spent']}")
        self.console.print(Panel(Text("\n".join(lines)), title="submitted", expand=False))


@dataclass(frozen=True)
class LlmOptions(options.ModelOptions):
    """The model of the operator ``llm``."""

    model: Annotated[str, typer.Option(envvar="DISCOENV_MODEL", help="llm: model, as the endpoint calls it.")] = ""


@dataclass(frozen=True)
class SearchOptions:
    """What is searched, and how; of no use with ``-r``, but for the generations."""

    operator: Annotated[str, typer.Option(help="ast (random changes) or llm.")] = "ast"
    task: Annotated[str, typer.Option(help="DiscoBench task or YAML file; default: sampled.")] = ""
    domain: Annotated[str, typer.Option(help="Domain of a sampled task; default: any.")] = ""
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "small"
    seed: Annotated[int, typer.Option(help="Seed of the episode and of the search.")] = 0
    generations: Annotated[
        int | None, typer.Option(min=0, help="Generations [default: 10, or those of the run].", show_default=False)
    ] = None
    children: Annotated[int, typer.Option(min=1, help="Individuals per generation.")] = 8
    islands: Annotated[int, typer.Option(min=1, help="Islands.")] = 4
    island_size: Annotated[int, typer.Option(min=1, help="Individuals that an island keeps.")] = 6
    migration_every: Annotated[int, typer.Option(min=0, help="Generations between migrations; 0: never.")] = 4
    changes: Annotated[float, typer.Option(min=1, help="ast: mean number of changes.")] = 1.5

    def settings(self, sandbox: str, llm: LlmOptions) -> Settings:
        """Settings of a new run."""
        if self.operator not in ("ast", "llm"):
            raise typer.BadParameter(f"--operator is {self.operator!r}; known are ast and llm")
        task = sampled_task(
            self.seed, task=self.task or None, domain=self.domain or None, scale=self.scale, sandbox=sandbox
        )
        chosen = {"changes": self.changes} if self.operator == "ast" else {"model": llm.model}
        return Settings(
            task=task.model_dump(mode="json"),
            seed=self.seed,
            generations=10 if self.generations is None else self.generations,
            children=self.children,
            islands=self.islands,
            island_size=self.island_size,
            migration_every=self.migration_every,
            operator={"name": self.operator, **chosen},
        )


def main(
    search: SearchOptions,
    llm: LlmOptions,
    resume: Annotated[Path | None, typer.Option("-r", "--resume", help="Go on with the run in this folder.")] = None,
    sandbox: Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …")] = "auto",
    num_envs: Annotated[int, typer.Option(min=1, help="Individuals examined at the same time.")] = 4,
    exams_at_once: Annotated[
        int | None, typer.Option(min=1, help="Exams to run concurrently [default: one per core].")
    ] = None,
    budget_scale: Annotated[float, typer.Option(min=0.1, help="Compute budget of an exam, in baselines.")] = 3.0,
    runs: Annotated[Path, typer.Option(help="Where the run directory is written.")] = Path("runs"),
) -> None:
    """Evolve the modules of one task, and submit the best."""
    display = Display(Console())
    if resume is None:
        settings = search.settings(sandbox, llm)
        directory = new_directory(runs, Task.parse(settings.task))
    else:
        directory, settings = resume, _settings(resume)
        if search.generations is not None:
            settings = replace(settings, generations=search.generations)
    operator, chat = make_operator(settings, directory, llm)
    display.begin(directory, settings)
    host = Host(sandbox, exams_at_once=exams_at_once)
    try:
        evolution = Evolution(
            directory,
            settings,
            operator,
            num_envs=num_envs,
            host=host,
            budget_scale=budget_scale,
            on_generation=display.generation,
        )
        display.end(evolution.run())
    finally:
        host.close()
        if chat is not None:
            chat.close()


def make_operator(settings: Settings, directory: Path, llm: LlmOptions) -> tuple[Operator, ChatModel | None]:
    """The operator that the settings describe, and its model, to be closed, if it has one.

    Args:
        settings: of the run.
        directory: of the run; the model's calls are recorded there.
        llm: the endpoint and the budget, which starts anew when a run goes on.
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


def _settings(directory: Path) -> Settings:
    try:
        return Settings.load(directory)
    except (FileNotFoundError, TypeError, ValueError) as error:
        raise typer.BadParameter(f"-r {directory}: {error}") from error


if __name__ == "__main__":
    typer.run(options.command(main))
