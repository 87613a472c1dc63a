"""Reservations: what is set aside counts as spent until it is settled or given back."""

from __future__ import annotations

import pytest

from discoenv.agents.llm.budget import Budget, Ledger, Prices
from discoenv.errors import BudgetSpent


def spent_of(ledger: Ledger, prompt: int, completion: int, at_least: int = 1) -> str:
    with pytest.raises(BudgetSpent) as caught:
        ledger.reserve(prompt, completion, at_least=at_least)
    return caught.value.what


def test_reservations_count_until_they_are_settled_or_released() -> None:
    ledger = Ledger(Budget(tokens=1000, calls=2))
    first = ledger.reserve(100, 500)
    second = ledger.reserve(100, 500)
    assert (first.completion_tokens, second.completion_tokens) == (500, 300)
    assert spent_of(ledger, 0, 1) == "calls"
    ledger.release(second)
    ledger.settle(first, 80, 20)
    assert (ledger.spent.tokens, ledger.spent.calls) == (100, 1)
    third = ledger.reserve(100, 5000)
    assert third.completion_tokens == 800
    with pytest.raises(ValueError, match="settled before"):
        ledger.release(first)


def test_an_answer_that_would_be_too_short_is_not_asked_for() -> None:
    ledger = Ledger(Budget(tokens=300))
    assert spent_of(ledger, 100, 1000, at_least=256) == "tokens"
    assert ledger.reserve(100, 50, at_least=256).completion_tokens == 50  # shorter by intention


def test_costs_of_cached_tokens_are_counted_apart() -> None:
    prices = Prices(prompt=2.0, completion=10.0, cached=0.5)
    assert prices.cost(1_000_000, 100_000, 600_000) == pytest.approx(0.8 + 0.3 + 1.0)
    ledger = Ledger(Budget(cost=1.0), prices)
    reservation = ledger.reserve(100_000, 1_000_000)
    assert reservation.completion_tokens == 80_000
    assert ledger.settle(reservation, 100_000, 0, 100_000) == pytest.approx(0.05)
    assert ledger.left() == pytest.approx({"cost": 0.95})


def test_time_runs_from_the_start() -> None:
    now = 100.0
    ledger = Ledger(Budget(seconds=10.0, tokens=100), clock=lambda: now)
    now = 106.0
    assert ledger.seconds_left() == 4.0
    assert ledger.share_left() == pytest.approx(0.4)
    now = 111.0
    assert ledger.seconds_left() == 0.0
    assert spent_of(ledger, 1, 1) == "seconds"


def test_a_limit_on_cost_needs_prices() -> None:
    with pytest.raises(ValueError, match="needs prices"):
        Ledger(Budget(cost=1.0))
    assert Ledger().share_left() == 1.0
