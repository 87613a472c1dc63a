"""What all agents with a chat model share: the record of an episode, the submission at its end, and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from discoenv.agents.llm.budget import Spent
from discoenv.agents.llm.chat import ChatModel
from discoenv.errors import BudgetSpent, ChatError
from discoenv.tools import ToolSession

if TYPE_CHECKING:
    from discoenv.agents.display import ChatDisplay

#: ``submit``: the model did; ``steps``: the environment's steps or compute are used up; ``budget``, ``model_error``,
#: ``silent`` (no more tool calls), ``samples`` (all were tried): the best run was submitted for the model, unless it
#: never edited a file: then nothing is submitted.
EndedBy = Literal["submit", "steps", "budget", "model_error", "silent", "samples"]
#: Exit statuses of the scripts, by the reason for which there is no reward; 1 and 2 are those of wrong options.
EXIT_STATUS: Final[dict[EndedBy, int]] = {"budget": 3, "model_error": 4, "silent": 5, "samples": 6}
#: The machine failed.
EXIT_MACHINE: Final = 7


@dataclass(frozen=True)
class AgentOutcome:
    """How the episode of an agent ended.

    Attributes:
        reward: of the episode; None if there is none, because nothing was submitted or the machine failed.
        ended_by: why no further call of the model was made.
        reason: the same in words, where there is more to say.
        runs: number of ``run`` commands in the episode.
        spent: tokens, cost, seconds and calls of the whole ledger.
        run_directory: where the episode is recorded.
    """

    reward: float | None
    ended_by: EndedBy
    reason: str
    runs: int
    spent: Spent
    run_directory: Path | None

    @property
    def exit_status(self) -> int:
        """What a script returns: 0 if the agent's work was scored; see docs/agents.md."""
        if self.reward is None or self.ended_by == "model_error":
            return EXIT_STATUS.get(self.ended_by, EXIT_MACHINE)
        return 0


def play_episode(
    session: ToolSession,
    model: ChatModel,
    turns: Callable[[], EndedBy],
    *,
    name: str,
    options: Mapping[str, Any],
    display: ChatDisplay | None = None,
) -> AgentOutcome:
    """Play the episode of a session to its end.

    If ``turns`` ends without a submission, the files of the best run are submitted. An agent that never edited a file
    submits nothing, and its episode has no reward.

    Args:
        session: a new episode.
        model: the model that decides.
        turns: asks the model and acts until the agent is done; returns the reason. :class:`BudgetSpent` and
            :class:`ChatError`, which it may raise, end the episode.
        name: of the agent, for the record.
        options: of the agent, for the record, besides those of the model.
        display: prints the outcome.
    """
    if session.recorder is not None:
        session.recorder.agent(name, {**model.describe(), **options})
    reason = ""
    ended_by: EndedBy
    try:
        ended_by = turns()
    except BudgetSpent as error:
        ended_by, reason = "budget", str(error)
    except ChatError as error:
        ended_by, reason = "model_error", str(error)
    if not session.over and session.edited:
        session.submit_best()
    elif not session.over:
        reason = f"{reason}; " if reason else ""
        reason += "no file was ever edited, so nothing was submitted"
    outcome = _outcome(session, model, ended_by, reason)
    if display:
        display.end(outcome)
    return outcome


def _outcome(session: ToolSession, model: ChatModel, ended_by: EndedBy, reason: str) -> AgentOutcome:
    """How an episode ended, which is recorded, too."""
    spent, reward = model.ledger.spent, session.reward if session.scored else None
    if session.over and reward is None:
        reason = f"{reason}; " if reason else ""
        reason += str(session.info.get("infra_error", "the episode was left"))
    if session.recorder is not None:
        facts = {"ended_by": ended_by, "reason": reason, "reward": reward, "spent": spent.record()}
        session.recorder.end(facts)
    directory = session.info["run_directory"]
    return AgentOutcome(reward, ended_by, reason, len(session.runs), spent, Path(directory) if directory else None)
