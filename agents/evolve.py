"""Evolution of the modules of one task, on islands, by random changes or by a language model.

``python agents/evolve.py --operator llm --model gpt-5-mini --task OnPolicyRL_loss``; ``--operator ast`` needs no model.
``python agents/evolve.py -r DIR`` goes on with a run that was stopped or killed. See docs/search.md and
:mod:`discoenv.agents.search.evolution`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discoenv.agents.display import EvolutionDisplay
from discoenv.agents.options import command
from discoenv.agents.search.evolution import Evolution
from discoenv.agents.search.evolution_options import EvolutionOptions, OperatorModelOptions, make_operator
from discoenv.experiment.directory import RunDirectory


@command
def main(
    search: EvolutionOptions,
    llm: OperatorModelOptions,
    resume: Annotated[Path | None, typer.Option("-r", "--resume", help="Go on with the run in this folder.")] = None,
    sandbox: Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …")] = "auto",
    num_envs: Annotated[int, typer.Option(min=1, help="Individuals examined at the same time.")] = 4,
    slots: Annotated[int | None, typer.Option(min=1, help="Exams that run at once [default: one per core].")] = None,
    budget_scale: Annotated[float, typer.Option(min=0.1, help="Compute budget of an exam, in baselines.")] = 3.0,
    runs: Annotated[Path, typer.Option(help="Where the run directory is written.")] = Path("runs"),
) -> None:
    """Evolve the modules of one task, and submit the best."""
    settings = search.settings(sandbox, llm.model) if resume is None else search.resumed(resume)
    directory = resume or RunDirectory.create(runs, f"evolve-{settings.task['domain']}").path
    operator, chat = make_operator(settings, directory, llm)
    display = EvolutionDisplay()
    display.begin(directory, settings)
    try:
        evolution = Evolution(
            directory,
            settings,
            operator,
            num_envs=num_envs,
            sandbox=sandbox,
            slots=slots,
            budget_scale=budget_scale,
            on_generation=display.generation,
        )
        display.end(evolution.run())
    finally:
        if chat is not None:
            chat.close()


if __name__ == "__main__":
    typer.run(main)
