"""A chat model that calls tools plays one episode.

``python agents/react.py --model gpt-5-mini --task OnPolicyRL_loss``; see docs/agents.md and
:mod:`discoenv.agents.llm.react`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discoenv.agents.display import ChatDisplay
from discoenv.agents.llm import react
from discoenv.agents.options import EnvOptions, ModelOptions, command
from discoenv.tools import ToolSession


@command
def main(
    model_options: ModelOptions,
    env_options: EnvOptions,
    prompt_file: Annotated[Path | None, typer.Option(help="A file with another system prompt.")] = None,
) -> None:
    """Play one episode with a chat model that calls tools."""
    display = ChatDisplay()
    instructions = prompt_file.read_text(encoding="utf-8") if prompt_file else react.INSTRUCTIONS
    model = model_options.make()
    model.on_wait = display.waiting
    env = env_options.make(display.progress)
    try:
        session = ToolSession(env, seed=env_options.seed)
        display.begin(session, "react", model.model)
        outcome = react.play(session, model, instructions=instructions, display=display)
    finally:
        env.close()
        model.close()
    raise typer.Exit(outcome.exit_status)


if __name__ == "__main__":
    typer.run(main)
