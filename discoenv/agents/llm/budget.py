"""Budgets of language-model calls: what may be spent, what has been, and the promise that one never exceeds the other.

Before a request is sent, the most that it can cost is reserved; when the answer is there, the reservation gives way to
what it did cost. A request whose reservation does not fit is not sent. Many threads may share a ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from discoenv.errors import BudgetSpent

_PER_MILLION: Final = 1e-6


@dataclass(frozen=True)
class Budget:
    """What may be spent in all; None is no limit.

    Attributes:
        tokens: prompt and completion tokens together.
        cost: money, in the unit of the prices.
        seconds: wall-clock time since the ledger was made, whatever it was spent on.
        calls: requests that were answered, or broke off and may have been billed.
    """

    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    calls: int | None = None


@dataclass(frozen=True)
class Prices:
    """Prices per million tokens; ``cached`` of prompt tokens read from the provider's cache (None: as ``prompt``)."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None

    def cost(self, prompt: int, completion: int, cached: int = 0) -> float:
        """Price of a request; ``cached`` of the ``prompt`` tokens were cached."""
        cached_price = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * cached_price + completion * self.completion) * _PER_MILLION


@dataclass(frozen=True)
class Spent:
    """What has been spent; ``seconds`` since the ledger was made.

    Of ``calls`` and tokens, ``failed_calls`` and ``failed_tokens`` are those of requests that broke off, and may have
    been billed.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    calls: int = 0
    failed_calls: int = 0
    failed_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __str__(self) -> str:
        """Calls, tokens, cost and seconds, with what failed attempts took of them."""
        attempts = "attempt" if self.failed_calls == 1 else "attempts"
        failed = f", {self.failed_tokens:,} of them in {self.failed_calls} failed {attempts}"
        cost = f", cost {self.cost:.4f}" if self.cost else ""
        tokens = f"{self.tokens:,} tokens{failed if self.failed_calls else ''}"
        return f"{self.calls} calls, {tokens}{cost}, {self.seconds:.0f} s"

    def record(self) -> dict[str, Any]:
        """As plain values."""
        record = {**asdict(self), "tokens": self.tokens}
        return record | {"cost": round(self.cost, 8), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Reservation:
    """The most that one request can spend; ``completion_tokens`` is what it may ask for."""

    prompt_tokens: int
    completion_tokens: int


class Ledger:
    """What has been spent of a budget.

    Args:
        budget: the limits.
        prices: for costs; a cost limit needs them.
        clock: seconds, from any start.

    Raises:
        ValueError: there is a cost limit, but all prices are zero.
    """

    def __init__(
        self, budget: Budget | None = None, prices: Prices | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget = budget or Budget()
        self.prices = prices or Prices()
        if self.budget.cost is not None and not (self.prices.prompt or self.prices.completion):
            raise ValueError("a limit on cost needs prices: give the price of prompt and of completion tokens")
        self._clock = clock
        self._begin = clock()
        self._lock = threading.Lock()
        self._spent = Spent()
        self._reserved: list[Reservation] = []

    @property
    def spent(self) -> Spent:
        """What has been spent so far, without reservations."""
        with self._lock:
            return replace(self._spent, seconds=self._clock() - self._begin)

    def seconds_left(self) -> float | None:
        """Time left, at least 0; None without a limit."""
        if self.budget.seconds is None:
            return None
        return max(0.0, self.budget.seconds - (self._clock() - self._begin))

    def reserve(self, prompt_tokens: int, completion_tokens: int, *, at_least: int = 1) -> Reservation:
        """Set aside what a request can spend.

        Args:
            prompt_tokens: upper bound of the prompt's tokens.
            completion_tokens: most tokens wanted in the answer; the reservation may allow fewer.
            at_least: fewest tokens with which the answer is of use.

        Raises:
            BudgetSpent: not even that fits.
        """
        with self._lock:
            if self.seconds_left() == 0:
                raise BudgetSpent("seconds", f"the time budget of {self.budget.seconds:g} s is spent")
            calls = self._spent.calls + len(self._reserved)
            if self.budget.calls is not None and calls >= self.budget.calls:
                raise BudgetSpent("calls", f"the budget of {self.budget.calls} calls is spent")
            prompt = self._spent.prompt_tokens + sum(each.prompt_tokens for each in self._reserved)
            completion = self._spent.completion_tokens + sum(each.completion_tokens for each in self._reserved)
            allowed = completion_tokens
            what = "tokens"
            if self.budget.tokens is not None:
                allowed = min(allowed, self.budget.tokens - prompt - completion - prompt_tokens)
            if self.budget.cost is not None:
                reserved = sum(self._price(each) for each in self._reserved)
                left = self.budget.cost - self._spent.cost - reserved - self.prices.cost(prompt_tokens, 0)
                by_cost = completion_tokens if left >= 0 else 0
                if self.prices.completion > 0:
                    by_cost = int(left / (self.prices.completion * _PER_MILLION))
                if by_cost < allowed:
                    allowed, what = by_cost, "cost"
            if allowed < max(1, min(at_least, completion_tokens)):
                raise BudgetSpent(
                    what,
                    f"what is left of the budget ({what}) does not suffice for a prompt of up to {prompt_tokens} "
                    f"tokens and an answer of {at_least}",
                )
            reservation = Reservation(prompt_tokens, allowed)
            self._reserved.append(reservation)
            return reservation

    def settle(self, reservation: Reservation, prompt: int, completion: int, cached: int = 0) -> float:
        """Replace a reservation by what the request did spend, at least nothing; gives its cost."""
        prompt, completion, cached = max(0, prompt), max(0, completion), max(0, cached)
        cost = self.prices.cost(prompt, completion, min(cached, prompt))
        with self._lock:
            self._drop(reservation)
            self._spent = replace(
                self._spent,
                prompt_tokens=self._spent.prompt_tokens + prompt,
                completion_tokens=self._spent.completion_tokens + completion,
                cost=self._spent.cost + cost,
                calls=self._spent.calls + 1,
            )
        return cost

    def fail(self, reservation: Reservation) -> int:
        """Count a request that broke off as if all of its reservation had been used; gives the tokens."""
        tokens = reservation.prompt_tokens + reservation.completion_tokens
        self.settle(reservation, reservation.prompt_tokens, reservation.completion_tokens)
        with self._lock:
            spent = self._spent
            self._spent = replace(
                spent, failed_calls=spent.failed_calls + 1, failed_tokens=spent.failed_tokens + tokens
            )
        return tokens

    def release(self, reservation: Reservation) -> None:
        """Give a reservation back: nothing was spent."""
        with self._lock:
            self._drop(reservation)

    def left(self) -> dict[str, float]:
        """What is left of each limit that there is."""
        spent = self.spent
        limits = asdict(self.budget)
        return {name: limit - getattr(spent, name) for name, limit in limits.items() if limit is not None}

    def share_left(self) -> float:
        """The smallest share that is left of any limit, 0–1; 1 without limits."""
        limits: dict[str, float] = asdict(self.budget)
        return max(0.0, min([1.0, *(left / max(limits[name], 1e-12) for name, left in self.left().items())]))

    def _price(self, reservation: Reservation) -> float:
        return self.prices.cost(reservation.prompt_tokens, reservation.completion_tokens)

    def _drop(self, reservation: Reservation) -> None:
        for index, each in enumerate(self._reserved):
            if each is reservation:
                del self._reserved[index]
                return
        raise ValueError("the reservation is not of this ledger, or was settled before")
