"""Load changes no score: the same episode on an idle machine, on a busy one, and by several processes at once."""

from __future__ import annotations

import pytest

from benchmarks import load
from discoenv.sandbox.base import Sandbox


@pytest.mark.slow
def test_rewards_are_the_same_to_the_last_bit_and_nothing_runs_out_of_time(sandbox: Sandbox) -> None:
    found = load.compare("GreenhouseGasPrediction", sandbox.name, processes=4)
    assert [each["failures"] for each in found.values()] == [[], [], []]
    assert len({reward for each in found.values() for reward in each["rewards"]}) == 1
