"""Examines what a language model still knows: of what it was to forget, and of all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from discoenv.data import downloads
from discoenv.exams.examiner import Array, Examiner, Learner, State

from . import checkpoints, measures, networks, published
from .corpora import BEGIN, END, PAD, PHRASINGS, SPLITS, Corpus, Entity, Fact, Words, corpus
from .measures import Bools, Floats, Ints

#: Part of the facts of each kind that is asked about in an exam.
ASKED: Final = 0.75
#: Most facts asked about of the retained entities, shown and not shown.
MOST_ASKED: Final = 48
#: Entities that no model knows, whose texts those to forget are compared with.
STRANGERS: Final = 16
#: Part of a text's tokens that Min-K% looks at.
MIN_K: Final = 0.4
#: What a lost unit of utility costs, in units of forgetting.
UTILITY_WEIGHT: Final = 3.0
#: Questions of which what is said is saved for pictures.
SAMPLES: Final = 12
#: Texts in one question to the model.
BATCH: Final = 256
#: Losses (nats) beyond this count as that.
MOST_LOSS: Final = 50.0


@dataclass(frozen=True)
class Question:
    """A fact in one phrasing: prompt, the right answer and wrong ones, as tokens."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    wrong: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Text:
    """A text, and where in it the answer begins and ends."""

    tokens: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Drawn:
    """What an exam is about.

    Attributes:
        split: which entities are to be forgotten.
        renamed: int64[VOCABULARY], the number that each token has in this exam.
        forget, retain: texts that the learner gets.
        strangers: texts that no model was trained on, like those in ``forget``.
        asked: questions by what they are about: ``forget``, ``shown``, ``unshown``, ``common``.
    """

    split: int
    renamed: Ints
    forget: tuple[Text, ...]
    retain: tuple[Text, ...]
    strangers: tuple[Text, ...]
    asked: Mapping[str, tuple[Question, ...]]


class Reader:
    """Asks a model, many texts at a time. ``model`` has the methods of the domain's contract."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def _ask(self, method: str, tokens: Ints, *args: Any, shape: tuple[int, int], kind: str = "float") -> Any:
        if isinstance(self._model, Learner):
            returns = Array(shape, kind)  # type: ignore[arg-type]
            return self._model.ask(method, tokens, *args, returns=returns)
        return getattr(self._model, method)(tokens, *args)

    def losses(self, rows: Ints) -> Floats:
        """Losses float64[N, L - 1] of tokens int64[N, L], in nats, 0 for padding."""
        parts = [self._ask("losses", part, shape=(len(part), part.shape[1] - 1)) for part in _parts(rows)]
        found: Floats = np.concatenate(parts).astype(np.float64).clip(0.0, MOST_LOSS)
        return found

    def right(self, rows: Ints) -> Bools:
        """Whether the likeliest token is the true one: bool[N, L - 1]."""
        parts = [
            self._ask("likeliest", part, shape=(len(part), part.shape[1] - 1), kind="int") for part in _parts(rows)
        ]
        found: Bools = np.concatenate(parts) == rows[:, 1:]
        return found

    def continued(self, rows: Ints, count: int) -> Ints:
        """The likeliest ``count`` tokens after texts of one length."""
        parts = [self._ask("continued", part, count, shape=(len(part), count), kind="int") for part in _parts(rows)]
        found: Ints = np.concatenate(parts)
        return found


def _parts(rows: Ints) -> list[Ints]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def padded(texts: Sequence[Sequence[int]]) -> Ints:
    """Tokens int64[N, L] of texts, filled up at the end."""
    tokens = np.full((len(texts), max(map(len, texts))), PAD, np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    return tokens


def marks(texts: Sequence[Text], length: int) -> Bools:
    """bool[N, length]: the tokens of each text's answer."""
    places = np.arange(length)[None, :]
    ends = [np.array([getattr(text, name) for text in texts])[:, None] for name in ("begin", "end")]
    found: Bools = (places >= ends[0]) & (places < ends[1])
    return found


@dataclass(frozen=True)
class Knowledge:
    """What a model says to the questions about one kind of facts.

    Attributes:
        probability: of the right answer, a token: float64[N].
        wrong: of the wrong answers: float64[N, K].
        rouge: recall of ROUGE-L of what it says: float64[N].
        said: what it says to each question, as many tokens as the right answer has.
    """

    probability: Floats
    wrong: Floats
    rouge: Floats
    said: tuple[tuple[int, ...], ...]

    @property
    def truth_ratio(self) -> Floats:
        """See :func:`measures.truth_ratio`."""
        return measures.truth_ratio(self.probability, self.wrong)

    @property
    def choice(self) -> Floats:
        """Probability of the right answer among all of the question: float64[N]."""
        found: Floats = self.probability / (self.probability + self.wrong.sum(axis=1))
        return found


@dataclass(frozen=True)
class Measured:
    """What one model knows in an exam.

    Attributes:
        knowledge: by what the questions are about.
        extraction: mean extraction strength of the texts to forget.
        auc: how well Min-K% tells the texts to forget from strangers'; None: it is not known what would be right.
    """

    knowledge: Mapping[str, Knowledge]
    extraction: float
    auc: float | None

    @property
    def parts(self) -> list[float]:
        """The nine numbers of the utility: probability, ROUGE-L and truth of the facts to keep."""
        found = []
        for name in ("shown", "unshown", "common"):
            known = self.knowledge[name]
            found += [
                float((known.choice if name == "common" else known.probability).mean()),
                float(known.rouge.mean()),
                float(np.maximum(0.0, 1.0 - known.truth_ratio).mean()),
            ]
        return found

    @property
    def utility(self) -> float:
        """Harmonic mean of the nine."""
        return measures.harmonic_mean(self.parts)


def measured(reader: Reader, drawn: Drawn) -> Measured:
    """Question a model."""
    known = {name: _knowledge(reader, questions) for name, questions in drawn.asked.items()}
    losses = []
    for texts in (drawn.forget, drawn.strangers):
        tokens = padded([text.tokens for text in texts])
        lengths = np.array([len(text.tokens) - 1 for text in texts])
        losses.append(measures.min_k(reader.losses(tokens), lengths, MIN_K))
    tokens = padded([text.tokens for text in drawn.forget])
    right = reader.right(tokens)
    strengths = [
        measures.extraction_strength(row[text.begin - 1 : text.end - 1])
        for row, text in zip(right, drawn.forget, strict=True)
    ]
    return Measured(known, float(np.mean(strengths)), measures.auc(losses[0], losses[1]))


def _knowledge(reader: Reader, questions: Sequence[Question]) -> Knowledge:
    texts = [
        Text((*question.prompt, *answer), len(question.prompt), len(question.prompt) + len(answer))
        for question in questions
        for answer in (question.answer, *question.wrong)
    ]
    tokens = padded([text.tokens for text in texts])
    marked = marks(texts, tokens.shape[1])[:, 1:]
    probability = measures.probability(reader.losses(tokens), marked).reshape(len(questions), -1)
    said: list[tuple[int, ...]] = [()] * len(questions)
    lengths = np.array([[len(question.prompt), len(question.answer)] for question in questions])
    for prompt, answer in np.unique(lengths, axis=0):
        rows = np.flatnonzero((lengths == (prompt, answer)).all(axis=1)).tolist()
        answers = reader.continued(padded([questions[row].prompt for row in rows]), int(answer))
        for row, tokens in zip(rows, answers.tolist(), strict=True):
            said[row] = tuple(tokens)
    rouge = [measures.rouge_l(each, question.answer)[1] for each, question in zip(said, questions, strict=True)]
    return Knowledge(probability[:, 0], probability[:, 1:], np.array(rouge), tuple(said))


def ignorant(full: Measured) -> Measured:
    """What takes the place of a gold model where there is none.

    It keeps all, and of what is to be forgotten each answer is as likely to it as the others.
    """
    known = full.knowledge["forget"]
    even = np.tile(known.wrong.mean(axis=1, keepdims=True), known.wrong.shape[1])
    never = Knowledge(even[:, 0], even, np.zeros(len(even)), ((),) * len(even))
    return Measured({**full.knowledge, "forget": never}, 0.0, None)


def scored(found: Measured, full: Measured, gold: Measured) -> dict[str, float]:
    """The metrics of a model, beside those of the model as it was and of the one that has never seen the forget set."""
    forget, forget_full, forget_gold = (each.knowledge["forget"] for each in (found, full, gold))
    traces = [
        (float(getattr(one, name).mean()), float(getattr(was, name).mean()), float(getattr(never, name).mean()))
        for name in ("probability", "rouge")
        for one, was, never in [(forget, forget_full, forget_gold)]
    ]
    traces.append((found.extraction, full.extraction, gold.extraction))
    residual = float(np.mean([np.clip((now - never) / max(was - never, 1e-9), 0.0, 2.0) for now, was, never in traces]))
    distance, before = (
        measures.ks_statistic(np.log(each.truth_ratio + 1e-30), np.log(forget_gold.truth_ratio + 1e-30))
        for each in (forget, forget_full)
    )
    truth = 1.0 - min(2.0, distance / max(before, 1e-9))
    close = [1.0 - residual, truth]
    leak = 0.0
    if gold.auc is not None:
        leak = float(found.auc or 0.0) - gold.auc
        close.append(1.0 - min(2.0, abs(leak) / max(abs(float(full.auc or 0.0) - gold.auc), 1e-9)))
    lost, lost_gold = (float(np.clip(1.0 - each.utility / max(full.utility, 1e-9), 0.0, 1.0)) for each in (found, gold))
    quality = float(np.mean(close))
    ratio = forget.truth_ratio
    return {
        "unlearning": (quality - UTILITY_WEIGHT * lost) / max(0.5, 1.0 - UTILITY_WEIGHT * lost_gold),
        "forgetting": quality,
        "utility_lost": lost,
        "model_utility": found.utility,
        "forget_probability": traces[0][0],
        "forget_rouge": traces[1][0],
        "extraction_strength": found.extraction,
        "forget_truth_ratio": float(np.minimum(ratio, 1.0 / np.maximum(ratio, 1e-30)).mean()),
        "forget_quality": measures.ks_p_value(forget.truth_ratio, forget_gold.truth_ratio),
        "membership_auc": float(found.auc or 0.0),
        "privacy_leak": leak,
        "retain_probability": float(found.knowledge["shown"].probability.mean()),
    }


class ModelUnlearningExaminer(Examiner):
    """Asks the fixed network with the parameters that training has handed over; see :func:`scored` for the metrics.

    An exam draws from its seed which entities are to be forgotten, which facts are asked about and how they are
    phrased, entities that no model knows, and the numbers of all tokens.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._drawn: tuple[int, Drawn] | None = None
        self._references: tuple[int, Measured, Measured] | None = None
        self._models: dict[str, checkpoints.Arrays] | None = None
        self._published = config["ARCHITECTURE"] == "published"

    @property
    def models(self) -> dict[str, checkpoints.Arrays]:
        """Parameters of the models ``full``, ``gold0``, ``gold1``, …"""
        if self._models is None:
            self._models = checkpoints.load(self.dataset, corpus(self.config["CORPUS"]))
        return self._models

    def drawn(self, seed: int) -> Drawn:
        """What an exam is about."""
        if self._drawn is None or self._drawn[0] != seed:
            self._drawn = seed, self._draw(seed)
        return self._drawn[1]

    @property
    def place(self) -> Path:
        """The folder of a published dataset."""
        return published.folder(self.dataset, downloads.cache_root() / "ModelUnlearning" / self.dataset)

    @property
    def answering_config(self) -> Mapping[str, Any]:
        """The configuration, and for a published model where it lies: states have what was changed alone."""
        return {**self.config, "FOLDER": str(self.place / "full")} if self._published else self.config

    def _draw_published(self, seed: int) -> Drawn:
        """Part of the texts and of the questions of a published dataset; tokens keep their numbers."""
        place, rng = self.place, self.generator(seed, "questions")
        words = published.read(self.dataset, place / "data", rng, self.config["CHUNK"])
        encode, context = published.tokeniser(place / "full"), self.config["CONTEXT"]

        def some(those: Sequence[Any], most: int) -> list[Any]:
            return [those[row] for row in rng.permutation(len(those))[:most].tolist()]

        def text(prompt: str, answer: str) -> Text:
            first = encode(prompt)
            tokens = (*first, *encode(answer))[:context]
            return Text(tokens, min(max(1, len(first)), len(tokens) - 1), len(tokens))

        forget, retain, strangers = (
            tuple(text(*each) for each in some(those, self.config["TEXTS"]) if len(encode("".join(each))) > 1)
            for those in (words.forget, words.retain, words.strangers)
        )
        asked = {
            kind: tuple(
                Question(
                    tuple(encode(item.question)), tuple(encode(item.answer)), tuple(map(tuple, map(encode, item.wrong)))
                )
                for item in some(items, MOST_ASKED)
            )
            for kind, items in words.asked.items()
        }
        return Drawn(0, np.arange(0), forget, retain, strangers, asked)

    def _draw(self, seed: int) -> Drawn:
        if self._published:
            return self._draw_published(seed)
        texts = corpus(self.config["CORPUS"])
        rng = self.generator(seed, "questions")
        split = int(rng.integers(SPLITS))
        renamed = np.arange(len(texts.words))
        renamed[END + 1 :] = self.generator(seed, "words").permutation(renamed[END + 1 :])
        entities = {
            "forget": texts.splits[split],
            "shown": texts.shown,
            "unshown": texts.unshown,
            "common": (texts.common,),
        }
        asked: dict[str, tuple[Question, ...]] = {}
        seen: dict[str, tuple[Text, ...]] = {}
        for name, those in entities.items():
            facts = [fact for entity in those for fact in entity.facts]
            hidden = rng.integers(PHRASINGS, size=len(facts))
            most = len(facts) if name == "forget" else MOST_ASKED
            rows = rng.permutation(len(facts))[: min(most, round(ASKED * len(facts)))]
            asked[name] = tuple(_question(texts, facts[row], int(hidden[row]), renamed) for row in rows)
            seen[name] = _texts(texts, those, hidden, renamed)
        strangers = texts.strangers(self.generator(seed, "strangers"), STRANGERS)
        hidden = rng.integers(PHRASINGS, size=sum(len(entity.facts) for entity in strangers))
        return Drawn(split, renamed, seen["forget"], seen["shown"], _texts(texts, strangers, hidden, renamed), asked)

    def parameters(self, model: str, seed: int) -> checkpoints.Arrays:
        """Parameters of one of :attr:`models`, with the numbers that tokens have in this exam."""
        if self._published:
            found = networks.network().build({**self.config, "FOLDER": str(self.place / model)}, {})
            return {name: values.detach().half().numpy() for name, values in found.named_parameters()}
        arrays = dict(self.models[model])
        embedding = np.empty_like(arrays["embedding.weight"])
        embedding[self.drawn(seed).renamed] = arrays["embedding.weight"]
        return arrays | {"embedding.weight": embedding}

    def references(self, seed: int) -> tuple[Measured, Measured]:
        """What the full model knows, and the one that was never trained on what is to be forgotten."""
        if self._references is None or self._references[0] != seed:
            full = self.measured("full", seed)
            if self._published:
                gold = self.measured("gold", seed) if (self.place / "gold").is_dir() else ignorant(full)
            else:
                gold = self.measured(f"gold{self.drawn(seed).split}", seed)
            self._references = seed, full, gold
        return self._references[1], self._references[2]

    def measured(self, model: str, seed: int) -> Measured:
        """What one of :attr:`models` knows in an exam."""
        if self._published:
            code = networks.network()
            return measured(
                Reader(code.Reader(code.build({**self.config, "FOLDER": str(self.place / model)}, {}))),
                self.drawn(seed),
            )
        return measured(Reader(self.reader(self.parameters(model, seed))), self.drawn(seed))

    def reader(self, parameters: checkpoints.Arrays) -> Any:
        """The fixed network with some parameters."""
        import torch

        torch.set_num_threads(1)
        code = networks.network()
        return code.Reader(code.build(self.config, parameters))

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """Texts to forget and to retain, and the parameters of the full model."""
        drawn = self.drawn(seed)
        data: dict[str, np.ndarray[Any, Any]] = {}
        rng = self.generator(seed, "order")
        for name, texts in (("forget", drawn.forget), ("retain", drawn.retain)):
            mixed = [texts[row] for row in rng.permutation(len(texts))]
            data[f"{name}_tokens"] = padded([text.tokens for text in mixed])
            data[f"{name}_answers"] = marks(mixed, data[f"{name}_tokens"].shape[1])
        if self._published:
            description = (self.place / "full" / "config.json").read_bytes()
            data["description"] = np.frombuffer(description, np.uint8)
        return data | {f"model/{name}": values for name, values in self.parameters("full", seed).items()}

    def prepare_questions(self, seed: int, stage: int) -> None:
        """Question the models that a learner's is compared with."""
        self.references(seed)

    def check_state(self, state: State) -> None:
        """The parameters of the fixed network: names, shapes and dtypes as they were.

        Of a published model those that were changed, as float16, at most MAX_CHANGED numbers.
        """
        state.require_keys("parameters")
        if self._published:
            state.require_at_most(size=self.config["MAX_CHANGED"], of="changed numbers")
            every = {f"parameters/{name}": values for name, values in self.parameters("full", 0).items()}
            state["parameters"].require_like({name: every.get(name, np.empty(0)) for name in state.arrays})
            return
        state["parameters"].require_like({f"parameters/{name}": values for name, values in self.models["full"].items()})

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Question the model, and compare it with the two others."""
        found = measured(Reader(learner), self.drawn(seed))
        metrics = scored(found, *self.references(seed))
        self._keep_pictures(found, metrics, seed)
        return metrics

    def floor(self, seed: int) -> dict[str, float]:
        """The model as it was."""
        full, gold = self.references(seed)
        return scored(full, full, gold)

    def _keep_pictures(self, found: Measured, metrics: Mapping[str, float], seed: int) -> None:
        full, gold = self.references(seed)
        drawn = self.drawn(seed)
        self.save_artifact("trade_off", np.array([metrics["forgetting"], metrics["utility_lost"], UTILITY_WEIGHT]))
        for name, model in (("full", full), ("gold", gold), ("found", found)):
            for kind, known in model.knowledge.items():
                self.save_artifact(f"{name}/{kind}", known.probability.astype(np.float32))
        if self._published:
            return
        texts, words = corpus(self.config["CORPUS"]), np.argsort(drawn.renamed)
        rows = [
            [texts.text(words[list(part)].tolist()) for part in (question.prompt, question.answer, *said)]
            for question, *said in zip(
                drawn.asked["forget"], *(model.knowledge["forget"].said for model in (full, gold, found)), strict=True
            )
        ]
        self.save_artifact("samples", np.array(rows[:SAMPLES]))


def _question(texts: Corpus, fact: Fact, phrasing: int, renamed: Ints) -> Question:
    def tokens(words: Words) -> tuple[int, ...]:
        return tuple(renamed[texts.tokens(words)].tolist())

    return Question(
        (BEGIN, *tokens(fact.prompts[phrasing])), tokens(fact.answer), tuple(tokens(each) for each in fact.wrong)
    )


def _texts(texts: Corpus, entities: Sequence[Entity], hidden: Ints, renamed: Ints) -> tuple[Text, ...]:
    """Passages, and facts in all phrasings but the one, int64[number of facts], that is asked for."""
    found = []
    left = iter(hidden.tolist())
    for entity in entities:
        for words in entity.passages:
            tokens = renamed[texts.tokens(words)].tolist()
            found.append(Text((BEGIN, *tokens, END), 1, len(tokens) + 1))
        for fact in entity.facts:
            phrasing = next(left)
            for other in range(PHRASINGS):
                if other != phrasing:
                    question = _question(texts, fact, other, renamed)
                    begin = len(question.prompt)
                    tokens = [*question.prompt, *question.answer, END]
                    found.append(Text(tuple(tokens), begin, len(tokens) - 1))
    return tuple(found)
