"""Examines detectors of speech: shows them windows of sessions that are held out, and compares with what was heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.data.generated.exact import FastDraws
from discoenv.exams.examiner import Array, Examiner, Learner, RuleBroken, State

from . import libribrain
from .books import BOOKS
from .forward import flat
from .metrics import Labels, metrics
from .recordings import WINDOW, Halves, Listener, Session, listener, record
from .speech import RATE

Floats = np.ndarray[Any, np.dtype[np.float64]]
#: Windows float16[N, SENSORS, SAMPLES] in pT, their labels, and the number of the session of each.
Windows = tuple[Halves, Labels, Labels]

#: Fewest and most windows of a question, if a learner answers; and the part of them that has been shown before.
LEAST_QUESTION, MOST_QUESTION = 32, 64
AGAIN = 0.25
#: By how much two probabilities of the same window may differ.
TOLERANCE = 0.01
#: Part of the numbers of every other window that is shown again which are changed by their last bit, so that it cannot
#: be recognised by its bytes; and by how much half of those answers may differ.
TOUCHED, TOUCHED_TOLERANCE = 0.1, 0.02
#: Part of the answers to the same windows that may lie on the other side of the threshold: those that lie on it. The
#: tolerance alone would let a learner adapt whose probabilities are all alike.
OTHER_SIDE = 0.01
_RULE = "they must depend on that window alone, and be neither random nor learned from what was shown before"
#: How many sessions there are of each part.
_SESSIONS = {"train": "TRAIN_SESSIONS", "validation": "VALIDATION_SESSIONS", "test": "EXAM_SESSIONS"}
#: Seconds before and after the onset of a phrase that evoked responses show, and the silence that has to precede it.
_BEFORE, _AFTER, _QUIET = 0.2, 0.6, 0.4


class BrainSpeechDetectionExaminer(Examiner):
    """Asks for ``probabilities(windows)`` of all windows of the sessions that are held out.

    The head of the listener, and every session, are drawn from the exam's seed; of the published recordings, windows of
    a held-out session with other beginnings, gains and noise in each exam.

    A learner is asked about few windows at a time, in random order. A part of them it has seen before, in other
    company; and its witness is asked about some of them alone: what is said of a window may not depend on other ones.
    Metrics, see :func:`.metrics.metrics`: ``macro_f1`` at the threshold that was handed over, and others.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._drawn: tuple[int, dict[str, list[Session]]] = -1, {}

    def sessions(self, seed: int, part: str) -> list[Session]:
        """Recordings of ``train``, ``validation`` or ``test`` of a procedural book."""
        if self._drawn[0] != seed:
            self._drawn = seed, {}
        if part not in self._drawn[1]:
            book, (root, head) = BOOKS[self.config["BOOK"]], self.head(seed)
            draws = [root.part(part, number) for number in range(self.config[_SESSIONS[part]])]
            self._drawn[1][part] = record(book, head, draws, WINDOW * self.config["WINDOWS"])
        return self._drawn[1][part]

    def head(self, seed: int) -> tuple[FastDraws, Listener]:
        """What draws the recordings of an exam, and the head of its listener."""
        root = FastDraws("brain speech", self.dataset, int(self.generator(seed, "recordings").integers(2**63)))
        return root, listener(BOOKS[self.config["BOOK"]], root.part("listener"))

    def windows(self, seed: int, part: str) -> Windows:
        """All windows of a part, session by session."""
        if self.config["BOOK"] not in BOOKS:
            return self._published(seed, part)
        cut = [session.windows() for session in self.sessions(seed, part)]
        numbers = np.repeat(np.arange(len(cut)), [len(labels) for _, labels in cut])
        return np.concatenate([each for each, _ in cut]), np.concatenate([labels for _, labels in cut]), numbers

    def _published(self, seed: int, part: str) -> Windows:
        """Windows of published sessions; the held-out ones begin elsewhere in each exam, and are changed a little."""
        generator = self.generator(seed, f"published, {part}")
        runs = libribrain.runs(self.config["BOOK"])[part]
        start = int(generator.integers(self.config["SAMPLES"])) if part == "test" else 0
        windows, labels, numbers = libribrain.read(self.config["BOOK"], runs, start)
        most = self.config["WINDOWS"]
        if most is not None:  # of each session
            parts = [np.flatnonzero(numbers == session) for session, _ in runs]
            kept = [np.sort(generator.permutation(rows)[:most]) for rows in parts]
            windows, labels, numbers = (values[np.concatenate(kept)] for values in (windows, labels, numbers))
        if part == "test":
            gains = 1.0 + 0.02 * generator.standard_normal((1, windows.shape[1], 1))
            noise = 0.02 * windows.std(axis=(0, 2), keepdims=True, dtype=np.float64)
            for row, window in enumerate(windows):  # one by one: a session is large
                windows[row] = window * gains[0] + noise[0] * generator.standard_normal(window.shape)
        return windows, labels, numbers

    def prepare_questions(self, seed: int, stage: int) -> None:
        """Record the sessions that will be asked about."""
        if self.config["BOOK"] in BOOKS:
            self.sessions(seed, "test")

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """Windows with labels and sessions, to train on and for validation."""
        data: dict[str, np.ndarray[Any, Any]] = {}
        for part in ("train", "validation"):
            windows, labels, numbers = self.windows(seed, part)
            data |= {f"{part}_windows": windows, f"{part}_labels": labels, f"{part}_sessions": numbers}
        return data

    def check_state(self, state: State) -> None:
        """A network, what preprocessing knows, few numbers each, and one threshold."""
        tree = dict(state.tree)
        fitted = tree.pop("preprocess", None)
        if fitted != {}:  # what is not fitted has no arrays
            state["preprocess"].require_at_most(size=self.config["MAX_FITTED"], of="numbers of preprocessing")
        State(tree, {}).require_keys("model", "threshold")
        state["model"].require_at_most(size=self.config["MAX_PARAMETERS"], of="parameters and buffers")
        threshold = state.arrays.get("threshold")
        if threshold is None or threshold.shape != () or not 0.0 <= float(threshold) <= 1.0:
            raise RuleBroken("state 'threshold' must be one number from 0 to 1: windows from there on count as speech")

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Show all held-out windows; to a learner, some of them several times."""
        windows, labels, _ = self.windows(seed, "test")
        threshold = float(learner.state.arrays["threshold"])
        if learner.code is None:
            found = self._questions(learner, windows, threshold, self.generator(seed, "questions"))
        else:  # our own code says of each window what it would say of it alone
            batch = self.config["EXAM_BATCH"]
            parts = [self._ask(learner, windows[start : start + batch]) for start in range(0, len(labels), batch)]
            found = np.concatenate(parts)
        self._keep_pictures(seed, found, labels, threshold)
        return metrics(found, labels, threshold) | {"parameter_count": float(learner.state["model"].size)}

    def floor(self, seed: int) -> dict[str, float]:
        """Calls at random as many windows speech as are in training, whatever it is shown."""
        _, train, _ = self.windows(seed, "train")
        _, labels, _ = self.windows(seed, "test")
        chance = self.generator(seed, "floor").random(len(labels))
        return metrics(chance, labels, 1.0 - float(train.mean())) | {"parameter_count": 0.0}

    def _questions(self, learner: Learner, windows: Halves, threshold: float, generator: np.random.Generator) -> Floats:
        """Probabilities of all windows as they were first said of each."""
        order = generator.permutation(len(windows))
        found, shown = np.zeros(len(windows)), 0
        touched: list[float] = []
        crossed: list[bool] = []
        while shown < len(windows):
            size = int(generator.integers(LEAST_QUESTION, MOST_QUESTION, endpoint=True))
            again = generator.choice(order[:shown], min(shown, int(AGAIN * size)), replace=False)
            new = order[shown : shown + size - len(again)]
            asked, plain = windows[np.concatenate([new, again])], len(new) + len(again) // 2
            bits = asked[plain:].view(np.uint16)
            bits ^= (generator.random(bits.shape) < TOUCHED).astype(np.uint16)
            mixed = generator.permutation(len(asked))
            answers = np.empty(len(asked))
            answers[mixed] = self._ask(learner, asked[mixed])
            found[new] = answers[: len(new)]
            before, after = found[again], answers[len(new) :]
            same = slice(plain - len(new))
            if (np.abs(after - before)[same] > TOLERANCE).any():
                raise RuleBroken(f"the probability of a window changed when it was shown again: {_RULE}")
            crossed += _crossed(after[same], before[same], threshold)
            touched += np.abs(after - before)[plain - len(new) :].tolist()
            shown += len(new)
        if _too_many(crossed):
            raise RuleBroken(f"windows fell on the other side of the threshold when they were shown again: {_RULE}")
        if touched and np.median(touched) > TOUCHED_TOLERANCE:
            raise RuleBroken(
                "the probabilities of windows changed when they were shown again with another last bit in some "
                f"numbers: {_RULE}"
            )
        if learner.witness is not None:
            self._compare(learner.witness, windows, found, threshold, generator)
        return found

    def _compare(
        self, witness: Learner, windows: Halves, found: Floats, threshold: float, generator: np.random.Generator
    ) -> None:
        """Ask a second learner about a part of the windows: it has not seen the others, and must say the same."""
        rows = generator.choice(len(windows), int(AGAIN * len(windows)), replace=False)
        crossed: list[bool] = []
        for part in np.split(rows, range(MOST_QUESTION, len(rows), MOST_QUESTION)):
            answers = self._ask(witness, windows[part])
            crossed += _crossed(answers, found[part], threshold)
            if (np.abs(answers - found[part]) > TOLERANCE).any():
                raise RuleBroken(f"a learner that was shown other windows says something else of the same one: {_RULE}")
        if _too_many(crossed):
            raise RuleBroken(f"a learner that was shown other windows decides otherwise on the same ones: {_RULE}")

    def _ask(self, learner: Learner, windows: Halves) -> Floats:
        returns = Array((len(windows),), "float", low=0.0, high=1.0)
        answers: Floats = learner.ask("probabilities", windows.astype(np.float32), returns=returns)
        return answers

    def _keep_pictures(self, seed: int, found: Floats, labels: Labels, threshold: float) -> None:
        self.save_artifact("probabilities", found.astype(np.float32))
        self.save_artifact("labels", labels.astype(np.uint8))
        self.save_artifact("threshold", np.array(threshold))
        if self.config["BOOK"] in BOOKS:
            self.save_artifact("evoked", evoked(self.sessions(seed, "test")).astype(np.float32))
            self.save_artifact("sensors", flat().astype(np.float32))


def _crossed(after: Floats, before: Floats, threshold: float) -> list[bool]:
    """Which windows are speech by one answer, and not by the other."""
    crossed: list[bool] = ((after >= threshold) != (before >= threshold)).tolist()
    return crossed


def _too_many(crossed: list[bool]) -> bool:
    """Whether more windows change sides than where probabilities may happen to lie on the threshold."""
    return sum(crossed) > OTHER_SIDE * len(crossed)


def evoked(sessions: list[Session]) -> Floats:
    """Mean field around onsets of phrases after at least ``_QUIET`` s of silence, float64[SENSORS, 80], pT.

    It begins ``_BEFORE`` s before the onset; the mean over that time is subtracted.
    """
    before, after = round(_BEFORE * RATE), round(_AFTER * RATE)
    total, count = np.zeros((sessions[0].signals.shape[0], before + after)), 0
    for session in sessions:
        line = session.timeline
        for onset in line.onsets[line.pauses >= _QUIET]:
            if before <= onset <= session.signals.shape[1] - after:
                total += session.signals[:, onset - before : onset + after]
                count += 1
    mean = total / max(1, count)
    baseline: Floats = mean - mean[:, :before].mean(axis=1, keepdims=True)
    return baseline
