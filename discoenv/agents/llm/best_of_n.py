"""Best of N: a chat model writes the modules N times, independently; the set that trains best is submitted.

``python agents/best_of_n.py --model gpt-5-mini --task OnPolicyRL_loss --samples 8``. The baseline that an agent which
reads scores and tries again should beat at the same budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.llm.code_blocks import INSTRUCTIONS as FORMAT
from discoenv.agents.llm.code_blocks import parse_modules
from discoenv.agents.llm.play import AgentOutcome, EndedBy, play_episode
from discoenv.tools import ToolSession

if TYPE_CHECKING:
    from discoenv.agents.display import ChatDisplay

INSTRUCTIONS: Final = """\
You are a machine-learning researcher. You write the missing or improvable modules of a small research code base, \
completely and correctly, at the first attempt: you will not be shown any errors. What counts is how well your \
algorithms do on datasets that you never see, so prefer ideas that generalise."""


def play(
    session: ToolSession,
    model: ChatModel,
    *,
    samples: int,
    instructions: str = INSTRUCTIONS,
    display: ChatDisplay | None = None,
) -> AgentOutcome:
    """Play the episode of a session: sample, run, sample, run, …, and submit the best.

    Samples that lack a module, or that the environment would refuse, are recorded and cost no step. The episode ends
    early when only the step for submitting is left, when the budget is spent, or when the model cannot be had.

    Args:
        session: a new episode.
        model: writes the modules; without a temperature, samples differ only as far as the server lets them.
        samples: how many sets of modules.
        instructions: the system prompt.
        display: prints what happens.
    """
    messages = [
        {"role": "system", "content": instructions},
        {"role": "user", "content": f"{session.task_text}\n## The code\n\n{session.context()}\n\n{_wanted(session)}"},
    ]

    def turns() -> EndedBy:
        for number in range(1, samples + 1):
            if session.over or session.steps_left <= 1:
                return "steps"
            step = session.max_steps - session.steps_left
            reply = model.complete(messages, recorder=session.recorder, conversation=f"sample {number}", step=step)
            if display:
                display.reply(reply, model.ledger)
            result = _try(session, parse_modules(reply.text, session.files))
            if display:
                display.say(f"sample {number}: {result}")
        return "samples"

    options = {"samples": samples, "instructions": instructions}
    return play_episode(session, model, turns, name="best_of_n", options=options, display=display)


def _wanted(session: ToolSession) -> str:
    return f"Write {', '.join(f'`{name}`' for name in session.files)}. {FORMAT}"


def _try(session: ToolSession, modules: dict[str, str]) -> str:
    """Run a set of modules; the result in one line."""
    missing = sorted(session.files.keys() - modules.keys())
    if missing:
        return f"not run, because {', '.join(missing)} is missing in the answer"
    written = session.write(modules)
    if not written.ok:
        return f"not run: {written.text}"
    before = len(session.runs)
    session.run()
    return f"score {session.runs[-1].score:.3f}" if len(session.runs) > before else "not scored"
