"""The overhead benchmark measures what it says."""

from __future__ import annotations

from benchmarks import overhead


def test_overhead_is_measured_beside_a_bare_process() -> None:
    figures = overhead.measure("GreenhouseGasPrediction", "tiny", "auto", repeats=1)
    assert figures["exam_s"] > figures["overhead_s"] > 0
    assert figures["bare_s"] > 0
    assert figures["exam/bare"] == figures["exam_s"] / figures["bare_s"]
