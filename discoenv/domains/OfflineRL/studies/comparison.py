"""Prints what chance, cloning, the best recording and a controller that knows the goal reach; writes it to results.md.

    python -m discoenv.domains.OfflineRL.studies.comparison --write

Nothing but cloning is trained: the base modules' column is that of ``baselines.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.OfflineRL.behaviours import expert
from discoenv.domains.OfflineRL.cloning import clone
from discoenv.domains.OfflineRL.evaluation import measure
from discoenv.domains.OfflineRL.examiner import OfflineRLExaminer, metrics
from discoenv.domains.OfflineRL.simulated import Simulated
from discoenv.domains.OfflineRL.worlds import Floats, World
from discoenv.errors import UserError
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.scoring import baselines
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
SECTION = "<!-- comparison: written by studies/comparison.py -->", "<!-- /comparison -->"
ROWS = ("random actions", "behaviour cloning", "best recording", "controller that knows the goal")
#: Recorded observations that count as about where an episode begins.
NEAREST = 10


def continuations(world: World, observations: Floats, goal: Floats, steps: int) -> Floats:
    """What the rest of a recording earns from each of its observations, float64[M, T]; after its end, nothing.

    Args:
        world, goal: of the exam.
        observations: float[M, T + 1, D].
        steps: of an episode.
    """
    count, length, dim = observations.shape
    after = observations[:, 1:].reshape(-1, dim)
    rewards = world.reward(after, goal).reshape(count, length - 1)
    reached = world.reached(after, goal).reshape(count, length - 1)
    if world.dense:
        earned: Floats = 100.0 * np.cumsum(1.0 + rewards[:, ::-1], axis=1)[:, ::-1] / steps
        return earned
    left = np.full(count, float(steps))
    scores = np.empty((count, length - 1))
    for time in range(length - 2, -1, -1):
        left = np.where(reached[:, time], 1.0, np.minimum(left + 1.0, steps))
        scores[:, time] = 100.0 * (1.0 - left / steps)
    return scores


def best_recordings(world: World, observations: Floats, starts: Floats, goal: Floats, steps: int) -> float:
    """Mean over first observations, float[N, D], of the most that a recording earns from about there.

    About there are the NEAREST recorded observations.
    """
    scores = continuations(world, observations, goal, steps).ravel()
    recorded = observations[:, :-1].reshape(len(scores), -1)
    apart = ((starts[:, None] - recorded[None]) ** 2).sum(axis=-1)
    nearest = np.argpartition(apart, NEAREST, axis=1)[:, :NEAREST]
    return float(scores[nearest].max(axis=1).mean())


def compared(dataset: str, scale: str, seeds: int) -> dict[str, list[float]]:
    """Scores of each row over exams."""
    examiner = OfflineRLExaminer(dataset, scale, get_domain("OfflineRL").config(dataset, scale))
    source, config = examiner.source, examiner.config
    assert isinstance(source, Simulated)
    world = source.world
    found: dict[str, list[float]] = {row: [] for row in ROWS}
    for seed in range(seeds):
        draw, goal = np.random.default_rng(seed), examiner.goal(seed)
        cloned = clone(source.recording, config, config["GRADIENT_STEPS"], seed)
        start = world.start(goal, config["EVALUATION_EPISODES"], draw)
        made = []
        for _ in range(config["EVALUATION_STEPS"]):
            start = world.step(start, expert(world, goal, start), draw)
            made.append((world.reward(world.observe(start), goal), world.reached(world.observe(start), goal)))
        known = measure(world, *(np.stack(each, axis=1) for each in zip(*made, strict=True)))[0].mean()
        chance = examiner.episodes(lambda obs, draw=draw: draw.uniform(-1, 1, (len(obs), world.action_dim)), seed)  # type: ignore[misc]
        starts = chance.observations[:, 0]
        best = best_recordings(world, source.recording.observations, starts, goal, config["EVALUATION_STEPS"])
        scores = metrics(chance)["score"], metrics(examiner.episodes(cloned, seed))["score"], best, float(known)
        for row, score in zip(ROWS, scores, strict=True):
            found[row].append(score)
    return found


def table(datasets: list[str], seeds: int, console: Console) -> str:
    """Markdown: a row per dataset."""
    domain = get_domain("OfflineRL")
    lines = [
        f"Scale `small`, {seeds} exams, mean ± standard error of the score, percent.",
        "",
        "| dataset | random actions | behaviour cloning | best recording | base modules | knows the goal |",
        "|---|---|---|---|---|---|",
    ]
    for dataset in datasets:
        console.print(f"{dataset} …", highlight=False)
        cells = [_cell(scores) for scores in compared(dataset, "small", seeds).values()]
        try:
            base = baselines.entry(Setting(domain, "default", dataset, "small")).baseline
            cells.insert(3, f"{base.mean:.1f} ± {base.std / np.sqrt(len(base.values)):.1f}")
        except UserError:
            cells.insert(3, "")
        lines.append(f"| {dataset} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(scores: list[float]) -> str:
    return f"{np.mean(scores):.1f} ± {np.std(scores, ddof=1) / np.sqrt(len(scores)):.1f}"


def main(
    seeds: Annotated[int, typer.Option(min=2, help="Exams per dataset.")] = 5,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    entries = get_domain("OfflineRL").specification.datasets
    made = table([name for name, entry in entries.items() if entry.source == "offline"], seeds, Console(stderr=True))
    if write:
        page = RESULTS.read_text(encoding="utf-8")
        atomic.write_text(RESULTS, replace_section(page, *SECTION, made))
    print(made)


if __name__ == "__main__":
    typer.run(main)
