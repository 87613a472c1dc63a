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
from discoenv.agents.options import ExamsAtOnce, Resume, RunsFolder, SandboxName, command
from discoenv.agents.search.evolution import Evolution
from discoenv.agents.search.evolution_options import (
    EvolutionOptions,
    OperatorModelOptions,
    make_operator,
    require_operators_options,
)
from discoenv.exams.host import Host
from discoenv.experiment.directory import RunDirectory


@command
def main(
    context: typer.Context,
    search: EvolutionOptions,
    llm: OperatorModelOptions,
    resume: Resume = None,
    sandbox: SandboxName = "auto",
    num_envs: Annotated[int, typer.Option(min=1, help="Individuals examined at the same time.")] = 4,
    exams_at_once: ExamsAtOnce = None,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Evolve the modules of one task, and submit the best."""
    settings = search.settings(sandbox, llm.model) if resume is None else search.resumed(resume, context)
    require_operators_options(settings, context)
    directory = resume or RunDirectory.create(runs, f"evolve-{settings.task['domain']}").path
    operator, chat = make_operator(settings, directory, llm)
    display = EvolutionDisplay()
    display.begin(directory, settings)
    host = Host(sandbox, exams_at_once=exams_at_once)
    try:
        report = display.generation
        evolution = Evolution(directory, settings, operator, num_envs=num_envs, host=host, on_generation=report)
        display.end(evolution.run())
    finally:
        host.close()
        if chat is not None:
            chat.close()


if __name__ == "__main__":
    typer.run(main)
