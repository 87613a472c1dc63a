"""A tool-calling agent: a chat model reads, edits, trains and submits until its budget or the episode is over.

``python agents/react.py --model gpt-5-mini --task OnPolicyRL_loss``. See docs/agents.md for other endpoints, budgets
and models without tool calling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from discoenv.agents.llm.chat import ChatModel, Reply
from discoenv.agents.llm.context import Message, trim
from discoenv.agents.llm.play import AgentOutcome, EndedBy, play_episode
from discoenv.errors import ChatError
from discoenv.tools import TOOLS, ToolSession

if TYPE_CHECKING:
    from discoenv.agents.display import ChatDisplay

INSTRUCTIONS: Final = """\
You are a machine-learning researcher. You improve the algorithms of a small research code base by editing a few of \
its files, training, and reading the scores. What counts in the end is how well your algorithms do on datasets that \
you never see, so look for ideas that generalise, not for settings that fit the datasets at hand.

Work like this: read the task and the files that your modules interact with; write a complete and correct first \
version; run it; read scores, errors and output; change one thing at a time, and keep what helps. Make a note of what \
you tried and of the result. Submit when you have used your steps well, and before they run out."""

#: How often in a row a model may answer without a tool call before the agent submits by itself.
MOST_SILENT: Final = 3
#: Below this share of any budget, the model's messages state what is left of it.
_WARN_BELOW: Final = 0.3

_NUDGE: Final = "You called no tool. Go on with a tool call; if you are done, call `submit`."
_CUT_OFF: Final = "Your answer was cut off because it was too long; write shorter answers, one tool call at a time."


def play(
    session: ToolSession, model: ChatModel, *, instructions: str = INSTRUCTIONS, display: ChatDisplay | None = None
) -> AgentOutcome:
    """Play the episode of a session to its end.

    When the budget does not allow another answer, or the model cannot be had, the files of the best run are submitted.

    Args:
        session: a new episode.
        model: the model that decides.
        instructions: the system prompt.
        display: prints what happens.
    """

    def turns() -> EndedBy:
        conversation = _Conversation(session, model, instructions)
        silent = 0
        while not session.over and silent <= MOST_SILENT:
            reply = conversation.next()
            if display:
                display.reply(reply, model.ledger)
            silent = 0 if reply.tool_calls else silent + 1
            conversation.answer(reply, display)
        if not session.over:
            return "silent"
        return "submit" if conversation.submitted else "steps"

    options = {"instructions": instructions}
    return play_episode(session, model, turns, name="react", options=options, display=display)


class _Conversation:
    """What was said so far, kept short enough for the model."""

    def __init__(self, session: ToolSession, model: ChatModel, instructions: str) -> None:
        self.submitted = False
        self._session = session
        self._model = model
        self._tools = [tool.openai() for tool in TOOLS]
        self._messages: list[Message] = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": session.introduction},
        ]

    def next(self) -> Reply:
        """The model's next answer."""
        room = self._model.context_tokens - self._model.max_completion_tokens
        self._shorten(max(room, self._model.context_tokens // 4))
        try:
            reply = self._complete()
        except ChatError as error:
            before = len(self._messages)
            if error.context:  # the server counts more tokens than we do, or its limit is lower than configured
                self._shorten(self._model.tokens(self._messages, self._tools) // 2)
            if len(self._messages) == before:
                raise
            reply = self._complete()
        self._messages.append(reply.message)
        return reply

    def answer(self, reply: Reply, display: ChatDisplay | None) -> None:
        """Use the tools that the model asked for, and append their results to the conversation."""
        session = self._session
        results = []
        for call in reply.tool_calls:
            result = session.call(call.name, call.arguments, call_id=call.id)
            if display:
                display.tool(call, result)
            self.submitted = self.submitted or (call.name == "submit" and result.stepped)
            results.append((call, result.text))
        remarks = [_CUT_OFF] if reply.finish_reason == "length" else []
        remarks += [] if results else [_NUDGE]
        left = _budget_left(self._model) if self._model.ledger.share_left() < _WARN_BELOW else ""
        remarks += [f"Left of your budget: {left}. When it is spent, the best run is submitted."] if left else []
        if results:
            call, text = results[-1]
            results[-1] = (call, "\n\n".join([text, *remarks]))
            self._messages += self._model.tool_results(reply, results)
        else:
            self._messages.append({"role": "user", "content": "\n\n".join(remarks)})

    def _complete(self) -> Reply:
        step = self._session.max_steps - self._session.steps_left
        return self._model.complete(self._messages, self._tools, recorder=self._session.recorder, step=step)

    def _shorten(self, limit_tokens: int) -> None:
        self._messages = trim(self._messages, limit_tokens, lambda messages: self._model.tokens(messages, self._tools))


def _budget_left(model: ChatModel) -> str:
    return ", ".join(f"{max(0, left):,.4g} {name}" for name, left in model.ledger.left().items())
