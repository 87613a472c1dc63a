"""A learner's compute budget: it is spent by the learner's own work and idleness, not by other load on the machine.

On processors a budget is spent by CPU seconds of the learner's processes, and by the seconds in which none of them even
wants to run while something is expected of them: a learner that sleeps ends as soon as one that computes. Seconds in
which they are ready to run and get no core, because others use the cores or a quota is exhausted, are counted apart, as
starvation, and spend nothing. On GPUs, and where CPU seconds cannot be read, a budget is wall time.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Final, TypedDict

from discoenv.sandbox.cpu_clock import CpuClock

#: A learner that is hung for another reason than those that are counted lives for this many budgets, and seconds more.
LOOSE_BUDGETS: Final = 20.0
LOOSE_S: Final = 180.0
#: Seconds of uninterruptible waits, for disks, that spend nothing; more than that may be a trick.
_DISK_S: Final = 60.0
#: A time without work that is too short to ask why, in seconds.
_NO_REST_S: Final = 0.002
#: Seconds between two looks at what the processes do, at random, so that none can act for the moment of a look.
_LOOK_S: Final = (0.03, 0.05)
#: A learner that has sent so many bytes since the last look waits for us.
_BUSY_SENDING_BYTES: Final = 64 << 10


def most_wall_s(budget_s: float) -> float:
    """Wall seconds after which a learner is ended, whatever it has spent."""
    return LOOSE_BUDGETS * max(0.0, budget_s) + LOOSE_S


class Use(TypedDict):
    """How a learner used its time, in seconds.

    Attributes:
        spent_s: of its budget.
        starved_s: it was ready to run and got no core.
        watched_s: all the time in which something was expected of it.
    """

    spent_s: float
    starved_s: float
    watched_s: float


class Budget:
    """What a learner may spend, as a deadline for a :class:`discoenv.exams.wire.Channel`.

    Args:
        seconds: the budget.
        clock: where the CPU seconds of the learner's processes are read; None: the budget is wall time.
        wall: the budget is wall time, although there is a clock.
        since: when a budget of wall time begins, in seconds of ``time.monotonic()``; None: now.
    """

    def __init__(
        self, seconds: float, clock: CpuClock | None = None, *, wall: bool = False, since: float | None = None
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._wall = wall or clock is None
        now = time.monotonic()
        self._charged_s = 0.0 if since is None else now - since
        self._cpu_at_start = self._cpu_seen = 0.0 if clock is None else clock.read()
        self._idle_s = self._disk_s = self._starved_s = self._watched_s = 0.0
        self._delay_s = clock.threads().delay_s if clock else 0.0
        self._credit_s = 0.0  # of waits for a core, not yet counted as starvation
        self._waiting_since: float | None = None
        self._looked = now
        self._received = 0
        self._next_look = 0.0
        self._left_s = seconds

    @contextlib.contextmanager
    def running(self) -> Iterator[Budget]:
        """In this block something is expected of the learner."""
        self._waiting_since = self._looked = time.monotonic()
        self._received = 0
        self._plan_look()
        try:
            yield self
        finally:
            now = time.monotonic()
            self._watched_s += now - self._waiting_since
            self._waiting_since = None
            if now - self._looked > _LOOK_S[0]:  # not for each of many short waits
                self._look(arrived=True)

    def charge(self, background_s: float) -> None:
        """Charge a budget of wall time with CPU seconds that were used while nothing was expected; others know them."""
        if self._wall:
            self._charged_s += background_s

    @property
    def spent_s(self) -> float:
        """Seconds of the budget that are spent."""
        if self._wall:
            return self._charged_s + self._all_watched_s
        return self._read_cpu() - self._cpu_at_start + self._idle_s + max(0.0, self._disk_s - _DISK_S)

    @property
    def _all_watched_s(self) -> float:
        """Seconds in which something was expected of the learner, up to now."""
        now = 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since
        return self._watched_s + now

    def use(self) -> Use:
        """How the time was used so far."""
        return Use(spent_s=self.spent_s, starved_s=self._starved_s, watched_s=self._all_watched_s)

    def wait_s(self, received: int = 0) -> float:
        """How long may be waited before this is asked again, in seconds, more than 0.

        Args:
            received: bytes that have come, or were taken, since it was asked before.

        Raises:
            TimeoutError: the budget is spent.
        """
        self._received += received
        now = time.monotonic()
        if now >= self._next_look:
            self._look(arrived=self._received >= _BUSY_SENDING_BYTES)
            self._received = 0
            self._plan_look()
        if self._left_s <= 0 or self._all_watched_s > most_wall_s(self._seconds):
            raise TimeoutError
        return max(0.0005, self._next_look - now)

    def _plan_look(self) -> None:
        self._left_s = self._seconds - self.spent_s
        self._next_look = time.monotonic() + min(random.uniform(*_LOOK_S), max(0.0, self._left_s))

    def _read_cpu(self) -> float:
        if self._clock is not None:
            self._cpu_seen = max(self._cpu_seen, self._clock.read())
        return self._cpu_seen

    def _look(self, *, arrived: bool) -> None:
        """Account for the time since the last look; if much arrived, nothing shows that the learner was idle."""
        if self._clock is None:
            return
        now, cpu_before = time.monotonic(), self._cpu_seen
        rest = now - self._looked - (self._read_cpu() - cpu_before)
        self._looked = now
        if rest < _NO_REST_S:
            return
        seen = self._clock.threads()
        self._credit_s += max(0.0, seen.delay_s - self._delay_s)
        self._delay_s = seen.delay_s
        if seen.ready:
            self._starved_s += rest
            self._credit_s = max(0.0, self._credit_s - rest)
            return
        waited = min(rest, self._credit_s)
        self._starved_s += waited
        self._credit_s = 0.0
        if seen.blocked:
            self._disk_s += rest - waited
        elif not arrived:
            self._idle_s += rest - waited
