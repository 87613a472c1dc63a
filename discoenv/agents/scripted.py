"""An agent without a language model: tries hand-written candidate modules in turn and submits the best.

It is the demo (``make demo``) and the first test of the whole loop. A domain's candidates are in its folder
``candidates/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discoenv.episodes.record import best_run
from discoenv.tasks.domain import read_candidates
from discoenv.tasks.registry import get_domain


@dataclass(frozen=True)
class Attempt:
    """A candidate that was run.

    Attributes:
        candidate: its index.
        score: mean normalised meta-train score; −∞ if there is none.
        reward: what the task's objective makes of the meta-train scores; −∞ if there is none.
        full: it was run on all meta-train datasets.
    """

    candidate: int
    score: float = float("-inf")
    reward: float = float("-inf")
    full: bool = True


class ScriptedAgent:
    """Proposes one candidate per step, then submits the one whose run was the best.

    Args:
        domain: name of the domain; its candidates are tried in the order of their folders' names. A module that a
            candidate lacks is the baseline's.
        candidates: folder of folders named after domains; None: the domain's own candidates.

    Attributes:
        names: the candidates' names, in the order in which they are tried.
        tried: the candidates so far.

    Raises:
        LookupError: there is no such domain, or there are no candidates for it.
    """

    def __init__(self, domain: str, candidates: Path | None = None) -> None:
        found = get_domain(domain)
        place = found.directory / "candidates" if candidates is None else candidates / domain
        own = read_candidates(place)
        if not own:
            raise LookupError(f"no candidates for {domain}: put folders of modules into {place}/")
        base = {f"{name}.py": found.module_text(name, backend="default", start="base") for name in found.modules}
        self._candidates = [base | modules for modules in own.values()]
        self.names = list(own)
        self.tried: list[Attempt] = []

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        """The next action, given the latest observation and info; the first call starts an episode."""
        step = len(self.tried)
        if step:
            score, reward = (float(info.get(key, "-inf")) for key in ("score", "meta_train_reward"))
            self.tried[-1] = Attempt(step - 1, score, reward)
        if step < len(self._candidates) and observation["steps_left"] > 1:
            self.tried.append(Attempt(step))
            return {"edits": self._edits(step, observation["files"]), "command": "run"}
        return {"edits": self._edits(self.best, observation["files"]), "command": "submit"}

    def describe(self, action: Mapping[str, Any], files: Mapping[str, str]) -> tuple[str, list[dict[str, str]]]:
        """For people: a title of the latest action, and its edits unless it submits."""
        if action["command"] == "submit":
            return f"submit {self.names[self.best]}", []
        return f"step {len(self.tried)}: try {self.names[len(self.tried) - 1]}", action["edits"]

    @property
    def best(self) -> int:
        """Index of the best candidate so far; see :func:`discoenv.episodes.record.best_run`."""
        best = best_run(self.tried)
        assert best is not None
        return best.candidate

    def _edits(self, index: int, files: Mapping[str, str]) -> list[dict[str, str]]:
        candidate = self._candidates[index]
        return [{"path": name, "content": candidate[name]} for name in sorted(files) if name in candidate]
