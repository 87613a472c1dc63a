"""Hand-written candidates are tried in turn, and the best is submitted: the demo (``make demo``), without a model.

``python agents/scripted.py --domain OnPolicyRL --scale tiny``; see :mod:`discoenv.agents.scripted`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from discoenv.agents import loop
from discoenv.agents.display import EpisodeDisplay
from discoenv.agents.options import DomainName, EnvOptions, RunsFolder, SandboxName, ScaleText, TaskName, command
from discoenv.agents.scripted import ScriptedAgent
from discoenv.env import DiscoGenEnv
from discoenv.tasks.reading import read_task

#: What is played by default.
DOMAIN = "GreenhouseGasPrediction"


@command
def main(
    domain: DomainName = "",
    scale: ScaleText = "",
    task: TaskName = "",
    sandbox: SandboxName = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the episode.")] = 0,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Play one episode with hand-written candidates; by default on sampled data, with all modules."""
    display = EpisodeDisplay()
    agent = ScriptedAgent(read_task(task).domain if task else domain or DOMAIN)
    options = EnvOptions(
        task=task,
        domain=domain or ("" if task else DOMAIN),
        scale=scale,
        sandbox=sandbox,
        max_steps=len(agent.names) + 1,
        runs=runs,
    )
    env = options.make(display.progress, sampling={} if task else {"p_edit": 1.0})
    try:
        reward, _ = loop.play(env, lambda info: agent, seed=seed, display=display)
        run = cast(DiscoGenEnv, env.unwrapped).run_directory
    finally:
        env.close()
    display.end(reward, "0 = trivial, 1 = baseline, measured on datasets that were never seen while searching", run)
    display.hint("another domain", "python agents/scripted.py --domain OnPolicyRL --scale tiny")
    display.hint("which needs", "pip install -e '.[jax]'")


if __name__ == "__main__":
    typer.run(main)
