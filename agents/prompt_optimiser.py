"""The meta-meta loop: improves the prompt of an agent over many sampled tasks, and tests it on DiscoBench tasks.

``python agents/prompt_optimiser.py --model gpt-5-mini -k 5`` optimises on 5 tasks; ``--study`` does so on 1, 5, 10 and
30, and compares the prompts. ``-r DIR`` goes on with a run that was stopped. See docs/search.md.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from discoenv.agents.display import StudyDisplay
from discoenv.agents.options import ExamsAtOnce, Resume, RunsFolder, SandboxName, command
from discoenv.agents.prompts.episodes import EpisodePlayer
from discoenv.agents.prompts.optimise import Reflector
from discoenv.agents.prompts.study import run_study
from discoenv.agents.prompts.study_options import AgentModelOptions, StudyOptions, new_settings, resumed_settings
from discoenv.experiment.directory import RunDirectory


@command
def main(
    context: typer.Context,
    study: StudyOptions,
    llm: AgentModelOptions,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be spent.")] = False,
    sandbox: SandboxName = "auto",
    parallel: Annotated[int, typer.Option(min=1, help="Episodes at a time.")] = 4,
    exams_at_once: ExamsAtOnce = None,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Improve an agent's prompt over sampled tasks, and test it on held-out ones."""
    settings = new_settings(study, llm) if resume is None else resumed_settings(resume, context)
    (display := StudyDisplay()).budget(settings)
    if dry_run:
        return
    directory = resume or RunDirectory.create(runs, "prompt").path
    settings.save(directory)
    agent, reflecting = llm.models(settings)
    player = EpisodePlayer(
        directory,
        settings.player(),
        agent.make,
        player={"agent": settings.agent, **settings.model},
        max_steps=settings.max_steps,
        sandbox=sandbox,
        parallel=parallel,
        exams_at_once=exams_at_once,
        on_episode=display.episode,
    )
    with display.running(directory), closing(player), closing(reflecting.make()) as model:
        display.end(run_study(directory, settings, player, lambda folder: Reflector(folder, model)))


if __name__ == "__main__":
    typer.run(main)
