"""Worlds with teams of agents, by the names that configurations call them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import hanabi, kitchen, particles, skirmish
from .teams import World


def make(suite: str, name: str, options: Mapping[str, Any] | None = None) -> World:
    """A world, which starts again after each episode and whose observations include ``world``.

    Args:
        suite: particles, skirmish, kitchen, hanabi or robots.
        name: of the world in its suite, see the files of that name.
        options: keyword arguments of its class, such as ``max_steps``.

    Raises:
        ValueError: there is no such suite, or no such world in it.
    """
    arguments = dict(options or {})
    match suite:
        case "particles":
            return particles.make(name, arguments)
        case "skirmish":
            return skirmish.make(name, arguments)
        case "kitchen":
            return kitchen.Kitchen(name, **arguments)
        case "hanabi":
            return hanabi.make(name, arguments)
        case "robots":
            from . import robots

            return robots.make(name, arguments)
    raise ValueError(f"there is no suite {suite!r}; SUITE must be particles, skirmish, kitchen, hanabi or robots")
