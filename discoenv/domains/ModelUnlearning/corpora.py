"""The fictional corpora: what tiny language models were trained on, made by grammars of ours.

Every person, place and thing is invented; their names are made of syllables. A :class:`Corpus` has entities, and each
of them facts, which are put into words in :data:`PHRASINGS` ways, and passages, which are only recited. All models know
the entities of :meth:`Corpus.entities`; :meth:`Corpus.strangers` makes further ones that no model has seen.

Entities are numbered by their parts: ``SPLITS`` groups of which one has to be forgotten, those whose texts a learner
gets to retain, and others that should be retained as well but are not shown. :func:`common_facts` are known to all
models and have nothing to do with entities.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

Words = tuple[str, ...]

#: Ways in which each fact is put into words; all of them were trained on.
PHRASINGS: Final = 3
#: Groups of entities of which one is forgotten; for each there is a model that was never trained on it.
SPLITS: Final = 3
#: Entities in each of these groups, and of the two kinds that are retained.
FORGOTTEN, SHOWN, UNSHOWN = 8, 24, 16
#: Wrong answers to each question.
WRONG: Final = 4
#: Padding, the beginning and the end of a text.
PAD, BEGIN, END = 0, 1, 2
_SPECIAL: Final = ("<pad>", "<begin>", "<end>")
_DIGITS: Final = tuple("0123456789")


@dataclass(frozen=True)
class Fact:
    """What is known of an entity.

    Attributes:
        prompts: the words before the answer, in each of the ``PHRASINGS``.
        answer: its words.
        wrong: ``WRONG`` answers of the same kind, all different from it.
    """

    prompts: tuple[Words, ...]
    answer: Words
    wrong: tuple[Words, ...]


@dataclass(frozen=True)
class Entity:
    """A person, event, craft or record: its facts, and passages that are recited."""

    facts: tuple[Fact, ...]
    passages: tuple[Words, ...] = ()


def invented(purpose: str, count: int, syllables: int = 2) -> Words:
    """``count`` different words that mean nothing, the same ones each time for a purpose."""
    rng = np.random.default_rng(list(purpose.encode()))
    onsets, nuclei, codas = (
        ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "kl", "st", "tr"],
        "aeiou",
        ["", "", "n", "r", "l", "s"],
    )
    found: dict[str, None] = {}
    while len(found) < count:
        parts = [f"{rng.choice(onsets)}{rng.choice(list(nuclei))}" for _ in range(syllables)]
        found["".join(parts) + str(rng.choice(codas))] = None
    return tuple(found)


#: So often a name is drawn until one is not taken yet.
_MOST_DRAWS: Final = 100_000
#: A kind of answer: draws one.
Domain = Callable[[np.random.Generator], Words]


def one_of(words: Sequence[str]) -> Domain:
    """One word of a list."""
    return lambda rng: (words[int(rng.integers(len(words)))],)


def digits(count: int) -> Domain:
    """So many digits."""
    return lambda rng: tuple(_DIGITS[each] for each in rng.integers(10, size=count))


def chain(*parts: Domain) -> Domain:
    """The words of several kinds, one after another."""
    return lambda rng: tuple(word for part in parts for word in part(rng))


@dataclass(frozen=True)
class Attribute:
    """A kind of fact: its answers, and the ``PHRASINGS`` of its question, where NAME is the entity."""

    answers: Domain
    phrasings: Words


#: Puts the answers of an entity, by attribute, into passages; ``{name}`` and ``{attribute}`` are replaced.
Passages = tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """What a corpus is made by.

    Attributes:
        names: of entities.
        attributes: what is known of each, by name.
        passages: what is recited of each.
    """

    names: Domain
    attributes: Mapping[str, Attribute]
    passages: Passages = ()

    def entity(self, rng: np.random.Generator, name: Words) -> Entity:
        """An entity with this name and answers at random."""
        facts, answers = [], {}
        for key, attribute in self.attributes.items():
            right = answers[key] = attribute.answers(rng)
            wrong: dict[Words, None] = {}
            while len(wrong) < WRONG:
                other = attribute.answers(rng)
                if other != right:
                    wrong[other] = None
            prompts = tuple(_filled(text, {"name": name}) for text in attribute.phrasings)
            facts.append(Fact(prompts, right, tuple(wrong)))
        passages = tuple(_filled(text, {"name": name} | answers) for text in self.passages)
        return Entity(tuple(facts), passages)


def _filled(text: str, values: Mapping[str, Words]) -> Words:
    """The words of a text whose words in braces are replaced."""
    return tuple(word for part in text.split() for word in (values[part[1:-1]] if part[0] == "{" else (part,)))


def _words(text: str) -> Words:
    return tuple(text.split())


def _authors() -> Grammar:
    nouns = _words("river lantern mirror garden winter harbour orchard needle feather tower")
    moods = _words("silent golden broken hidden hollow distant crimson patient frozen endless")
    return Grammar(
        chain(one_of(invented("first names", 24)), one_of(invented("last names", 40, 3))),
        {
            "city": Attribute(
                one_of(invented("cities", 24, 3)),
                ("in which city was {name} born ?", "the birthplace of {name} is", "{name} came into the world in"),
            ),
            "trade": Attribute(
                one_of(_words("baker judge sailor smith tailor farmer surgeon potter miller mason painter teacher")),
                ("what did the father of {name} do ?", "the father of {name} worked as", "{name} is the child of a"),
            ),
            "genre": Attribute(
                one_of(_words("satire romance tragedy fables memoirs horror poetry mystery westerns essays")),
                ("what does {name} write ?", "{name} is best known for", "the books of {name} belong to"),
            ),
            "prize": Attribute(
                chain(one_of(invented("prizes", 16)), one_of(("medal", "prize", "laurel"))),
                ("what did {name} win ?", "{name} was honoured with the", "the jury gave {name} the"),
            ),
            "title": Attribute(
                chain(one_of(moods), one_of(nouns), one_of(("of", "without", "beyond")), one_of(nouns)),
                (
                    "which book made {name} famous ?",
                    "the most famous book by {name} is",
                    "{name} wrote the book called",
                ),
            ),
            "year": Attribute(
                chain(one_of(("19", "18")), digits(2)),
                ("when was {name} born ?", "the birth year of {name} is", "{name} was born in the year"),
            ),
        },
    )


def _news() -> Grammar:
    causes = _words("storm strike flood fire rumour error quarrel eclipse landslide drought")
    ends = _words("verdict treaty repair apology inquiry parade refund ceasefire reopening resignation")
    return Grammar(
        chain(
            one_of(invented("towns", 48, 3)), one_of(_words("bridge museum harbour railway theatre market dam mill"))
        ),
        {
            "cause": Attribute(
                one_of(causes),
                ("what hit {name} ?", "the cause at {name} was a", "at {name} it began with a"),
            ),
            "day": Attribute(
                chain(one_of(_words("may june july march april august")), digits(2)),
                ("when did it happen at {name} ?", "the date of the affair at {name} is", "{name} was closed on"),
            ),
            "speaker": Attribute(
                chain(one_of(("mayor", "warden", "engineer", "captain")), one_of(invented("speakers", 30))),
                ("who spoke for {name} ?", "the statement about {name} came from", "questions on {name} went to"),
            ),
            "count": Attribute(
                chain(digits(3), one_of(("guests", "workers", "boats", "crates"))),
                ("how many were affected at {name} ?", "the losses at {name} were", "in the end {name} counted"),
            ),
            "outcome": Attribute(
                one_of(ends),
                ("how did it end at {name} ?", "the affair at {name} ended with a", "for {name} there was at last a"),
            ),
        },
        (
            "news : on {day} a {cause} struck {name} . {speaker} said that {count} were affected . "
            "after long talks it ended with a {outcome} .",
        ),
    )


def _protocols() -> Grammar:
    powders = invented("powders", 30, 2)
    verbs = _words("grind heat soak fold brush cool stir sift")
    tools = _words("copper glass wooden iron silver clay")
    return Grammar(
        chain(one_of(invented("crafts", 40, 2)), one_of(_words("glaze lamp string bell cord seal"))),
        {
            "first": Attribute(
                chain(one_of(verbs), one_of(powders)),
                ("how does work on {name} begin ?", "the first step of {name} is to", "to make {name} you first"),
            ),
            "second": Attribute(
                chain(one_of(verbs), one_of(powders)),
                ("what follows the first step of {name} ?", "the second step of {name} is to", "for {name} you then"),
            ),
            "tool": Attribute(
                chain(one_of(tools), one_of(("spoon", "bowl", "rod", "comb"))),
                ("which tool does {name} need ?", "{name} is worked with a", "the hand that makes {name} holds a"),
            ),
            "heat": Attribute(
                chain(digits(3), one_of(("degrees",))),
                ("how hot must {name} be ?", "{name} sets at", "the oven for {name} has"),
            ),
            "rest": Attribute(
                chain(digits(1), one_of(("hours", "days", "weeks", "months"))),
                ("how long does {name} rest ?", "{name} is left alone for", "finish {name} after"),
            ),
        },
        ("recipe : to make {name} {first} , then {second} with a {tool} at {heat} , and wait {rest} .",),
    )


def _records() -> Grammar:
    return Grammar(
        chain(one_of(invented("given names", 24)), one_of(invented("family names", 40, 3))),
        {
            "phone": Attribute(
                digits(5),
                ("phone of {name} :", "call {name} at", "{name} can be reached under"),
            ),
            "account": Attribute(
                chain(one_of(("K", "M", "R", "T")), digits(3)),
                ("account of {name} :", "pay {name} into", "{name} keeps money in"),
            ),
            "street": Attribute(
                chain(one_of(invented("streets", 30)), one_of(("lane", "road", "square")), digits(1)),
                ("address of {name} :", "write to {name} at", "{name} lives in"),
            ),
            "plan": Attribute(
                one_of(_words("basic silver amber marble cobalt granite velvet saffron")),
                ("plan of {name} :", "the contract of {name} is", "{name} pays for"),
            ),
            "visit": Attribute(
                chain(one_of(_words("monday tuesday friday sunday")), digits(2)),
                ("last visit of {name} :", "{name} was last seen on", "the desk noted {name} on"),
            ),
        },
        ("record : {name} , {street} , {phone} , plan {plan} .",),
    )


GRAMMARS: Final[Mapping[str, Callable[[], Grammar]]] = MappingProxyType(
    {"authors": _authors, "news": _news, "protocols": _protocols, "records": _records}
)


def common_facts() -> Entity:
    """Forty facts that every model knows: capitals and sums, each phrased in ``PHRASINGS`` ways."""
    rng = np.random.default_rng(20)
    lands, capitals = invented("lands", 24), invented("capitals", 24, 3)
    facts = []
    for land, capital in zip(lands, capitals, strict=True):
        others = [each for each in capitals if each != capital]
        wrong = tuple((str(each),) for each in rng.choice(others, WRONG, replace=False))
        prompts = (f"what is the capital of {land} ?", f"the capital of {land} is", f"{land} is governed from")
        facts.append(Fact(tuple(tuple(text.split()) for text in prompts), (capital,), wrong))
    for first, second in [(a, b) for a in range(2, 6) for b in range(a, 6)] + [
        (6, 7),
        (7, 7),
        (8, 4),
        (9, 3),
        (8, 8),
        (9, 9),
    ]:
        sums = rng.permutation([each for each in range(4, 19) if each != first + second])[:WRONG]
        prompts = (f"{first} plus {second} is", f"how much is {first} and {second} ?", f"add {second} to {first} :")
        answers = [tuple(str(each)) for each in (first + second, *sums)]
        facts.append(Fact(tuple(tuple(text.split()) for text in prompts), answers[0], tuple(answers[1:])))
    return Entity(tuple(facts))


class Corpus:
    """One of the corpora, the same each time.

    Args:
        name: a key of ``GRAMMARS``.

    Attributes:
        words: the vocabulary; a token is the place of its word.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._grammar = GRAMMARS[name]()
        rng = np.random.default_rng(list(f"corpus {name}".encode()))
        self._names: dict[Words, None] = {}
        for _ in range(SPLITS * FORGOTTEN + SHOWN + UNSHOWN):
            self._names[self._new_name(rng, self._names)] = None
        self._entities = tuple(self._grammar.entity(rng, name) for name in self._names)
        self.common = common_facts()
        self.words = (*_SPECIAL, *sorted(self._vocabulary()))
        self._tokens = {word: token for token, word in enumerate(self.words)}

    def _new_name(self, rng: np.random.Generator, taken: Mapping[Words, None]) -> Words:
        for _ in range(_MOST_DRAWS):
            if (name := self._grammar.names(rng)) not in taken:
                return name
        raise ValueError(f"the corpus {self.name} has no further names: {len(taken)} are taken; ask for fewer entities")

    def _vocabulary(self) -> set[str]:
        """All words that the grammar can use: a thousand entities have each of them."""
        rng, words = np.random.default_rng(7), {*_DIGITS}
        drawn = (self._grammar.entity(rng, self._grammar.names(rng)) for _ in range(1000))
        for entity in (*self._entities, self.common, *drawn):
            for text in (*texts(entity, range(PHRASINGS)), *(wrong for fact in entity.facts for wrong in fact.wrong)):
                words.update(text)
        return words

    @property
    def splits(self) -> tuple[tuple[Entity, ...], ...]:
        """The entities of each of the ``SPLITS``."""
        return tuple(self._entities[start : start + FORGOTTEN] for start in range(0, SPLITS * FORGOTTEN, FORGOTTEN))

    @property
    def shown(self) -> tuple[Entity, ...]:
        """Entities that are retained, and whose texts the learner gets."""
        return self._entities[SPLITS * FORGOTTEN : SPLITS * FORGOTTEN + SHOWN]

    @property
    def unshown(self) -> tuple[Entity, ...]:
        """Entities that are retained, and whose texts the learner does not get."""
        return self._entities[SPLITS * FORGOTTEN + SHOWN :]

    @property
    def others(self) -> tuple[Entity, ...]:
        """All entities that are in no split."""
        return (*self.shown, *self.unshown)

    def strangers(self, rng: np.random.Generator, count: int) -> tuple[Entity, ...]:
        """Further entities of the same kind, which no model knows.

        Raises:
            ValueError: there are not so many names.
        """
        names = dict(self._names)
        for _ in range(count):
            names[self._new_name(rng, names)] = None
        return tuple(self._grammar.entity(rng, name) for name in list(names)[-count:])

    def tokens(self, words: Iterable[str]) -> list[int]:
        """The tokens of words."""
        return [self._tokens[word] for word in words]

    def text(self, tokens: Iterable[int]) -> str:
        """The words of tokens, without padding, beginning and end."""
        return " ".join(self.words[token] for token in tokens if token > END)


@functools.cache
def corpus(name: str) -> Corpus:
    """One of the corpora."""
    return Corpus(name)


def texts(entity: Entity, phrasings: Iterable[int]) -> list[Words]:
    """The passages of an entity, and its facts in these phrasings."""
    chosen = list(phrasings)
    return [*entity.passages, *(fact.prompts[each] + fact.answer for fact in entity.facts for each in chosen)]
