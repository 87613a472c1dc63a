"""What base modules reach, and whether the examiner finds models that look ahead and lets others pass.

    python -m discoenv.domains.LanguageModelling.studies.probe --write

The table is made of ``baselines.json``. The simulation examines a correct causal model, whose answers are rounded anew
in each question, and the same model looking ahead by one token, in as many exams as are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from discoenv.domains.LanguageModelling.examiner import LanguageModellingExaminer
from discoenv.exams.examiner import RuleBroken
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
_BEGIN, _END = "<!-- table: written by studies/probe.py -->", "<!-- /table -->"
#: ``logits(tokens, positions)`` of a model.
Answer = Callable[[Any, Any], Any]
#: Smaller exams than those at tiny, so that many can be held.
_ROWS, _CONTEXT = 64, 32


class Rule:
    """A model that answers ``logits(tokens, positions)`` by a function of both, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, Any]] = []

    def logits(self, tokens: Any, positions: Any) -> Any:
        """What the function says."""
        self.asked.append((tokens, positions))
        return self.answer(tokens, positions)


class Causal:
    """A language model that is causal: logits are a random linear map of a decaying mean of random vectors.

    Args:
        width: of the vectors.
        noise: deviation of what is added to logits at random, as rounding does.
        seed: of the vectors and the map.
        scale: deviation of the map's entries.
    """

    def __init__(self, width: int = 16, noise: float = 0.0, seed: int = 0, scale: float = 1.0) -> None:
        self._generator = np.random.default_rng(seed)
        self._embed = self._generator.normal(size=(256, width)).astype(np.float32)
        self._head = (scale * self._generator.normal(size=(width, 256))).astype(np.float32)
        self._noise = noise

    def __call__(self, tokens: Any, positions: Any) -> Any:
        """Logits float32[B, K, 256] of int32[B, T] and int32[B, K]."""
        vectors = self._embed[tokens]
        for place in range(1, tokens.shape[1]):
            vectors[:, place] = 0.7 * vectors[:, place - 1] + 0.3 * vectors[:, place]
        picked = np.take_along_axis(vectors, positions[..., None].astype(np.int64), axis=1)
        logits = picked @ self._head
        return logits + self._noise * self._generator.normal(size=logits.shape).astype(np.float32)


def looking_ahead(answer: Answer, strength: float = 5.0, by: int = 1) -> Answer:
    """``answer``, and more for the token that stands ``by`` places after the position."""

    def looking(tokens: Any, positions: Any) -> Any:
        logits = np.array(answer(tokens, positions), np.float32)
        places = positions.astype(np.int64) + by
        seen = np.take_along_axis(tokens.astype(np.int64), places.clip(max=tokens.shape[1] - 1), axis=1)
        rows, columns = np.nonzero(places < tokens.shape[1])
        logits[rows, columns, seen[rows, columns]] += strength
        return logits

    return looking


class Found(NamedTuple):
    """Of so many exams: in how many a correct model was refused, and one that looks ahead passed."""

    exams: int
    false_alarms: int
    missed: int


def simulated(exams: int) -> Found:
    """Examine both models in exams of seeds 0, 1, …; rounding is several times that of float32 at these logits."""
    domain = Domain(BUILTIN / "LanguageModelling")
    config = {**domain.config("LogLines", "tiny"), "EXAM_ROWS": _ROWS, "CONTEXT": _CONTEXT}
    examiner = LanguageModellingExaminer("LogLines", "tiny", config)
    refused = [0, 0]
    for seed in range(exams):
        model = Causal(noise=1e-4, seed=seed, scale=4.0)
        answers: tuple[Answer, Answer] = model, looking_ahead(model, 1.0)
        for kind, answer in enumerate(answers):
            learner = InProcessLearner(Rule(answer), state=_STATE)
            learner.witness = InProcessLearner(Rule(answer), state=_STATE)
            try:
                examiner.examine(learner, seed)
            except RuleBroken:
                refused[kind] += 1
    return Found(exams, refused[0], exams - refused[1])


_STATE = {"model": {"weight": np.zeros(1, np.float32)}, "tokens": np.array(0), "curve": np.zeros((1, 3), np.float32)}


def table() -> str:
    """Floors and baselines in Markdown, mean ± standard deviation over exams, and how far apart they are."""
    domain = Domain(BUILTIN / "LanguageModelling")
    measured = baselines.entries(domain.directory / "baselines.json")
    lines = ["| backend, dataset, scale | unigram floor | baseline | standard errors apart |", "|---|---|---|---|"]
    for name, entry in sorted(measured.items()):
        spread = np.hypot(entry.floor.std, entry.baseline.std) / np.sqrt(len(entry.baseline.values))
        apart = (entry.floor.mean - entry.baseline.mean) / spread
        cells = [f"{each.mean:.3f} ± {each.std:.3f}" for each in (entry.floor, entry.baseline)]
        lines.append(f"| {name.replace(':', ', ')} | {' | '.join(cells)} | {apart:.0f} |")
    return "\n".join(lines) + "\n"


def main(
    exams: Annotated[int, typer.Option(min=1, help="Exams of the simulation.")] = 1000,
    write: Annotated[bool, typer.Option("--write", help="Put both into the domain's results.md.")] = False,
) -> None:
    """Print the table and the simulation, and put them into the page of results."""
    found = simulated(exams)
    text = table() + (
        f"\nSimulation, {found.exams:,} exams: {found.false_alarms} false alarms, {found.missed} look-aheads missed.\n"
    )
    if write:
        atomic.write_text(RESULTS, replace_section(RESULTS.read_text(encoding="utf-8"), _BEGIN, _END, text))
    print(text)


if __name__ == "__main__":
    typer.run(main)
