"""Which agents are compared: their names and options, as users write them, and the functions that play.

An agent is a callable ``(env, seed, **options)`` that plays one episode: it calls ``env.reset(seed=seed)``, then
``env.step`` until the episode is over. What it returns is ignored.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from discoenv.errors import BenchError

Play = Callable[..., object]

#: Where the functions of the reference agents are; imported when an agent is played.
REFERENCE: Final = {
    name: f"discoenv.agents.registry:{name}"
    for name in ("baseline", "unchanged", "scripted", "random_search", "evolve", "react", "best_of_n")
}
_OPTION: Final = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Agent:
    """An agent as it was named.

    Attributes:
        text: as written.
        function: ``package.module:function``.
        options: what the function gets besides environment and seed.
    """

    text: str
    function: str
    options: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Agent:
        """From ``name[:key=value,…]`` or ``package.module:function[:key=value,…]``; values are YAML scalars.

        Raises:
            BenchError: it is neither.
        """
        head, colon, rest = text.strip().partition(":")
        if head in REFERENCE:
            return cls(text.strip(), REFERENCE[head], _options(text, rest))
        if not colon or not head or _OPTION.match(rest) or not rest:
            near = difflib.get_close_matches(head, REFERENCE, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BenchError(
                f"there is no agent {text!r}: {hint}known are {', '.join(REFERENCE)}, and an agent of your own is "
                "package.module:function"
            )
        attribute, _, options = rest.partition(":")
        return cls(text.strip(), f"{head}:{attribute}", _options(text, options))

    def load(self) -> Play:
        """The function, with its options. Modules are found as by ``python -m``: in the working directory, too.

        Raises:
            BenchError: it cannot be imported, or does not take these options.
        """
        module, _, attribute = self.function.partition(":")
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            found: Any = importlib.import_module(module)
            for name in attribute.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError) as error:
            checkout = " (the reference agents are part of a checkout of the repository)" if "agents." in module else ""
            raise BenchError(f"agent {self.text!r}: {self.function} cannot be imported: {error}{checkout}") from error
        if not callable(found):
            raise BenchError(f"agent {self.text!r}: {self.function} is no function (env, seed, …)")
        try:
            inspect.signature(found).bind(None, 0, **self.options)
        except TypeError as error:
            raise BenchError(f"agent {self.text!r}: {self.function}(env, seed, **options): {error}") from error
        return functools.partial(found, **self.options)


def parse_agents(texts: Sequence[str]) -> list[Agent]:
    """Agents from lists separated by commas, each at most once.

    A part ``key=value`` belongs to the agent before it: ``random_search:steps=3,changes=2,baseline`` are two.

    Raises:
        BenchError: there is none, one is there twice, or one is not known.
    """
    names: list[str] = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        if _OPTION.match(part) and names:
            names[-1] += f",{part}"
        elif part:
            names.append(part)
    agents = [Agent.parse(name) for name in names]
    if not agents:
        raise BenchError(f"there is no agent to compare; known are {', '.join(REFERENCE)}")
    twice = sorted({agent.text for agent in agents if names.count(agent.text) > 1})
    if twice:
        raise BenchError(f"{', '.join(twice)} is there twice; more seeds would be of more use")
    return agents


def _options(text: str, options: str) -> dict[str, Any]:
    found = {}
    for part in filter(None, (part.strip() for part in options.split(","))):
        if not _OPTION.match(part):
            raise BenchError(f"agent {text!r}: {part!r} is not an option key=value")
        key, _, value = part.partition("=")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BenchError(f"agent {text!r}: the value of {key} is not YAML: {error}") from error
    return found
