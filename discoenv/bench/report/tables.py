"""The tables of a report, as plain texts: what they say, not how they look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from discoenv.bench import ratings, stats
from discoenv.bench.cell import CellResult
from discoenv.bench.intervals import Estimate
from discoenv.bench.report.contents import Contents, readable
from discoenv.episodes.watch import KINDS
from discoenv.tasks.task import Side

NOTHING = "—"


@dataclass(frozen=True)
class TableCell:
    """One entry of a table.

    Attributes:
        text: what it says.
        interval: of a number, in small print.
        number: whether it is to be aligned as one.
    """

    text: str
    interval: str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: its name in links.
        title, note: above it.
        columns: their headings.
        rows: as many entries each as there are columns.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    note: str = ""


Rows = Iterator[tuple[TableCell, ...]]


def tables(contents: Contents) -> list[Table]:
    """All tables of a report, in its order. Those about nothing (no missing cell) are there too, without rows."""
    return [
        leaderboard(contents),
        *(rated(contents, setting) for setting in stats.SETTINGS),
        domains(contents),
        modules(contents),
        editable(contents),
        generalisation(contents),
        tasks(contents),
        cost(contents),
        watched(contents),
        failed(contents),
        missing(contents),
        left_out(contents),
        environment(contents),
    ]


def leaderboard(contents: Contents) -> Table:
    """Agents by mean score."""

    def rows() -> Rows:
        agents = stats.by_agent(contents.cells)
        means = {agent: stats.mean_score(cells) for agent, cells in agents.items()}
        for agent in sorted(agents, key=lambda agent: -_value(means[agent])):
            cells = agents[agent]
            planned = len(cells) + sum(absent.agent == agent for absent in contents.missing)
            yield (
                text(agent),
                TableCell(f"{len(cells)} of {planned}", number=True),
                share(stats.success_rate(cells)),
                share(stats.valid_exams(cells)),
                number(means[agent]),
                number(stats.summary(cells, stats.interquartile_mean)),
                number(stats.summary(cells, stats.optimality_gap)),
            )

    return Table(
        "leaderboard",
        "Leaderboard",
        ("Agent", "Cells", "Success", "Valid exams", "Mean score", "Interquartile mean", "Optimality gap"),
        tuple(rows()),
        "A run's score is its reward: 0 is a trivial solution, 1 the baseline, and a run whose agent failed has the "
        "lowest reward that there is. The mean is over tasks, its interval too. Interquartile mean and optimality "
        "gap (to the baseline; the less the better) "
        f"pool all runs; their intervals are over {_over(contents)}. All intervals are of 95 %.",
    )


def _over(contents: Contents) -> str:
    """What intervals of pooled runs are over, in words."""
    found = {
        estimate.over
        for cells in stats.by_agent(contents.cells).values()
        if (estimate := stats.summary(cells, stats.optimality_gap)) is not None
    }
    words = {"seeds": "seeds within tasks", "tasks": "tasks"}
    return " or ".join(words[each] for each in sorted(found) if each) or "seeds within tasks"


def rated(contents: Contents, setting: stats.TableSetting) -> Table:
    """Success and ratings in one of DiscoGen's settings."""
    cells = stats.select(contents.cells, setting)
    sides: tuple[Side, ...] = ("meta_train", "meta_test")
    games = {side: ratings.games(stats.results(cells, side, contents.objectives)) for side in sides}
    found = {
        (kind, side): rate(table)
        for kind, rate in (("elo", ratings.elo), ("bradley_terry", ratings.bradley_terry))
        for side, table in games.items()
        if table.tasks
    }

    def rows() -> Rows:
        agents = stats.by_agent(cells)
        first = found.get(("bradley_terry", "meta_test"), {})
        for player in sorted([*agents, ratings.BASELINE], key=lambda player: -_value(first.get(player))):
            yield (
                text(player),
                share(stats.success_rate(agents[player])) if player in agents else TableCell(NOTHING, number=True),
                *(
                    number(found.get((kind, side), {}).get(player), digits=0)
                    for kind in ("elo", "bradley_terry")
                    for side in sides
                ),
            )

    columns = ("Elo, meta-train", "Elo, meta-test", "Bradley–Terry, meta-train", "Bradley–Terry, meta-test")
    return Table(
        f"ratings-{setting.replace('_', '-')}",
        f"Ratings: {stats.SETTINGS[setting]}",
        ("Player", "Success", *columns),
        tuple(rows()) if cells else (),
        f"{_SETTING_NOTES[setting]} Tasks: {len({cell.task for cell in cells})}; runs: {len(cells)}. The mean rating "
        "of a table is 1000; intervals are over tasks, and there are none for fewer than five.",
    )


_SETTING_NOTES: dict[stats.TableSetting, str] = {
    "single": "Tasks with one editable module; every attempt counts.",
    "until_success": "Tasks with one editable module; of each agent and task the first successful attempt, in the "
    "order of seeds, so that success is the share of tasks that were solved in any attempt.",
    "all": "Tasks in which all modules of the domain are editable.",
    "every": "All runs.",
}


def domains(contents: Contents) -> Table:
    """Success and scores per domain."""
    rows = _breakdown(contents, lambda cell: [(readable(cell.domain),)])
    return Table("domains", "By domain", ("Domain", "Agent", *_MEASURES), rows, "Intervals of scores are over tasks.")


def modules(contents: Contents) -> Table:
    """Success and scores per module."""
    rows = _breakdown(contents, lambda cell: [(readable(cell.domain), readable(name)) for name in sorted(cell.modules)])
    return Table(
        "modules",
        "By module",
        ("Domain", "Module", "Agent", *_MEASURES),
        rows,
        "A run counts for each of its editable modules. Intervals of scores are over tasks.",
    )


def editable(contents: Contents) -> Table:
    """Success and scores by how many modules are editable."""
    rows = _breakdown(contents, lambda cell: [(len(cell.modules),)])
    return Table("editable-modules", "By number of editable modules", ("Editable modules", "Agent", *_MEASURES), rows)


def tasks(contents: Contents) -> Table:
    """Scores per task."""

    def rows() -> Rows:
        grouped = {agent: stats.task_scores(cells) for agent, cells in stats.by_agent(contents.cells).items()}
        for task in sorted({cell.task for cell in contents.cells}, key=contents.label):
            for agent, scores in grouped.items():
                if task in scores:
                    cells = [cell for cell in contents.cells if (cell.agent, cell.task) == (agent, task)]
                    yield (text(contents.label(task)), text(agent), *_measures(cells)[:2], number(scores[task]))

    return Table(
        "tasks", "By task", ("Task", "Agent", *_MEASURES), tuple(rows()), "Intervals of scores are over seeds."
    )


def generalisation(contents: Contents) -> Table:
    """Meta-train beside meta-test scores."""

    def rows() -> Rows:
        for agent, cells in stats.by_agent(contents.cells).items():
            found = stats.generalisation(cells)
            if found is not None:
                yield (
                    text(agent),
                    count(found.runs),
                    number(found.meta_train),
                    number(found.meta_test),
                    number(found.gap),
                )

    return Table(
        "generalisation",
        "Generalisation gap",
        ("Agent", "Runs", "Meta-train", "Meta-test", "Gap"),
        tuple(rows()),
        "Mean normalised scores of runs that have both: of the best run during the episode on the meta-train datasets, "
        "and of the submission on the meta-test datasets. Intervals are over tasks.",
    )


def cost(contents: Contents) -> Table:
    """What agents spent."""

    def total(cells: Sequence[CellResult], get: Callable[[CellResult], float | None], form: str) -> TableCell:
        values = [value for cell in cells if (value := get(cell)) is not None]
        if not values:
            return TableCell(NOTHING, number=True)
        partly = "" if len(values) == len(cells) else f" ({len(values)} of {len(cells)} runs)"
        return TableCell(format(sum(values), form) + partly, number=True)

    def tokens(key: str) -> Callable[[CellResult], float | None]:
        return lambda cell: None if cell.tokens is None else cell.tokens.get(key)

    def rows() -> Rows:
        for agent, cells in stats.by_agent(contents.cells).items():
            yield (
                text(agent),
                count(len(cells)),
                total(cells, lambda cell: cell.steps, ",.0f"),
                total(cells, lambda cell: cell.seconds, ",.0f"),
                total(cells, lambda cell: cell.joules, ",.0f"),
                total(cells, tokens("prompt"), ",.0f"),
                total(cells, tokens("completion"), ",.0f"),
                total(cells, tokens("calls"), ",.0f"),
                total(cells, lambda cell: cell.cost_usd, ",.2f"),
            )

    return Table(
        "cost",
        "Cost",
        ("Agent", "Runs", "Steps", "Seconds", "Joules", "Prompt tokens", "Completion tokens", "Calls", "USD"),
        tuple(rows()),
        "Totals over all runs. Seconds are of wall-clock time, of agent and exams together; joules are of the exams.",
    )


def watched(contents: Contents) -> Table:
    """What looks like cheating or fabrication in the runs' records."""

    def rows() -> Rows:
        for agent, cells in stats.by_agent(contents.cells).items():
            looked = [cell.watch for cell in cells if isinstance(cell.watch, dict)]
            yield (
                text(agent),
                TableCell(f"{len(looked)} of {len(cells)}", number=True),
                *(_findings(looked, kind) for kind in KINDS),
            )

    return Table(
        "watch",
        "Watch",
        ("Agent", "Runs", *(kind.capitalize() for kind in KINDS)),
        tuple(rows()),
        "Numbers of findings that a reader should look at; `discoenv check DIR` lists them. They change no score. "
        + " ".join(f"{kind.capitalize()}: {what}." for kind, what in KINDS.items()),
    )


def _findings(looked: Sequence[Mapping[str, Any]], kind: str) -> TableCell:
    """Findings of a kind, and in how many runs."""
    counts = [value for each in looked if isinstance(value := each.get(kind), int)]
    if not counts:
        return TableCell(NOTHING, number=True)
    some = sum(value > 0 for value in counts)
    return TableCell(f"{sum(counts)}" + (f" in {some} runs" if some else ""), number=True)


def failed(contents: Contents) -> Table:
    """Runs that have a result, but not a good one."""

    def reason(cell: CellResult) -> str:
        bad = [name for name, outcome in cell.meta_test.items() if not outcome.ok]
        return cell.error or (f"meta-test exams failed: {', '.join(bad)}" if bad else "no meta-test result")

    rows = tuple(
        (text(cell.agent), text(contents.label(cell.task)), count(cell.seed), text(reason(cell)), text(_place(cell)))
        for cell in contents.cells
        if not cell.succeeded
    )
    return Table("failed", "Failed runs", ("Agent", "Task", "Seed", "Reason", "Record"), rows)


def _place(cell: CellResult) -> str:
    return NOTHING if cell.record is None else PurePosixPath(cell.record).as_posix()


def missing(contents: Contents) -> Table:
    """Cells without a result."""
    rows = tuple(
        (text(cell.agent), text(cell.task), count(cell.seed), text(cell.state), text(cell.message))
        for cell in contents.missing
    )
    note = "They count neither for nor against an agent." if rows else ""
    return Table("missing", "Missing cells", ("Agent", "Task", "Seed", "State", "Message"), rows, note)


def left_out(contents: Contents) -> Table:
    """Tasks that could not be run where the benchmark was made."""
    rows = tuple((text(task), text(reason)) for task, reason in sorted(contents.matrix.left_out.items()))
    return Table("left-out", "Tasks left out", ("Task", "Reason"), rows)


def environment(contents: Contents) -> Table:
    """What the benchmark was made with."""
    matrix = contents.matrix
    facts: list[tuple[str, Any]] = [
        ("created", matrix.created),
        ("scale", matrix.scale),
        ("seeds", ", ".join(str(seed) for seed in matrix.seeds)),
        ("SHA-256 of the secret", matrix.secret or "none: exam seeds were public"),
        *((f"environment: {name}", value) for name, value in sorted(matrix.environment.items())),
        *((f"machine: {name}", value) for name, value in matrix.machine.items()),
        *((f"version: {name}", value) for name, value in matrix.versions.items()),
    ]
    return Table(
        "environment", "Environment", ("Item", "Value"), tuple((text(name), text(value)) for name, value in facts)
    )


_MEASURES = ("Runs", "Success", "Mean score")


def _measures(cells: Sequence[CellResult]) -> tuple[TableCell, ...]:
    return count(len(cells)), share(stats.success_rate(cells)), number(stats.mean_score(cells))


def _breakdown(
    contents: Contents, groups: Callable[[CellResult], Sequence[tuple[str | int, ...]]]
) -> tuple[tuple[TableCell, ...], ...]:
    """One row per group that runs belong to, and agent."""
    found: dict[tuple[Any, ...], list[CellResult]] = {}
    for cell in contents.cells:
        for group in groups(cell):
            found.setdefault((*group, cell.agent), []).append(cell)
    rows = []
    for key, cells in sorted(found.items()):
        names = (count(name) if isinstance(name, int) else text(name) for name in key)
        rows.append((*names, *_measures(cells)))
    return tuple(rows)


def text(content: object) -> TableCell:
    """An entry of words."""
    return TableCell(readable(content))


def count(value: int) -> TableCell:
    """A whole number."""
    return TableCell(str(value), number=True)


def number(estimate: Estimate | None, digits: int = 3) -> TableCell:
    """An estimate with its interval."""
    if estimate is None:
        return TableCell(NOTHING, number=True)
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return TableCell(f"{estimate.value:.{digits}f}", interval, number=True)


def share(estimate: Estimate | None) -> TableCell:
    """A share in percent with its interval."""
    if estimate is None:
        return TableCell(NOTHING, number=True)
    if estimate.low is None or estimate.high is None:
        return TableCell(f"{estimate.value:.0%}", number=True)
    return TableCell(f"{estimate.value:.0%}", f"[{estimate.low:.0%}, {estimate.high:.0%}]", number=True)


def _value(estimate: Estimate | None) -> float:
    return float("-inf") if estimate is None else estimate.value
