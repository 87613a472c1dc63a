"""Documentation of libraries that do not exist, in technical English."""

from __future__ import annotations

import random

from .words import Frequent, vocabulary

_TYPES = ("int", "float", "str", "bool", "bytes", "list", "dict", "array")
_VERBS = [
    "returns",
    "reads",
    "writes",
    "splits",
    "merges",
    "counts",
    "sorts",
    "checks",
    "copies",
    "removes",
    "opens",
    "closes",
    "maps",
    "joins",
]
_ROLES = [
    "path",
    "name",
    "size",
    "width",
    "count",
    "limit",
    "offset",
    "mode",
    "level",
    "key",
    "value",
    "buffer",
    "index",
    "step",
    "timeout",
    "seed",
    "axis",
    "scale",
]


_ADJECTIVES = [
    "large",
    "small",
    "empty",
    "sorted",
    "open",
    "shared",
    "nested",
    "hidden",
    "local",
    "remote",
    "frozen",
    "partial",
    "lazy",
    "strict",
]
#: Sentences about a function; {noun}, {verb} and others are filled in.
_SENTENCES = (
    "Its {role} is of type {kind}.",
    "If {role} is not given, that of the {noun} is used.",
    "The {role} must be a valid {kind}, or {error} is raised.",
    "With {role} = {number}, the {subject} of each {adjective} {noun} is taken first.",
    "A {role} of more than {number} is {adjective}, and makes a {noun} slow.",
    "Where {role} and {noun} differ, the {adjective} one counts.",
)
_REMARKS = (
    "See also {module}.{other}, which {verb} the {other_subject}.",
    "It was added in version {since}.",
    "Note that a {noun} may be shared between {adjective} {noun_2}s.",
    "Raises {error} if the {subject} cannot be found.",
    "A {noun} that is {adjective} has no {noun_2}.",
    "Do not call it while a {noun} is {adjective}: use {other} instead.",
    "On average it takes {number} ms for each {noun}.",
    "Before version {since} it was called {old}.",
)


class DocProse:
    """Pages about functions: signature, what it does, its parameters, errors, examples, and what to use instead.

    An exam's library has its own modules, functions, parameters and errors, which stay the same on all of its pages:
    each function has its signature, verb and subject throughout.
    """

    def __init__(self, draw: random.Random) -> None:
        words = vocabulary(draw, 330, 1, 3)
        draw.shuffle(words)
        self._nouns = Frequent(words[:200])
        self._subjects = Frequent(words[200:260])
        modules, errors = words[260:272], [f"{each.capitalize()}Error" for each in words[272:284]]
        self._functions = Frequent([self._function(draw, modules[each % 12], errors) for each in range(800)])
        self._old = words[284:]

    def _function(self, draw: random.Random, module: str, errors: list[str]) -> dict[str, str]:
        """What is always the same of a function."""
        subject, verb = self._subjects.one(draw), draw.choice(_VERBS)
        roles = draw.sample(_ROLES, draw.randint(1, 3))
        kinds = [draw.choice(_TYPES) for _ in roles]
        return {
            "name": f"{verb[:-1]}_{subject}",
            "module": module,
            "verb": verb,
            "subject": subject,
            "roles": " ".join(roles),
            "kinds": " ".join(kinds),
            "given": ", ".join(f"{role}: {kind}" for role, kind in zip(roles, kinds, strict=True)),
            "error": draw.choice(errors),
            "returns": draw.choice(_TYPES),
            "since": f"{draw.randint(1, 4)}.{draw.randint(0, 9)}",
        }

    def document(self, draw: random.Random) -> str:
        """One page."""
        function, other = self._functions.one(draw), self._functions.one(draw)
        name, module, roles = function["name"], function["module"], function["roles"].split()

        def told(sentence: str, role: str = "", kind: str = "") -> str:
            return sentence.format(
                role=role, kind=kind, error=function["error"], subject=function["subject"], since=function["since"],
                noun=self._nouns.one(draw), noun_2=self._nouns.one(draw), adjective=draw.choice(_ADJECTIVES),
                number=draw.randint(1, 99), module=other["module"], other=other["name"], verb=other["verb"],
                other_subject=other["subject"], old=draw.choice(self._old),
            )  # fmt: skip

        text = [f"The function {name} {function['verb']} the {function['subject']} of a {self._nouns.one(draw)}."]
        for role, kind in zip(roles, function["kinds"].split(), strict=True):
            text.append(told(draw.choice(_SENTENCES), role, kind))
        text += [told(remark) for remark in draw.sample(_REMARKS, draw.randint(1, 3))]
        page = f"{module}.{name}({function['given']}) -> {function['returns']}\n\n{' '.join(text)}\n"
        return page + (f"\n>>> {module}.{name}({', '.join(roles)})\n" if draw.random() < 0.4 else "")
