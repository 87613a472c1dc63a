"""Random changes of the base modules, keeping what scores better: hill climbing in one episode, without a model.

``python agents/random_search.py --domain GreenhouseGasPrediction --steps 20``; see docs/search.md and
:mod:`discoenv.agents.search.random_search`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from discoenv.agents import loop
from discoenv.agents.display import EpisodeDisplay
from discoenv.agents.options import DomainName, EnvOptions, RunsFolder, SandboxName, ScaleText, TaskName, command
from discoenv.agents.search.random_search import RandomSearch
from discoenv.env import DiscoGenEnv

#: What is played by default, at scale tiny.
DOMAIN = "GreenhouseGasPrediction"


@command
def main(
    domain: DomainName = "",
    scale: ScaleText = "",
    task: TaskName = "",
    steps: Annotated[int, typer.Option(min=2, help="Actions, the submission included.")] = 10,
    changes: Annotated[float, typer.Option(min=1, help="Mean number of changes per candidate.")] = 1.5,
    sandbox: SandboxName = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the episode and of the changes.")] = 0,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Play one episode of random search."""
    display = EpisodeDisplay()
    if not task:
        domain, scale = domain or DOMAIN, scale or "tiny"
    options = EnvOptions(task=task, domain=domain, scale=scale, sandbox=sandbox, max_steps=steps, runs=runs)
    env = options.make(display.progress)
    try:
        reward, agent = loop.play(
            env, lambda info: RandomSearch(info["task"], seed=seed, changes=changes), seed=seed, display=display
        )
        run = cast(DiscoGenEnv, env.unwrapped).run_directory
    finally:
        env.close()
    best = max((trial.score for trial in agent.trials), default=float("nan"))
    display.end(reward, f"best meta-train score {best:.3f}", run)


if __name__ == "__main__":
    typer.run(main)
