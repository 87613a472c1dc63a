"""Guessing, a linear decoder, the base network and a matched filter that knows everything but the labels, side by side.

    python -m discoenv.domains.BrainSpeechDetection.studies.references --write

All see the same exams. The matched filter is an oracle: it knows the listener's head, the helmet's place in each
session, how responses look, and how the talker speaks, and compares each window with all that could have been heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console

from discoenv.data.generated.exact import FastDraws
from discoenv.domains.BrainSpeechDetection import realism
from discoenv.domains.BrainSpeechDetection.books import BOOKS, Book
from discoenv.domains.BrainSpeechDetection.examiner import BrainSpeechDetectionExaminer
from discoenv.domains.BrainSpeechDetection.metrics import Labels, metrics
from discoenv.domains.BrainSpeechDetection.recordings import ROWS, WINDOW, Listener, Session, record, responses
from discoenv.domains.BrainSpeechDetection.speech import RATE
from discoenv.exams.runner import learner_seed
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.testing import examined, import_learner

Floats = np.ndarray[Any, np.dtype[np.float64]]
METHODS: Final = ("guessing", "linear decoder", "base network", "matched filter")
RESULTS = Path(__file__).resolve().parents[1] / "results.md"
_BEGIN, _END = "<!-- table: written by studies/references.py -->", "<!-- /table -->"

#: Sessions of the oracle's own: what could be heard, and how far that is to be believed.
_LIBRARY, _OWN = 10, 4
#: Samples between windows of the library, and samples that are averaged.
_STEP, _PAIR = 5, 2
#: Samples that the linear decoder averages, and its penalties, of which validation chooses.
_POOL, _PENALTIES = 4, (0.01, 0.1, 1.0, 10.0)


def linear(examiner: BrainSpeechDetectionExaminer, threshold_of: Callable[..., Any], seed: int) -> dict[str, float]:
    """Metrics of a ridge regression of labels on standardised windows, averaged over ``_POOL`` samples."""
    parts = {part: examiner.windows(seed, part) for part in ("train", "validation", "test")}
    train = parts["train"][0].astype(np.float64)
    mean, spread = train.mean(axis=(0, 2), keepdims=True), train.std(axis=(0, 2), keepdims=True)

    def features(part: str) -> Floats:
        scaled = ((parts[part][0] - mean) / spread).clip(-10.0, 10.0)
        pooled = scaled.reshape(*scaled.shape[:2], -1, _POOL).mean(axis=3)
        return np.concatenate([pooled.reshape(len(pooled), -1), np.ones((len(pooled), 1))], axis=1)

    x, y = features("train"), parts["train"][1].astype(np.float64)
    found = []
    for penalty in _PENALTIES:
        weights = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ y)
        held, test = ((features(part) @ weights).clip(0.0, 1.0) for part in ("validation", "test"))
        threshold, score = threshold_of(held, parts["validation"][1])
        found.append((score, metrics(test, parts["test"][1], threshold)))
    return max(found, key=lambda each: each[0])[1]


class MatchedFilter:
    """Compares windows with responses to everything that could have been heard.

    Of each session it knows the gains, and so the spatial filters that pass one source and as little else as can be
    (linearly constrained minimum variance, Van Veen et al. 1997). What passes is x, the response r of a window of the
    library, and noise with covariance C, so that log p(x | r) = x' C⁻¹ r − r' C⁻¹ r / 2 + …: the matched filter for r.
    The odds of speech are the ratio of summed likelihoods of the windows with and without speech in the middle. A
    logistic regression on their logarithm and on that of the power of alpha, on sessions of its own, makes
    probabilities of them.
    """

    def __init__(self, book: Book, head: Listener, draws: Sequence[FastDraws], samples: int) -> None:
        sessions = record(book, head, draws, samples)
        self._head = head
        truth = np.concatenate(responses(book, head, [each.timeline for each in sessions]), axis=1)
        library, own = slice(_LIBRARY), slice(_LIBRARY, None)
        noise = [self._sources(each) - r for each, r in zip(sessions[library], truth[library], strict=True)]
        self._scale = np.maximum(np.concatenate(noise, axis=1).std(axis=1), 1e-9)
        rows = np.concatenate([self._cut(each, _STEP * 4) for each in noise])
        rows = rows.clip(*np.quantile(rows, (0.001, 0.999)))
        covariance = np.cov(rows.T) + 0.02 * np.eye(rows.shape[1])
        templates = np.concatenate([self._cut(r, _STEP) for r in truth[library]])
        self._labels = np.concatenate([self._middles(each, _STEP) for each in sessions[library]])
        self._filters = np.linalg.solve(covariance, templates.T).astype(np.float32)
        self._halves = 0.5 * (templates.T * self._filters).sum(axis=0).astype(np.float32)
        evidence = np.concatenate([self._evidence(each) for each in sessions[own]])
        labels = np.concatenate([self._middles(each, WINDOW) for each in sessions[own]])
        self._weights = _logistic(evidence, labels)

    def __call__(self, session: Session) -> Floats:
        """Probabilities of speech of the windows of a session, one after another, float64[N]."""
        evidence = self._evidence(session)
        padded = np.concatenate([evidence, np.ones((len(evidence), 1))], axis=1)
        found: Floats = 1.0 / (1.0 + np.exp(-padded @ self._weights))
        return found

    def _sources(self, session: Session, rows: Sequence[slice] = (ROWS["transient"], ROWS["sustained"])) -> Floats:
        """Estimated moments of dipoles, nA m, float64[D, T]."""
        gains = np.concatenate([session.gains[:, each] for each in rows], axis=1)
        signals = 1000.0 * session.signals.astype(np.float64)
        signals -= signals.mean(axis=1, keepdims=True)
        covariance = np.cov(signals)
        covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        whitened = np.linalg.solve(covariance, gains)
        inverse = gains.T @ whitened
        inverse += 1e-3 * np.trace(inverse) / len(inverse) * np.eye(len(inverse))
        found: Floats = np.linalg.solve(inverse, whitened.T) @ signals
        return found

    def _cut(self, moments: Floats, step: int) -> Floats:
        """Windows of moments float64[D, T], in units of their noise, as rows."""
        scaled = moments / self._scale[:, None]
        views = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW, axis=1)[:, ::step]
        paired = views.reshape(*views.shape[:2], -1, _PAIR).mean(axis=3)
        rows: Floats = paired.transpose(1, 0, 2).reshape(views.shape[1], -1)
        return rows

    @staticmethod
    def _middles(session: Session, step: int) -> Labels:
        speech = session.timeline.speech
        return speech[WINDOW // 2 : len(speech) - WINDOW // 2 + 1 : step].astype(np.int64)

    def _evidence(self, session: Session) -> Floats:
        """Log-odds by the matched filter, and the logarithm of the power of alpha, float64[N, 2]."""
        rows = self._cut(self._sources(session), WINDOW).astype(np.float32)
        odds = []
        for part in np.array_split(rows, max(1, len(rows) // 128)):
            likelihood = (part @ self._filters - self._halves).astype(np.float64)
            likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
            speech = (likelihood * self._labels).sum(axis=1)
            odds.append(np.log(speech + 1e-9) - np.log(likelihood.sum(axis=1) - speech + 1e-9))
        alpha = self._sources(session, [ROWS["alpha"]])
        turns = self._head.alpha_hertz[:, None] * np.arange(alpha.shape[1]) / RATE
        rotated = alpha * np.exp(-2j * np.pi * turns)
        power = np.abs(rotated[:, : len(rows) * WINDOW].reshape(len(alpha), -1, WINDOW).mean(axis=2)) ** 2
        return np.stack([np.concatenate(odds), np.log(power.sum(axis=0) + 1e-9)], axis=1)


def _logistic(x: Floats, labels: Labels) -> Floats:
    """Weights of a logistic regression with an intercept, the last one, by Newton's method."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    weights = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-x @ weights))
        hessian = (x * (p * (1.0 - p))[:, None]).T @ x + 1e-3 * np.eye(len(weights))
        weights += np.linalg.solve(hessian, x.T @ (labels - p) - 1e-3 * weights)
    return weights


def matched(examiner: BrainSpeechDetectionExaminer, threshold_of: Callable[..., Any], seed: int) -> dict[str, float]:
    """Metrics of the matched filter, with a threshold from the validation sessions."""
    book, (root, head) = BOOKS[examiner.config["BOOK"]], examiner.head(seed)
    draws = [root.part("oracle", number) for number in range(_LIBRARY + _OWN)]
    oracle = MatchedFilter(book, head, draws, WINDOW * examiner.config["WINDOWS"])
    held, test = (
        np.concatenate([oracle(each) for each in examiner.sessions(seed, part)]) for part in ("validation", "test")
    )
    threshold, _ = threshold_of(held, examiner.windows(seed, "validation")[1])
    return metrics(test, examiner.windows(seed, "test")[1], threshold)


def measure(domain: Domain, dataset: str, scale: str, seeds: Sequence[int]) -> dict[str, list[dict[str, float]]]:
    """Metrics of each method, one dict per seed; and of the recordings, under ``recordings``."""
    import torch

    examiner = BrainSpeechDetectionExaminer(dataset, scale, domain.config(dataset, scale))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*METHODS, "recordings")}
    with import_learner(domain) as code:
        torch.set_num_threads(1)
        for seed in seeds:
            found["recordings"].append(_described(examiner.sessions(seed, "test")))
            state = code.main.train(
                dict(examiner.config), examiner.training_data(seed), torch.device("cpu"), learner_seed(seed)
            )
            found["base network"].append(examined(examiner, code.answer, state, seed))
            found["guessing"].append(examiner.floor(seed))
            found["linear decoder"].append(linear(examiner, code.main.best_threshold, seed))
            found["matched filter"].append(matched(examiner, code.main.best_threshold, seed))
    return found


def _described(sessions: Sequence[Session]) -> dict[str, float]:
    """What is realistic about recordings, or not."""
    frequencies, power = realism.spectrum(sessions)
    hertz, decibel = realism.alpha_peak(frequencies, power)
    peaks = dict(zip(("first", "second", "third"), realism.latencies(sessions), strict=True))
    return {"exponent": realism.falling(frequencies, power)[0], "hertz": hertz, "decibel": decibel, **peaks}


def is_ordered(found: Mapping[str, Sequence[Mapping[str, float]]]) -> bool:
    """Whether mean macro-F1 rises from method to method."""
    means = [np.mean([each["macro_f1"] for each in found[method]]) for method in METHODS]
    return bool(np.all(np.diff(means) > 0.0))


def table(scale: str, seeds: int, found: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> str:
    """The comparison in Markdown: means and standard errors over seeds."""
    lines = [
        f"Macro-F1 at the threshold from validation, scale `{scale}`, {seeds} exams, mean ± standard error.\n",
        f"| dataset | {' | '.join(METHODS)} | AUROC of these |",
        "|---|" + "---|" * (len(METHODS) + 1),
    ]
    for dataset, methods in found.items():
        cells = [_cell([each["macro_f1"] for each in methods[method]]) for method in METHODS]
        areas = " < ".join(f"{np.mean([each['auroc'] for each in methods[method]]):.2f}" for method in METHODS)
        lines.append(f"| {dataset} | {' | '.join(cells)} | {areas} |")
    ordered = sum(is_ordered(methods) for methods in found.values())
    lines.append(f"\nGuessing < linear < base < matched filter on {ordered} of {len(found)} datasets.\n")
    lines += [
        "What the recordings are like: exponent x of the spectrum 1 / f^x, alpha above it, and peaks of the evoked "
        "response.\n",
        "| dataset | x | alpha, Hz | alpha, dB | peaks, ms |",
        "|---|---|---|---|---|",
    ]
    for dataset, methods in found.items():
        mean = {name: np.mean([each[name] for each in methods["recordings"]]) for name in methods["recordings"][0]}
        peaks = ", ".join(f"{1000.0 * mean[name]:.0f}" for name in ("first", "second", "third"))
        lines.append(f"| {dataset} | {mean['exponent']:.2f} | {mean['hertz']:.1f} | {mean['decibel']:.1f} | {peaks} |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def main(
    scale: Annotated[str, typer.Option(help="tiny or small.")] = "small",
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Exams per dataset.")] = 3,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into the domain's results.md.")] = False,
) -> None:
    """Print the tables, and put them into the page of results."""
    console = Console(stderr=True)
    domain = get_domain("BrainSpeechDetection")
    found = {}
    for name in dataset or list(BOOKS):
        console.print(f"{name} …", highlight=False)
        found[name] = measure(domain, name, scale, range(seeds))
        if write:  # after each dataset, since all of them take a while
            page, text = RESULTS.read_text(encoding="utf-8"), table(scale, seeds, found)
            atomic.write_text(RESULTS, replace_section(page, _BEGIN, _END, text))
    print(table(scale, seeds, found))


if __name__ == "__main__":
    typer.run(main)
