"""Prints what agents do, as they go: with a language model, without one, and in searches of many episodes."""

from __future__ import annotations

import difflib
import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from discoenv.episodes.record import ScoreRecord, StepRecord
from discoenv.errors import BudgetSpent, EpisodeSpoilt
from discoenv.exams import secrets
from discoenv.exams.spec import Progress

if TYPE_CHECKING:
    from discoenv.agents.llm.budget import Ledger
    from discoenv.agents.llm.chat import Reply, ToolCall, Waiting
    from discoenv.agents.llm.play import AgentOutcome
    from discoenv.agents.prompts.episodes import PlayedEpisode
    from discoenv.agents.prompts.study import StudySettings
    from discoenv.agents.search.evolution import EvolutionSettings
    from discoenv.agents.search.islands import Individual, Islands
    from discoenv.tools import ToolResult, ToolSession

#: Most lines and columns of a model's answer or a tool's result, and most lines of a diff.
_LINES: Final = 14
_COLUMNS: Final = 160
_DIFF_LINES: Final = 24


class ChatDisplay:
    """Prints an episode of an agent with a language model.

    Args:
        console: where to; default: stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(emoji=False)
        self._live: Live | None = None

    def begin(self, session: ToolSession, name: str, model: str) -> None:
        """The agent, its model and its task."""
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
        self.console.rule(str(ledger.spent), align="left")
        if reply.text.strip():
            self.console.print(_short(reply.text), markup=False, highlight=False)

    def waiting(self, waiting: Waiting | None) -> None:
        """The model is waited for; as a model's ``on_wait``. A terminal shows seconds and what is spent, live."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if waiting is None:
            return
        attempt = f"attempt {waiting.attempt} of {waiting.attempts}"
        if waiting.pause_s is not None:
            counted = f", counted as {waiting.charged_tokens:,} tokens" if waiting.charged_tokens else ""
            self.say(f"{attempt} failed{counted}: {_short(waiting.error)}")
            label = f"the next attempt begins after {waiting.pause_s:.0f} s"
        else:
            label = f"waiting for the model, {attempt}"
        if self.console.is_terminal:
            self._live = Live(
                _Clock(f"{label}; {waiting.spent}"), console=self.console, transient=True, refresh_per_second=2
            )
            self._live.start()
        elif waiting.pause_s is not None:
            self.say(label)

    def tool(self, call: ToolCall, result: ToolResult) -> None:
        """A tool call and its result."""
        self.console.print(f"[bold cyan]→ {escape(call.name)}[/] {escape(_arguments(call.arguments))}", highlight=False)
        style = "dim" if result.ok else "red"
        self.console.print(Text(_short(result.text), style=style))

    def progress(self, progress: Progress) -> None:
        """An exam begins or ends; as the environment's ``on_progress``."""
        label = f"{progress.label}, {progress.spec.dataset}"
        if progress.result is None:
            self.say(f"{label} … (at most {progress.spec.budget_s:.0f} s)")
        elif progress.result.status != "ok":
            self.say(f"{label}: {progress.result.status}")

    def say(self, text: str) -> None:
        """A remark."""
        self.console.print(Text(text, style="dim"))

    def end(self, outcome: AgentOutcome) -> None:
        """How the episode ended."""
        reward = "no reward"
        if outcome.reward is not None:
            reward = f"reward {outcome.reward:.3f}   (0 = trivial, 1 = baseline, on datasets never seen before)"
        lines = [
            reward,
            f"ended by {outcome.ended_by}{f': {outcome.reason}' if outcome.reason else ''}",
            f"{outcome.runs} runs, {outcome.spent}",
        ]
        self.console.print(Panel(Text("\n".join(lines)), title="episode over", expand=False))
        if outcome.run_directory is not None:
            self.console.print(f"recorded in {outcome.run_directory}", markup=False, highlight=False, soft_wrap=True)


class _Clock:
    """A text and the seconds since it was made."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begin = time.monotonic()

    def __rich__(self) -> Text:
        return Text(f"{time.monotonic() - self._begin:.0f} s: {self._text}", style="dim")


class EpisodeDisplay:
    """Prints an episode of an agent without a language model.

    Args:
        console: where to; default: stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(emoji=False)
        self._live: Live | None = None
        self._training: dict[str, str] = {}

    def task(self, info: Mapping[str, Any]) -> None:
        """What is to be discovered."""
        task = info["task"]
        table = Table.grid(padding=(0, 2))
        for label, key in (
            ("domain", "domain"),
            ("edit", "modules"),
            ("meta-train", "meta_train"),
            ("meta-test (hidden)", "meta_test"),
            ("objective", "objective"),
            ("starts from", "start"),
            ("scale", "scale"),
        ):
            value = task[key]
            table.add_row(f"[bold]{label}", ", ".join(value) if isinstance(value, list) else str(value))
        integrity = info["integrity"]
        table.add_row("[bold]sandbox", f"{integrity['sandbox']} (scores {integrity['level']})")
        self.console.print(Panel(table, title=f"task {info['task_id']}", expand=False))

    def action(self, title: str, edits: Sequence[Mapping[str, str]], files: Mapping[str, str]) -> None:
        """An action: a title, and its edits as diffs to ``files``."""
        self.console.rule(f"[bold]{title}", align="left")
        for edit in edits:
            name = edit["path"]
            diff = difflib.unified_diff(
                files[name].splitlines(), edit["content"].splitlines(), f"{name} (before)", f"{name} (after)", "", "", 2
            )
            lines = list(diff)
            if not lines:
                self.console.print(f"{name}: unchanged")
                continue
            shown = "\n".join(line.rstrip("\n") for line in lines[:_DIFF_LINES])
            self.console.print(Syntax(shown, "diff", background_color="default", word_wrap=True))
            if len(lines) > _DIFF_LINES:
                self.console.print(f"[dim]… {len(lines) - _DIFF_LINES} more lines")

    def progress(self, progress: Progress) -> None:
        """An exam begins or ends; as the environment's ``on_progress``."""
        label = f"{progress.label}, {progress.spec.dataset}"
        result = progress.result
        if result is None:
            self._training[label] = f"training on {label} (budget {progress.spec.budget_s:.0f} s) …"
            self._spin()
            return
        self._training.pop(label, None)
        self._spin()
        seconds = "" if result.seconds is None else f" in {result.seconds:.1f} s"
        self.console.print(f"  [dim]{escape(label)}: {result.status}{seconds}", highlight=False)

    def _spin(self) -> None:
        """Show the exam that began last, of those that still run."""
        if not self._training:
            if self._live is not None:
                self._live.stop()
                self._live = None
            return
        spinner = Spinner("dots", next(reversed(self._training.values())))
        if self._live is None:
            self._live = Live(spinner, console=self.console, transient=True)
            self._live.start()
        else:
            self._live.update(spinner)

    def step(self, info: Mapping[str, Any]) -> None:
        """The scores of an action, or why it has none."""
        step = StepRecord.from_json(info)
        for scores, title in ((step.meta_train, "meta-train"), (step.meta_test, "meta-test (never seen before)")):
            if scores is not None:
                self.scores(title, scores)
        for name, problem in (("refused", step.refused), ("infra_error", step.infra_error)):
            if problem is not None:
                self.console.print(f"[red]{name}: {escape(problem)}")

    def scores(self, title: str, scores: Mapping[str, ScoreRecord]) -> None:
        """A table of scores by dataset."""
        metric = next(iter(scores.values())).metric_name
        table = Table("dataset", metric, "floor", "baseline", "normalised", title=title, title_justify="left")
        for name, score in scores.items():
            error = score.standard_error
            shown = f"{score.normalised:.2f}" + (f" ± {error:.2f}" if error is not None else "")
            colour = "green" if score.normalised > 1 else "yellow" if score.normalised > 0 else "red"
            numbers = [f"{number:.3f}" for number in (score.metric, score.floor, score.baseline)]
            table.add_row(name, *numbers, f"[{colour}]{shown}")
            traceback = next((exam.traceback for exam in score.exams if exam.traceback), None)
            if traceback is not None:
                self.console.print(Panel(escape(traceback), title=name, border_style="red"))
        self.console.print(table)

    def end(self, reward: float, remark: str, run: Path | None) -> None:
        """How the episode ended, with a remark on the reward, and where it is recorded, if it is."""
        colour = "green" if reward > 1 else "yellow"
        text = f"[bold {colour}]reward {reward:.3f}[/]   ({escape(remark)})"
        self.console.print(Panel(text, title="episode over", expand=False))
        if run is not None:
            shown = run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run
            self.hint("recorded in", str(shown))
            named = os.environ.get(secrets.VARIABLE)
            setting = f"{secrets.VARIABLE}={shlex.quote(named)} " if named else ""
            self.hint("score it again", f"{setting}discoenv replay {shown}")

    def hint(self, label: str, text: str) -> None:
        """A label and a text, such as a command to go on with."""
        self.console.print(f"[bold]{label:>15}[/]  {escape(text)}", highlight=False, soft_wrap=True)


class EvolutionDisplay:
    """Prints a run of evolution, one line per generation.

    Args:
        console: where to; default: stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(emoji=False)

    def begin(self, directory: Path, settings: EvolutionSettings) -> None:
        """What is searched, and how."""
        task = settings.task
        lines = [
            f"domain      {task['domain']} ({task['scale']})",
            f"edit        {', '.join(task['modules'])}",
            f"meta-train  {', '.join(task['meta_train'])}",
            f"operator    {settings.operator['name']}",
            f"search      {settings.generations} generations of {settings.children}, {settings.islands} islands",
            f"recorded in {directory}",
        ]
        self.console.print(Panel(Text("\n".join(lines)), title="evolve", expand=False))

    def generation(self, number: int, individuals: Sequence[Individual], islands: Islands) -> None:
        """The scores of a generation, and the best individual so far."""
        scores = [each.score for each in individuals if each.score is not None]
        best = islands.best
        shown = f"best of it {max(scores):.3f}" if scores else "no scores"
        failed = sum(each.score is None for each in individuals)
        line = f"generation {number}: {len(individuals)} individuals, {failed} without a score, {shown}"
        if best is not None:
            line += f"; best so far {best.score:.3f} (number {best.number}: {best.description[:100]})"
        self.console.print(Text(line))

    def end(self, result: dict[str, Any]) -> None:
        """How it ended."""
        lines = [
            f"reward {result['reward']:.3f}   (0 = trivial, 1 = baseline, on datasets never seen before)",
            f"meta-train score {result['meta_train_score']:.3f}; base modules {result['base_meta_train_score']:.3f}",
            f"number {result['best']} of {result['individuals']}",
        ]
        if result["budget_spent"]:
            lines.append(f"ended early: {result['budget_spent']}")
        self.console.print(Panel(Text("\n".join(lines)), title="submitted", expand=False))


class StudyDisplay:
    """Prints a study of prompts.

    Args:
        console: where to; default: stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(emoji=False)

    def budget(self, settings: StudySettings) -> None:
        """The most that the study can spend."""
        budget = settings.budget()
        searches = ", ".join(str(k) for k in settings.ks)
        lines = [
            f"agent       {settings.agent}, {settings.model['model']}",
            f"searches    over {searches} training tasks, {settings.rounds} rounds each; "
            f"{len(settings.held_out)} held out",
            f"at most     {budget['episodes']:,} episodes, {budget['calls']:,} model calls, "
            f"{budget['tokens']:,} tokens",
        ]
        self.console.print(Panel(escape("\n".join(lines)), title="budget", expand=False))

    def episode(self, episode: PlayedEpisode) -> None:
        """An episode that was played."""
        ending = f"({episode.ended_by}, {episode.calls} calls)"
        self.console.print(f"  {episode.task_id}: reward {episode.reward:.3f} {ending}")

    @contextmanager
    def running(self, directory: Path) -> Iterator[None]:
        """Print where the study is recorded. If a failure or the budget stops it, print how to go on, and exit."""
        self.console.print(f"recorded in {directory}", markup=False, highlight=False, soft_wrap=True)
        try:
            yield
        except (EpisodeSpoilt, BudgetSpent) as error:
            text = f"[bold red]stopped:[/] {escape(str(error))}\ngo on with -r {directory}"
            self.console.print(text, soft_wrap=True)
            raise SystemExit(1) from None

    def end(self, study: Mapping[str, Any]) -> None:
        """The result of :func:`discoenv.agents.prompts.study.run_study`: a row per number of training tasks."""
        tasks = len(study["held_out_tasks"])
        table = Table(
            "training tasks", "reward on them before", "after", "prompts accepted", f"reward on {tasks} held-out tasks"
        )
        for row in study["rows"]:
            before, after = (
                "–" if row[key] is None else f"{row[key]:.3f}" for key in ("training_score_before", "training_score")
            )
            error = "" if row["held_out_se"] is None else f" ± {row['held_out_se']:.3f}"
            name = "0 (first prompt)" if row["k"] == 0 else str(row["k"])
            table.add_row(name, before, after, str(row["accepted"]), f"{row['held_out_mean']:.3f}{error}")
        self.console.print(table)


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
