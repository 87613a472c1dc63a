"""Episodes are printed as they go."""

from __future__ import annotations

import io

from rich.console import Console

from discoenv.agents.display import EpisodeDisplay
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting


def test_progress_without_a_result_shows_a_spinner_that_ends() -> None:
    display = EpisodeDisplay(Console(file=io.StringIO()))
    setting = Setting(get_domain("GreenhouseGasPrediction"), "default", "BoxModel/CO2", "tiny")
    display.progress(Progress(ExamSpec(setting, 1, 60.0), 1, 2))
    assert display._live is not None
    display._live.stop()
