"""What a check of a domain found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

CheckState = Literal["passed", "warning", "failed"]


@dataclass(frozen=True)
class DomainCheck:
    """One check of a domain.

    Attributes:
        name: one or two words: ``files``, ``stubs``.
        state: ``passed``; ``warning``: the domain works, and something deserves a look; ``failed``.
        detail: what was looked at if it passed, else what is wrong, a line for each finding.
        fix: what to do next, unless it passed.
    """

    name: str
    state: CheckState
    detail: str
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did not fail."""
        return self.state != "failed"


@dataclass
class Findings:
    """Collects what one check finds.

    Attributes:
        looked_at: what was checked, for checks that pass: ``4 datasets, 1 backend``.
        failures, warnings: sentences that name the thing and the reason.
    """

    looked_at: str = ""
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def fail(self, sentence: str) -> None:
        """Something is wrong."""
        self.failures.append(sentence)

    def warn(self, sentence: str) -> None:
        """Something deserves a look."""
        self.warnings.append(sentence)

    def require(self, condition: bool, sentence: str) -> None:
        """Something is wrong unless ``condition`` holds."""
        if not condition:
            self.fail(sentence)

    def check(self, name: str, fix: str) -> DomainCheck:
        """The finished check."""
        state: CheckState = "failed" if self.failures else "warning" if self.warnings else "passed"
        if state == "passed":
            return DomainCheck(name, state, self.looked_at)
        return DomainCheck(name, state, "\n".join(self.failures + self.warnings), fix)


def counted(number: int, noun: str) -> str:
    """``1 dataset``, ``2 datasets``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
