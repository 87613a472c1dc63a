"""Best of N: a chat model writes the modules N times, independently; the set that trains best is submitted.

``python agents/best_of_n.py --model gpt-5-mini --task OnPolicyRL_loss --samples 8``. The baseline that an agent which
reads scores and tries again should beat at the same budget.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

import typer

from discoenv.agents.display import Display
from discoenv.agents.llm.budget import BudgetSpent
from discoenv.agents.llm.chat import ChatError, ChatModel
from discoenv.agents.llm.code_blocks import INSTRUCTIONS as FORMAT
from discoenv.agents.llm.code_blocks import parse_modules
from discoenv.agents.llm.play import EndedBy, Outcome, finish
from discoenv.agents.options import EnvOptions, ModelOptions, command
from discoenv.tools import ToolSession

INSTRUCTIONS: Final = """\
You are a machine-learning researcher. You write the missing or improvable modules of a small research code base, \
completely and correctly, at the first attempt: nobody will tell you about errors. What counts is how well your \
algorithms do on datasets that you never see, so prefer ideas that generalise."""


def play(
    session: ToolSession,
    model: ChatModel,
    *,
    samples: int,
    instructions: str = INSTRUCTIONS,
    display: Display | None = None,
) -> Outcome:
    """Play the episode of a session: sample, run, sample, run, …, and submit the best.

    Samples that lack a module, or that the environment would refuse, are recorded and cost no step. It ends early when
    only the step for submitting is left, when the budget is spent, or when the model cannot be had.

    Args:
        session: a new episode.
        model: writes the modules; without a temperature, samples differ only as far as the server lets them.
        samples: how many sets of modules.
        instructions: the system prompt.
        display: prints what happens.
    """
    if session.recorder is not None:
        session.recorder.agent("best_of_n", {**model.describe(), "samples": samples, "instructions": instructions})
    messages = [
        {"role": "system", "content": instructions},
        {"role": "user", "content": f"{session.task_text}\n## The code\n\n{session.context()}\n\n{_wanted(session)}"},
    ]
    ended_by: EndedBy = "samples"
    reason = ""
    for number in range(1, samples + 1):
        if session.over or session.steps_left <= 1:
            ended_by = "steps"
            break
        step = session.max_steps - session.steps_left
        try:
            reply = model.complete(messages, recorder=session.recorder, conversation=f"sample {number}", step=step)
        except BudgetSpent as error:
            ended_by, reason = "budget", str(error)
            break
        except ChatError as error:
            ended_by, reason = "model_error", str(error)
            break
        if display:
            display.reply(reply, model.ledger)
        told = _try(session, parse_modules(reply.text, session.files))
        if display:
            display.say(f"sample {number}: {told}")
    outcome = finish(session, model.ledger, ended_by, reason)
    if display:
        display.end(outcome)
    return outcome


def _wanted(session: ToolSession) -> str:
    return f"Write {', '.join(f'`{name}`' for name in session.files)}. {FORMAT}"


def _try(session: ToolSession, modules: dict[str, str]) -> str:
    """Run a set of modules; what came of it, in a line."""
    missing = sorted(session.files.keys() - modules.keys())
    if missing:
        return f"not run, because {', '.join(missing)} is missing in the answer"
    written = session.write(modules)
    if not written.ok:
        return f"not run: {written.text}"
    before = len(session.runs)
    session.run()
    return f"score {session.runs[-1].score:.3f}" if len(session.runs) > before else "not scored"


@command
def main(
    model_options: ModelOptions,
    env_options: EnvOptions,
    samples: Annotated[int, typer.Option(min=1, help="Sets of modules to try.")] = 8,
) -> None:
    """Play one episode by sampling whole sets of modules; --max-steps is at least the samples and the submission."""
    display = Display()
    if model_options.temperature is None:
        model_options = replace(model_options, temperature=1.0)
    model = model_options.make()
    env = env_options.make(display.progress, max_steps=max(env_options.max_steps, samples + 1))
    try:
        session = ToolSession(env, seed=env_options.seed)
        display.begin(session, f"best of {samples}", model.model)
        play(session, model, samples=samples, display=display)
    finally:
        env.close()
        model.close()


if __name__ == "__main__":
    typer.run(main)
