"""Episodes are printed as they go."""

from __future__ import annotations

import io

from rich.console import Console

from discoenv.agents.display import EpisodeDisplay
from discoenv.episodes.evaluation import Progress


def test_progress_without_a_result_shows_a_spinner_that_ends() -> None:
    display = EpisodeDisplay(Console(file=io.StringIO()))
    display.progress(Progress("meta_train", "A", 1, 1, 2, 60.0))
    assert display._live is not None
    display._live.stop()
