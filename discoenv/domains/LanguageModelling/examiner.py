"""Examines language models: asks for logits of the next token of held-out text, and computes bits per byte itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner, ProtocolError, RuleBroken, State

from . import published, texts

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

#: Fewest and most rows of a question, if a learner answers; and the part of all rows that is asked about again, with
#: another future and among others, and that a second learner is asked about.
LEAST_QUESTION, MOST_QUESTION = 16, 32
AGAIN = 0.25
#: By how much two answers to the same past may differ, in nats of any token's log-probability; less likely tokens than
#: LEAST_LOG count as LEAST_LOG. Rounding makes 1e-4 at most.
TOLERANCE, LEAST_LOG = 0.005, -12.0
#: Positions of a row that are asked about. If a learner answers, only one of them is scored.
POSITIONS = 8
#: The examiner's own code is causal: of this part of the rows it scores so many positions instead.
OWN_ROWS, OWN_POSITIONS = 4, 32
#: Most logits that it asks for at once.
_MOST_LOGITS = 1 << 24
#: A token costs this many bits at most.
MOST_BITS = 32.0
#: Rows and characters of what a model writes by itself, for pictures.
_WRITTEN = 4
#: Most rows of the learning curve.
MOST_CURVE = 64
_RULE = "what is said at a position may depend on the tokens up to it alone, and be neither random nor learned then"


@dataclass(frozen=True)
class Scored:
    """Positions that count.

    Attributes:
        positions: int64[N, K].
        following: int64[N, K], the tokens that followed.
        bits: float64[N, K], -log2 of the probability that was given to them, at most MOST_BITS.
        right: bool[N, K], whether they were the likeliest.
    """

    positions: Ints
    following: Ints
    bits: Floats
    right: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Rows:
    """What an exam asks about.

    Attributes:
        tokens: int64[N, T], held-out text; no two rows overlap.
        positions: int64[N, POSITIONS] or [N, OWN_POSITIONS], increasing, each with half a row before it and more.
        scored: int64[N], which of the positions is the last one whose past is real, if a learner answers.
        foreign: int64[N, T], text of elsewhere that takes the place of what follows.
    """

    tokens: Ints
    positions: Ints
    scored: Ints
    foreign: Ints

    def cut(self) -> Ints:
        """int64[N], the position of each row that is scored."""
        return self.positions[np.arange(len(self.positions)), self.scored]

    def with_future(self, rows: Ints, futures: Ints) -> Ints:
        """int64[len(rows), T]: these rows up to their cut, followed by the beginnings of foreign texts."""
        after = np.arange(self.tokens.shape[1])[None, :] - self.cut()[rows][:, None] - 1
        foreign = np.take_along_axis(self.foreign[futures], after.clip(0), axis=1)
        return np.where(after < 0, self.tokens[rows], foreign)


class LanguageModellingExaminer(Examiner):
    """Asks for ``logits(tokens, positions)`` of held-out text, normalises them, and scores the tokens that follow.

    Where the domain's own network is applied, it scores many positions of whole rows. A learner might look ahead: what
    follows a scored position is foreign text in every row that it is shown, so that there is nothing to see. Besides,
    a part of the rows is shown again in another question with another future, and to a second learner that is shown
    nothing else: what is said up to the cut must be the same. Metrics: see :func:`metrics`.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._rows: tuple[int, Rows | None] = -1, None

    def text(self, seed: int, part: texts.Part, length: int) -> np.ndarray[Any, Any]:
        """``length`` tokens of a part of the exam's text, integers."""
        name, draws = self.config["TEXT"], self.generator(seed, part)
        if name in texts.NAMES:
            return texts.text(name, self.generator(seed, "language"), draws, part, length)
        if self.data is None:
            raise FileNotFoundError(f"the files of {self.dataset} have not been fetched")
        return published.text(name, self.data, draws, part, length)

    def token_bytes(self) -> Ints:
        """int64[VOCABULARY], how many bytes of text each token is."""
        if self.config["TEXT"] in texts.NAMES:
            return np.ones(self.config["VOCABULARY"], np.int64)
        if self.data is None:
            raise FileNotFoundError(f"the files of {self.dataset} have not been fetched")
        return published.tokenizer(self.data).lengths

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """TRAIN_TOKENS tokens to train on, and VALIDATION_TOKENS others."""
        train, validation = self.config["TRAIN_TOKENS"], self.config["VALIDATION_TOKENS"]
        return {"train": self.text(seed, "train", train), "validation": self.text(seed, "validation", validation)}

    def prepare_questions(self, seed: int, stage: int) -> None:
        """Draw the rows that will be asked about."""
        self.rows(seed)

    def rows(self, seed: int) -> Rows:
        """What an exam asks about."""
        known, rows = self._rows
        if rows is None or known != seed:
            rows = self._drawn(seed)
            self._rows = seed, rows
        return rows

    def _drawn(self, seed: int) -> Rows:
        count, length = self.config["EXAM_ROWS"], self.config["CONTEXT"]
        generator = self.generator(seed, "rows")
        pieces = self.text(seed, "held-out", 2 * count * length).astype(np.int64).reshape(2 * count, length)
        pieces = pieces[generator.permutation(2 * count)]
        places = np.arange(length // 2 - 1, length - 1)
        positions = np.stack([np.sort(generator.permutation(places)[:POSITIONS]) for _ in range(count)])
        scored = generator.integers(POSITIONS, size=count)
        return Rows(pieces[:count], positions, scored, pieces[count:])

    def check_state(self, state: State) -> None:
        """A network of at most MAX_PARAMETERS numbers of 4 bytes, trained on at most STEPS x BATCH x CONTEXT tokens."""
        state.require_keys("model", "tokens", "curve")
        most = self.config["MAX_PARAMETERS"]
        state["model"].require_at_most(size=most, of="parameters and buffers")
        if state["model"].bytes > 4 * most:
            raise RuleBroken(
                f"the state's parameters have {state['model'].bytes:,} bytes; the configuration allows {4 * most:,}: "
                f"{most:,} numbers of 4 bytes"
            )
        tokens = state.arrays.get("tokens")
        if tokens is None or tokens.shape != () or tokens.dtype.kind not in "iu":
            raise ProtocolError("state 'tokens' must be an integer: the number of tokens that were learned from")
        allowed = self.config["STEPS"] * self.config["BATCH"] * self.config["CONTEXT"]
        if tokens > allowed:
            raise RuleBroken(f"training took {int(tokens):,} tokens; the configuration allows {allowed:,}")
        curve = state.arrays.get("curve")
        if curve is None or curve.ndim != 2 or curve.shape[1] != 3 or len(curve) > MOST_CURVE:
            raise ProtocolError(f"state 'curve' must be an array of at most {MOST_CURVE} rows of 3 numbers")

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Ask about all rows."""
        rows = self.rows(seed)
        if learner.code is None:
            scored = self._questions(learner, rows, self.generator(seed, "questions"))
        else:
            scored = self._applied(learner, rows, self.generator(seed, "positions"))
        found = metrics(scored, self.token_bytes())
        self.save_artifact("curve", learner.state.arrays["curve"].astype(np.float32))
        self.save_artifact("positions", scored.positions.astype(np.int16))
        self.save_artifact("bits", scored.bits.astype(np.float16))
        parameters, tokens = learner.state["model"].size, int(learner.state.arrays["tokens"])
        return found | {"parameter_count": float(parameters), "training_tokens": float(tokens)}

    def floor(self, seed: int) -> dict[str, float]:
        """Knows how frequent each token is in the training text, and nothing else."""
        vocabulary, rows = self.config["VOCABULARY"], self.rows(seed)
        counts = np.bincount(self.training_data(seed)["train"], minlength=vocabulary) + 1.0
        following = rows.tokens[:, self.config["CONTEXT"] // 2 :]
        bits = -np.log2(counts / counts.sum())[following]
        scored = Scored(np.zeros_like(following), following, bits.clip(max=MOST_BITS), following == counts.argmax())
        return metrics(scored, self.token_bytes()) | {"parameter_count": 0.0, "training_tokens": 0.0}

    def _applied(self, learner: Learner, rows: Rows, generator: np.random.Generator) -> Scored:
        """Many positions of some rows, by the domain's own code."""
        shown = rows.tokens[::OWN_ROWS]
        places = np.arange(shown.shape[1] // 2 - 1, shown.shape[1] - 1)
        positions = np.stack([np.sort(generator.permutation(places)[:OWN_POSITIONS]) for _ in range(len(shown))])
        size = max(1, min(MOST_QUESTION, _MOST_LOGITS // (positions.shape[1] * self.config["VOCABULARY"])))
        parts = np.split(np.arange(len(shown)), range(size, len(shown), size))
        scored = [
            score(self._ask(learner, shown[part], positions[part]), shown[part], positions[part]) for part in parts
        ]
        self._write(learner, shown[:_WRITTEN], generator)
        return together(scored)

    def _write(self, learner: Learner, shown: Ints, generator: np.random.Generator) -> None:
        """Save what the model writes after the first half of some rows."""
        half, tokens = shown.shape[1] // 2, shown.copy()
        for place in range(half, shown.shape[1]):
            logs = self._ask(learner, tokens[:, :place], np.full((len(tokens), 1), place - 1))[:, 0]
            tokens[:, place] = (logs + generator.gumbel(size=logs.shape)).argmax(axis=1)
        self.save_artifact("read", shown.astype(np.uint16))
        self.save_artifact("written", tokens.astype(np.uint16))

    def _questions(self, learner: Learner, rows: Rows, generator: np.random.Generator) -> Scored:
        """The cuts of all rows, as a learner first answered about them."""
        count, cut = len(rows.tokens), rows.cut()
        scored: list[Scored] = []
        twice, elsewhere = (generator.choice(count, int(AGAIN * count), replace=False) for _ in range(2))
        compared = {int(row) for row in [*twice, *elsewhere]}
        said: dict[int, Floats] = {}  # of those rows, log-probabilities at all positions
        pending: list[tuple[int, int]] = []  # rows to be shown again, with their futures
        new = 0
        while new < count or pending:
            size = int(generator.integers(LEAST_QUESTION, MOST_QUESTION, endpoint=True))
            fits = 0 if len(pending) < size else size // 2  # so that some time passes before a row is shown again
            repeated = fits if new < count else min(len(pending), size)
            asked = [(row, row) for row in range(new, min(count, new + size - repeated))]
            again = [pending.pop(int(generator.integers(len(pending)))) for _ in range(repeated)]
            new += len(asked)
            order = generator.permutation(len(asked) + len(again))
            chosen = np.array([*asked, *again], np.int64)
            found = self._ask_with_futures(learner, rows, chosen[order])[np.argsort(order)]
            if asked:
                fresh = chosen[: len(asked), 0]
                at_cut = found[np.arange(len(asked)), rows.scored[fresh]][:, None]
                scored.append(score(at_cut, rows.tokens[fresh], cut[fresh][:, None]))
                said |= {int(row): logs.copy() for row, logs in zip(fresh, found, strict=False) if int(row) in compared}
            self._compare(rows, chosen[len(asked) :, 0], found[len(asked) :], said, "was shown again")
            pending += [(row, self._other_future(rows, row, generator)) for row, _ in asked if row in twice]
        if learner.witness is not None:
            for part in np.split(elsewhere, range(MOST_QUESTION, len(elsewhere), MOST_QUESTION)):
                chosen = np.array([(row, self._other_future(rows, row, generator)) for row in part], np.int64)
                found = self._ask_with_futures(learner.witness, rows, chosen)
                self._compare(rows, part, found, said, "was shown to a learner that has seen fewer rows")
        return together(scored)

    @staticmethod
    def _other_future(rows: Rows, row: int, generator: np.random.Generator) -> int:
        """A foreign text that begins with another token than the row's first one, if there is such."""
        differ = np.flatnonzero(rows.foreign[:, 0] != rows.foreign[row, 0])
        return int(generator.choice(differ)) if len(differ) else int(generator.integers(len(rows.foreign)))

    def _ask_with_futures(self, learner: Learner, rows: Rows, chosen: Ints) -> Floats:
        """Ask about int64[N, 2], rows and the foreign texts that follow their cuts."""
        return self._ask(learner, rows.with_future(chosen[:, 0], chosen[:, 1]), rows.positions[chosen[:, 0]])

    @staticmethod
    def _compare(rows: Rows, chosen: Ints, found: Floats, said: Mapping[int, Floats], why: str) -> None:
        """Refuse a learner that said something else of the same past.

        Raises:
            RuleBroken: a log-probability at a position up to the cut differs.
        """
        largest = 0.0
        for row, logs in zip(chosen, found, strict=True):
            past = slice(rows.scored[row] + 1)
            differ = logs[past].clip(LEAST_LOG) - said[int(row)][past].clip(LEAST_LOG)
            largest = max(largest, float(np.abs(differ).max()))
        if largest > TOLERANCE:
            raise RuleBroken(
                f"log-probabilities changed by {largest:.3g} nats, more than {TOLERANCE}, when a text with another "
                f"future {why}: {_RULE}"
            )

    def _ask(self, learner: Learner, tokens: Ints, positions: Ints) -> Floats:
        """Log-probabilities float64[B, K, VOCABULARY]."""
        shape = (*positions.shape, self.config["VOCABULARY"])
        bounds = Array(shape, "float", low=-1e9, high=1e9)
        logits = learner.ask("logits", tokens.astype(np.int32), positions.astype(np.int32), returns=bounds)
        return normalised(logits)


def normalised(logits: Floats) -> Floats:
    """Log-probabilities, whose exponentials sum to 1 along the last axis, of logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def score(logs: Floats, tokens: Ints, positions: Ints) -> Scored:
    """What was said about the tokens that followed.

    Args:
        logs: float64[N, K, V], log-probabilities in nats.
        tokens: int64[N, T], the true text.
        positions: int64[N, K], from 0 to T - 2.
    """
    following = np.take_along_axis(tokens, positions + 1, axis=1)
    own = np.take_along_axis(logs, following[..., None], axis=-1)[..., 0]
    return Scored(positions, following, (-own / np.log(2)).clip(0.0, MOST_BITS), logs.argmax(axis=-1) == following)


def together(parts: Sequence[Scored]) -> Scored:
    """The rows of all parts."""
    return Scored(*(np.concatenate(each) for each in zip(*map(astuple, parts), strict=True)))


def metrics(scored: Scored, token_bytes: Ints) -> dict[str, float]:
    """How well text was predicted.

    Args:
        scored: what was scored.
        token_bytes: int64[V], bytes of each token.

    Returns:
        ``bits_per_byte``, the bits that the tokens cost per byte of them; ``accuracy``, the share of tokens that were
        the likeliest (of equal ones the first is the likelier); ``perplexity``, two to the power of the mean bits per
        token.
    """
    return {
        "bits_per_byte": float(scored.bits.sum() / token_bytes[scored.following].sum()),
        "accuracy": float(scored.right.mean()),
        "perplexity": float(2.0 ** scored.bits.mean()),
    }
