"""How an episode of an agent ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from discoenv.agents.llm.budget import Ledger, Spent
from discoenv.tools import ToolSession

#: ``submit``: the model did; ``steps``: the environment's steps or compute are used up; ``budget``, ``model_error``,
#: ``silent`` (no more tool calls), ``samples`` (all were tried): the agent submitted the best run by itself.
EndedBy = Literal["submit", "steps", "budget", "model_error", "silent", "samples"]


@dataclass(frozen=True)
class Outcome:
    """How an episode ended.

    Attributes:
        reward: of the episode.
        ended_by: why no further call of the model was made.
        reason: the same in words, where there is more to say.
        runs: ``run`` commands of the episode.
        spent: tokens, cost, seconds and calls of the whole ledger.
        run_directory: where the episode is recorded.
    """

    reward: float
    ended_by: EndedBy
    reason: str
    runs: int
    spent: Spent
    run_directory: Path | None


def finish(session: ToolSession, ledger: Ledger, ended_by: EndedBy, reason: str = "") -> Outcome:
    """Submit the best run if nothing was submitted yet, so that nothing is lost; record and return how it ended."""
    if not session.over:
        session.submit_best()
    directory = session.info["run_directory"]
    outcome = Outcome(
        session.reward, ended_by, reason, len(session.runs), ledger.spent, Path(directory) if directory else None
    )
    if session.recorder is not None:
        facts = {"ended_by": ended_by, "reason": reason, "reward": session.reward, "spent": outcome.spent.record()}
        session.recorder.end(facts)
    return outcome
