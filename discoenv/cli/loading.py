"""Commands that are imported when they are invoked, so that each one imports only what it uses."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

#: Settings of every command. Typer converts values by pydantic, which takes half as long to import as a command may to
#: run; but it takes booleans as they are. Without this default, ``--help`` would be None where it is not given.
SETTINGS: Final = {"default_map": {"help": False}}


class Deferred(NamedTuple):
    """A command that has not been imported.

    Attributes:
        target: the command's function, or a ``typer.Typer`` with further commands: ``module:name`` in this package.
        help: its first line of help, which is all that the list of commands shows.
        panel: the heading that it is listed under; None: "Commands".
    """

    target: str
    help: str
    panel: str | None = None

    def load(self, name: str) -> Any:
        """Import the command; returns a Click command called ``name``."""
        module, _, attribute = self.target.partition(":")
        found = getattr(importlib.import_module(f"discoenv.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(name)(function)
        command = typer.main.get_command(found)
        command.context_settings = {**command.context_settings, **SETTINGS}
        return command


class DeferredGroup(TyperGroup):
    """A group of deferred commands. Subclasses list them.

    Attributes:
        deferred: the commands by name, in the order of the help.
    """

    deferred: ClassVar[Mapping[str, Deferred]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, entry in self.deferred.items():
            self.add_command(TyperCommand(name=name, help=entry.help, rich_help_panel=entry.panel), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The command that is invoked, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and self.deferred[command.name or ""].load(command.name or ""), rest
