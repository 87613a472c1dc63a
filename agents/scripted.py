"""Hand-written candidates are tried in turn, and the best is submitted: the demo (``make demo``), without a model.

``python agents/scripted.py --domain OnPolicyRL --scale tiny``; see :mod:`discoenv.agents.scripted`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from discoenv.agents import loop
from discoenv.agents.display import EpisodeDisplay
from discoenv.agents.options import EnvOptions, RunsFolder, SandboxName, ScaleText, command
from discoenv.agents.scripted import ScriptedAgent
from discoenv.env import DiscoGenEnv


@command
def main(
    domain: Annotated[str, typer.Option(help="Domain to play.")] = "GreenhouseGasPrediction",
    scale: ScaleText = "small",
    task: Annotated[str, typer.Option(help="A task's YAML file; default: all modules, sampled data.")] = "",
    sandbox: SandboxName = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the episode.")] = 0,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Play one episode with hand-written candidates."""
    display = EpisodeDisplay()
    agent = ScriptedAgent(domain)
    options = EnvOptions(
        task=task, domain=domain, scale=scale, sandbox=sandbox, max_steps=len(agent.names) + 1, runs=runs
    )
    env = options.make(display.progress, sampling={"p_edit": 1.0})
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
