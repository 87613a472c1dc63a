"""The benchmark of starting: each command is measured beside the libraries that it is made of."""

from __future__ import annotations

import pytest

from benchmarks import startup


def test_commands_are_measured_in_turn_with_the_libraries() -> None:
    times = startup.commands(2)
    assert list(times) == ["libraries", "get-domains", "--help"]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())


def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        startup._cpu_seconds("-c", "raise SystemExit(3)")


def test_the_bound_of_a_command_is_a_ratio() -> None:
    def held(get_domains_ms: float) -> list[bool | None]:
        cpu = {"libraries": 200.0, "get-domains": get_domains_ms, "--help": 300.0}
        measured = {"import_ms": 1.0, "reset_ms": 1.0, "command_cpu_ms": cpu, "sandbox": "process"}
        bounds = startup.bounds({**measured, "left_after_close": [], "left_after_exam": []})
        return [bound.held for bound in bounds if "get-domains" in bound.name]

    assert held(250.0) == [True]
    assert held(270.0) == [False]
