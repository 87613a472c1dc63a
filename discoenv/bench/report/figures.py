"""The figures of a report, as SVG elements that take their colours from the page that they stand in."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from discoenv.bench import ratings, stats
from discoenv.bench.cell import CellResult
from discoenv.bench.intervals import Estimate
from discoenv.bench.report.contents import Contents, readable
from discoenv.examiners import plotting

#: Number of colours that distinguish agents, besides their markers; the page defines each for light and for dark.
SERIES: Final = 8
_MARKERS: Final = "osD^vP*X"
#: Placeholders for the page's colours, which replace them when the figure is written.
_INK, _FAINT = "#010101", "#020202"
_VARIABLES: Final = {_INK: "var(--text)", _FAINT: "var(--faint)"} | {
    f"#0300{number:02x}": f"var(--c{number})" for number in range(SERIES)
}
_SHOWN: Final = (-0.5, 2.0)


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: its name in links.
        title: what it shows.
        svg: an ``svg`` element, safe to stand in a page: all text of agents in it is escaped.
    """

    name: str
    title: str
    svg: str


def figures(contents: Contents) -> list[Figure]:
    """All figures of a report, in its order; none without a result."""
    if not contents.cells:
        return []
    agents = stats.by_agent(contents.cells)
    draw: list[tuple[str, str, Callable[[Axes], None]]] = [
        ("figure-ratings", "Bradley–Terry ratings on meta-test datasets, all runs", _ratings(contents)),
        ("figure-profiles", "Performance profiles: share of runs that score more than τ", _profiles(agents)),
        ("figure-success", "Success by number of editable modules", _success(agents)),
        ("figure-generalisation", "Meta-test by meta-train score, one point per run", _generalisation(agents)),
        ("figure-cost", "Mean score by wall-clock time per run", _cost(agents)),
    ]
    height = max(3.4, 1.0 + 0.25 * len(agents))  # ratings have a row per agent, and legends a line
    return [Figure(name, title, _svg(name, function, height)) for name, title, function in draw]


def _ratings(contents: Contents) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        found = ratings.bradley_terry(ratings.games(stats.results(contents.cells, "meta_test", contents.objectives)))
        order = sorted(found, key=lambda player: found[player].value)
        numbers = {agent: number for number, agent in enumerate(stats.by_agent(contents.cells))}
        for row, player in enumerate(order):
            _interval(axes, found[player], row, numbers.get(player))
        axes.set_yticks(range(len(order)), [_name(player) for player in order])
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.set_xlabel("rating")

    return draw


def _profiles(agents: Mapping[str, Sequence[CellResult]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        thresholds = np.linspace(*_SHOWN, 101)
        for number, (agent, cells) in enumerate(agents.items()):
            found = stats.performance_profile(cells, thresholds)
            if found is None:
                continue
            axes.step(thresholds, found.share, where="post", color=_colour(number), label=_name(agent))
            if found.low is not None and found.high is not None:
                axes.fill_between(thresholds, found.low, found.high, step="post", color=_colour(number), alpha=0.15)
        _baseline(axes.axvline)
        axes.set_xlabel("τ (0: trivial, 1: baseline)")
        axes.set_ylabel("share of runs above τ")
        axes.set_ylim(-0.02, 1.02)
        _legend(axes)

    return draw


def _success(agents: Mapping[str, Sequence[CellResult]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for number, (agent, cells) in enumerate(agents.items()):
            counts = sorted({len(cell.modules) for cell in cells})
            rates = [stats.success_rate([cell for cell in cells if len(cell.modules) == each]) for each in counts]
            known = [rate for rate in rates if rate is not None]
            middle = np.array([rate.value for rate in known])
            ends = np.array([[rate.value - (rate.low or 0.0), (rate.high or 0.0) - rate.value] for rate in known]).T
            # Agents are shifted sideways, so that their intervals do not overlap.
            places = np.array(counts) + (number - (len(agents) - 1) / 2) * 0.08
            axes.errorbar(
                places,
                middle,
                np.maximum(ends, 0),
                color=_colour(number),
                marker=_marker(number),
                capsize=2,
                label=_name(agent),
            )
        axes.set_xticks(sorted({len(cell.modules) for cells in agents.values() for cell in cells}))
        axes.set_xlabel("editable modules")
        axes.set_ylabel("success rate")
        axes.set_ylim(-0.05, 1.05)
        _legend(axes)

    return draw


def _generalisation(agents: Mapping[str, Sequence[CellResult]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for number, (agent, cells) in enumerate(agents.items()):
            points = [(stats.side_score(cell, "meta_train"), stats.side_score(cell, "meta_test")) for cell in cells]
            both = np.array([point for point in points if None not in point], dtype=np.float64).reshape(-1, 2)
            if len(both):
                train, test = np.clip(both, *_SHOWN).T
                axes.scatter(
                    train,
                    test,
                    color=_colour(number),
                    marker=_marker(number),
                    s=24,
                    alpha=0.8,
                    label=_name(agent),
                )
        axes.plot(_SHOWN, _SHOWN, color=_FAINT, linewidth=1, linestyle=":")
        _baseline(axes.axvline)
        _baseline(axes.axhline)
        axes.set_xlabel("meta-train score")
        axes.set_ylabel("meta-test score")
        _legend(axes)

    return draw


def _cost(agents: Mapping[str, Sequence[CellResult]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for number, (agent, cells) in enumerate(agents.items()):
            estimate = stats.mean_score(cells)
            seconds = float(np.mean([cell.seconds for cell in cells]))
            if estimate is not None:
                ends = [[estimate.value - _or(estimate.low, estimate)], [_or(estimate.high, estimate) - estimate.value]]
                axes.errorbar(
                    [max(seconds, 1e-3)],
                    [estimate.value],
                    np.maximum(ends, 0),
                    color=_colour(number),
                    marker=_marker(number),
                    capsize=2,
                    linestyle="none",
                    label=_name(agent),
                )
        _baseline(axes.axhline)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(low / 2, high * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("seconds per run")
        axes.set_ylabel("mean score")
        _legend(axes)

    return draw


def _interval(axes: Axes, estimate: Estimate, row: int, number: int | None) -> None:
    colour = _INK if number is None else _colour(number)
    axes.plot([estimate.value], [row], color=colour, marker="|" if number is None else _marker(number))
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=colour)


def _or(end: float | None, estimate: Estimate) -> float:
    return estimate.value if end is None else end


def _baseline(line: Callable[..., object]) -> None:
    line(1.0, color=_FAINT, linewidth=1, linestyle="--")


def _colour(number: int) -> str:
    return f"#0300{number % SERIES:02x}"


def _marker(number: int) -> str:
    return _MARKERS[(number + number // SERIES) % len(_MARKERS)]


def _name(agent: str) -> str:
    """An agent's name; the invisible character keeps names that begin with ``_``, which legends leave out."""
    return "\u200b" + readable(agent)[:40]


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _svg(name: str, draw: Callable[[Axes], None], height: float) -> str:
    drawing, axes = plotting.figure(width=6.4, height=height)
    # Names are not formulas; ids differ between the figures of a page; nothing depends on the time of drawing.
    with (
        rc_context({"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        draw(axes[0][0])
        _ink(drawing, axes[0][0])
        file = io.StringIO()
        drawing.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(file.getvalue())


def _ink(drawing: Drawing, axes: Axes) -> None:
    for side, spine in axes.spines.items():
        spine.set_color(_FAINT)
        spine.set_visible(side in ("left", "bottom"))
    axes.tick_params(which="both", color=_FAINT, labelcolor=_INK)
    legend = axes.get_legend()
    for text in [axes.xaxis.label, axes.yaxis.label, *(legend.get_texts() if legend else [])]:
        text.set_color(_INK)
    # Axes may have been given their texts before this context; none of them is a formula.
    for found in drawing.findobj(Text):
        if isinstance(found, Text):
            found.set_parse_math(False)


def _themed(document: str) -> str:
    """The ``svg`` element of a document, with the page's colours and font."""
    element = document[document.index("<svg") :]
    for stand_in, variable in _VARIABLES.items():
        element = element.replace(stand_in, variable)
    return re.sub(r"(font: [\w. ]*|font-family: )'DejaVu Sans'[^;\"<>]*", r"\1var(--sans)", element)
