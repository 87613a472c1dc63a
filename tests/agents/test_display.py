"""Episodes are printed as they go."""

from __future__ import annotations

import io

from rich.console import Console

from discoenv.agents.display import ChatDisplay, EpisodeDisplay
from discoenv.agents.llm.budget import Spent
from discoenv.agents.llm.chat import Waiting
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting


def test_progress_without_a_result_shows_a_spinner_that_ends() -> None:
    display = EpisodeDisplay(Console(file=io.StringIO()))
    setting = Setting(get_domain("GreenhouseGasPrediction"), "default", "BoxModel/CO2", "tiny")
    display.progress(Progress(ExamSpec(setting, 1, 60.0), 1, 2))
    assert display._live is not None
    display._live.stop()


def test_the_terminal_is_not_silent_while_a_model_is_waited_for() -> None:
    file = io.StringIO()
    display = ChatDisplay(Console(file=file, force_terminal=True, width=200))
    spent = Spent(prompt_tokens=1200, completion_tokens=300, calls=2, failed_calls=1, failed_tokens=900)
    display.waiting(Waiting(2, 7, "APIError: slow down", 900, None, spent))
    assert display._live is not None
    display._live.refresh()
    display.waiting(None)
    assert display._live is None
    shown = "waiting for the model, attempt 2 of 7; 2 calls, 1,500 tokens, 900 of them in 1 failed attempt"
    assert shown in file.getvalue()


def test_failed_attempts_are_printed_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    display = ChatDisplay(Console(file=file, width=200))
    spent = Spent(prompt_tokens=900, calls=1, failed_calls=1, failed_tokens=900)
    display.waiting(Waiting(1, 7, "", 0, None, Spent()))
    display.waiting(Waiting(1, 7, "APIError: slow down", 900, 3.0, spent))
    display.waiting(None)
    assert file.getvalue().splitlines() == [
        "attempt 1 of 7 failed, counted as 900 tokens: APIError: slow down",
        "the next attempt begins after 3 s",
    ]
