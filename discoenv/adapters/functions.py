"""Tools as functions with type hints and docstrings, for frameworks that make their own schemas of these."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic.fields import FieldInfo

from discoenv.tools import Tool


def as_method(
    tool: Tool, qualname: str, call: Callable[[Any, str, dict[str, Any]], Awaitable[str]]
) -> Callable[..., Any]:
    """A coroutine method that is the tool.

    Args:
        tool: its name, arguments and description are the method's.
        qualname: of the class that it becomes a method of.
        call: what it does, given the object, the tool's name and the arguments; returns what the model should read.
    """

    async def method(self: Any, **arguments: Any) -> str:
        return await call(self, tool.name, arguments)

    fields = tool.arguments.model_fields
    method.__name__ = tool.name
    method.__qualname__ = f"{qualname}.{tool.name}"
    method.__annotations__ = {**{name: field.annotation for name, field in fields.items()}, "return": str}
    parameters = [_parameter(name, field) for name, field in fields.items()]
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([own, *parameters], return_annotation=str)
    method.__signature__ = signature  # type: ignore[attr-defined]
    described = "\n".join(f"    {name}: {field.description}" for name, field in fields.items())
    arguments = f"\n\nArgs:\n{described}" if described else ""
    method.__doc__ = f"{tool.description}{arguments}\n\nReturns:\n    What the model should read.\n"
    return method


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.annotation)
