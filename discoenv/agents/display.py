"""Prints what an agent with a language model does, as it goes."""

from __future__ import annotations

import json
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from discoenv.agents.llm.budget import Ledger
from discoenv.agents.llm.chat import Reply, ToolCall
from discoenv.agents.llm.play import Outcome
from discoenv.exams.spec import Progress
from discoenv.tools import ToolResult, ToolSession

_LINES: Final = 14
_COLUMNS: Final = 160


class Display:
    """Prints an episode.

    Args:
        console: where to; default: stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def begin(self, session: ToolSession, name: str, model: str) -> None:
        """Who plays what."""
        task = session.info["task"]
        lines = [
            f"agent       {name}, {model}",
            f"domain      {task['domain']} ({task['scale']})",
            f"edit        {', '.join(task['modules'])}",
            f"meta-train  {', '.join(task['meta_train'])}",
            f"steps       {session.max_steps}",
        ]
        self.console.print(Panel(Text("\n".join(lines)), title=f"task {session.info['task_id']}", expand=False))

    def reply(self, reply: Reply, ledger: Ledger) -> None:
        """What the model says, and what has been spent."""
        spent = ledger.spent
        cost = f", cost {spent.cost:.4f}" if spent.cost else ""
        self.console.rule(f"call {spent.calls} ({spent.tokens} tokens{cost}, {spent.seconds:.0f} s)", align="left")
        if reply.text.strip():
            self.console.print(_short(reply.text), markup=False, highlight=False)

    def tool(self, call: ToolCall, result: ToolResult) -> None:
        """A tool call and its result."""
        self.console.print(f"[bold cyan]→ {escape(call.name)}[/] {escape(_arguments(call.arguments))}", highlight=False)
        style = "dim" if result.ok else "red"
        self.console.print(Text(_short(result.text), style=style))

    def progress(self, progress: Progress) -> None:
        """An exam begins or ends; as the environment's ``on_progress``."""
        label = f"exam {progress.number} of {progress.total}, {progress.spec.dataset}"
        if progress.result is None:
            self.say(f"{label} … (at most {progress.spec.budget_s:.0f} s)")
        elif progress.result.status != "ok":
            self.say(f"{label}: {progress.result.status}")

    def say(self, text: str) -> None:
        """A remark."""
        self.console.print(Text(text, style="dim"))

    def end(self, outcome: Outcome) -> None:
        """How the episode ended."""
        spent = outcome.spent
        cost = f", cost {spent.cost:.4f}" if spent.cost else ""
        lines = [
            f"reward {outcome.reward:.3f}   (0 = trivial, 1 = baseline, on datasets never seen before)",
            f"ended by {outcome.ended_by}{f': {outcome.reason}' if outcome.reason else ''}",
            f"{outcome.runs} runs, {spent.calls} calls, {spent.tokens} tokens{cost}, {spent.seconds:.0f} s",
        ]
        self.console.print(Panel(Text("\n".join(lines)), title="episode over", expand=False))
        if outcome.run_directory is not None:
            self.console.print(f"recorded in {outcome.run_directory}", markup=False, highlight=False, soft_wrap=True)


def _short(text: str) -> str:
    lines = [line if len(line) <= _COLUMNS else f"{line[:_COLUMNS]}…" for line in text.strip().splitlines()]
    more = [f"… {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n".join(lines[:_LINES] + more)


def _arguments(arguments: str) -> str:
    """Arguments in one line; long texts as their length."""
    try:
        values = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return arguments[:_COLUMNS]
    if not isinstance(values, dict):
        return str(values)[:_COLUMNS]
    shown = {name: f"<{len(v)} characters>" if isinstance(v, str) and len(v) > 60 else v for name, v in values.items()}
    return ", ".join(f"{name}={value!r}" for name, value in shown.items())
