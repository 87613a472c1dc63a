"""A chat model writes the modules N times, independently; the set that trains best is submitted.

``python agents/best_of_n.py --model gpt-5-mini --task OnPolicyRL_loss --samples 8``; see docs/agents.md and
:mod:`discoenv.agents.llm.best_of_n`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from discoenv.agents.display import ChatDisplay
from discoenv.agents.llm import best_of_n
from discoenv.agents.options import EnvOptions, ModelOptions, command
from discoenv.tools import ToolSession


@command
def main(
    model_options: ModelOptions,
    env_options: EnvOptions,
    samples: Annotated[int, typer.Option(min=1, help="Sets of modules to try.")] = 8,
) -> None:
    """Play one episode by sampling whole sets of modules; --max-steps is at least the samples and the submission."""
    display = ChatDisplay()
    if model_options.temperature is None:
        model_options = replace(model_options, temperature=1.0)
    model = model_options.make()
    model.on_wait = display.waiting
    env = env_options.make(display.progress, max_steps=max(env_options.max_steps, samples + 1))
    try:
        session = ToolSession(env, seed=env_options.seed)
        display.begin(session, f"best of {samples}", model.model)
        outcome = best_of_n.play(session, model, samples=samples, display=display)
    finally:
        env.close()
        model.close()
    raise typer.Exit(outcome.exit_status)


if __name__ == "__main__":
    typer.run(main)
