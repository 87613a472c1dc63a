"""Which agents are compared: their names and options, as users write them, and the functions that play.

An agent is a function ``(env, seed, **options)`` that plays one episode: it calls ``env.reset(seed=seed)``, then
``env.step`` until the episode is over. Its return value is ignored. It may be a coroutine function (``async def``): its
cell has an event loop for it. A generator is refused, because nothing would run it.

Installed packages declare agents by entry points of the group ``discoenv.agents``
(:mod:`discoenv.machine.entry_points`). So does discoenv with its reference agents (:mod:`discoenv.agents.registry`).
"""

from __future__ import annotations

import asyncio
import difflib
import functools
import importlib
import inspect
import operator
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from discoenv.errors import BenchError, EntryPointError
from discoenv.machine import entry_points
from discoenv.machine.entry_points import Extension
from discoenv.tasks.yaml_text import load_untrusted

Play = Callable[..., object]

#: Entry points of this group name functions that play.
GROUP: Final = "discoenv.agents"
_OPTION: Final = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Agent:
    """An agent as a user names it.

    Attributes:
        text: as written.
        function: where its function is: ``package.module:function``.
        options: keyword arguments of the function, besides environment and seed.
        installed: the entry point that declares it; None if the user wrote the import path.
    """

    text: str
    function: str
    options: dict[str, Any]
    installed: Extension | None = None

    @classmethod
    def parse(cls, text: str) -> Agent:
        """From ``name[:key=value,…]`` or ``package.module:function[:key=value,…]``; values are YAML scalars.

        Nothing is imported.

        Raises:
            BenchError: no installed agent has that name, and it is no import path.
        """
        head, colon, rest = text.strip().partition(":")
        installed = entry_points.find(GROUP)
        if head in installed:
            return cls(text.strip(), installed[head].value, _options(text, rest), installed[head])
        if not colon or not head or _OPTION.match(rest) or not rest:
            near = difflib.get_close_matches(head, installed, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BenchError(
                f"there is no agent {text!r}: {hint}{_known()}, and an agent of your own is named by its import path, "
                "package.module:function"
            )
        attribute, _, options = rest.partition(":")
        return cls(text.strip(), f"{head}:{attribute}", _options(text, options))

    def load(self) -> Play:
        """The function, with its options. Modules are found as by ``python -m``: in the working directory, too.

        Raises:
            BenchError: it cannot be imported, does not take these options, or is a generator or a class.
        """
        found = self._imported()
        what = f"agent {self.text!r}: {self.function}"
        if not callable(found):
            raise BenchError(f"{what} is no function (env, seed, …)")
        if isinstance(found, type):
            raise BenchError(f"{what} is a class; name a function (env, seed, …) that makes one and plays")
        for called in (found, type(found).__call__):  # of an object, its method
            if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
                raise BenchError(f"{what} is a generator, which nothing runs: use no yield in a function that plays")
        try:
            inspect.signature(found).bind(None, 0, **self.options)
        except (TypeError, ValueError) as error:
            raise BenchError(f"{what}(env, seed, **options): {error}") from error
        return functools.partial(_play, found, self.options)

    def _imported(self) -> Any:
        if self.installed is not None:
            try:
                return self.installed.load()
            except EntryPointError as error:
                raise BenchError(f"agent {self.text!r}: {error}") from error
        module, _, attribute = self.function.partition(":")
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            return operator.attrgetter(attribute)(importlib.import_module(module))
        except Exception as error:  # whatever the agent's module does when it is imported
            reason = error if isinstance(error, (ImportError, AttributeError)) else f"{type(error).__name__}: {error}"
            raise BenchError(f"agent {self.text!r}: {self.function} cannot be imported: {reason}") from error


def _play(function: Play, options: Mapping[str, Any], env: Any, seed: int) -> object:
    """Play one episode, to its end also where the function returns something to be awaited.

    Raises:
        TypeError: it returned a generator, which nothing runs.
    """
    returned = function(env, seed, **options)
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise TypeError("the agent returned a generator, which nothing runs: use no yield in a function that plays")
    return asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned


async def _awaited(returned: Awaitable[object]) -> object:
    return await returned


def parse_agents(texts: Sequence[str]) -> list[Agent]:
    """Agents from comma-separated lists.

    A part ``key=value`` belongs to the agent before it: ``random_search:steps=3,changes=2,baseline`` are two.

    Raises:
        BenchError: the lists are empty, an agent is listed twice, or an agent is not known.
    """
    names: list[str] = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        if _OPTION.match(part) and names:
            names[-1] += f",{part}"
        elif part:
            names.append(part)
    agents = [Agent.parse(name) for name in names]
    if not agents:
        raise BenchError(f"there is no agent to compare; {_known()}")
    twice = sorted({agent.text for agent in agents if names.count(agent.text) > 1})
    if twice:
        raise BenchError(f"agent {', '.join(twice)} is listed twice; to repeat it, raise --seeds")
    return agents


def _known() -> str:
    """The names of installed agents, for messages."""
    names = ", ".join(entry_points.find(GROUP))
    return f"known are {names}" if names else "none is installed: reinstall discoenv, whose metadata is outdated"


def _options(text: str, options: str) -> dict[str, Any]:
    found = {}
    for part in filter(None, (part.strip() for part in options.split(","))):
        if not _OPTION.match(part):
            raise BenchError(f"agent {text!r}: {part!r} is not an option key=value")
        key, _, value = part.partition("=")
        try:
            found[key] = load_untrusted(value)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise BenchError(f"agent {text!r}: the value of {key} is not YAML: {error}") from error
    return found
