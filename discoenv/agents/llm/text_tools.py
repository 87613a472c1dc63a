"""Tools for models that cannot call tools: how to ask for them in plain text, and how to read what comes back.

A call is a fenced block that starts with ```` ```tool ```` and holds JSON. Models get this wrong in many ways, so
reading it is forgiving: the JSON ends where it ends, whatever its strings contain; raw newlines in strings are fine; a
missing fence, other names of the keys, ``<tool_call>`` tags and a code block after ``write_file`` are understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from discoenv.json_text import without_duplicates

_START: Final = re.compile(
    r"^[ \t]*(?:(?P<fence>`{3,}|~{3,})[ \t]*(?:tool\w*|json)?|<tool_call>)\s*(?=\{)", re.MULTILINE
)
_DECODER: Final = json.JSONDecoder(strict=False, object_pairs_hook=without_duplicates)
_NAME: Final = re.compile(r'"(?:tool|name|function)"\s*:\s*"([\w.-]+)"')
_END: Final = re.compile(r"\s*(?:`{3,}|~{3,}|</tool_call>)?[ \t]*\n?")
_CODE: Final = re.compile(r"\s*(?P<fence>`{3,}|~{3,})[ \t]*(?!tool)[\w.+-]*[^\n`]*\n")


def guide(tools: Sequence[Mapping[str, Any]]) -> str:
    """The part of a system prompt that explains ``tools`` (in OpenAI's form) to a model."""
    lines = []
    for tool in tools:
        function = tool["function"]
        properties = function["parameters"]["properties"]
        required = function["parameters"]["required"]
        lines.append(f"* `{function['name']}`: {function['description']}")
        lines += [
            f"  - `{name}` ({each['type']}{'' if name in required else ', optional'}): {each.get('description', '')}"
            for name, each in properties.items()
        ]
    return (
        "You act by calling tools. To call one, write a fenced block with JSON, then stop and wait for the result:\n\n"
        '```tool\n{"tool": "read_file", "arguments": {"path": "description.md"}}\n```\n\n'
        "To write a file you need not squeeze it into JSON: leave out `content`, and put the file into a code block "
        "right after the call:\n\n"
        '```tool\n{"tool": "write_file", "arguments": {"path": "example.py"}}\n```\n'
        '```python\n"""The whole file."""\n```\n\n'
        "The tools:\n\n" + "\n".join(lines)
    )


def parse_calls(text: str) -> list[tuple[str, str]]:
    """The tool calls in a reply: name and arguments (JSON text; if it is broken, as it was written)."""
    return list(_calls(text))


def results(pairs: Sequence[tuple[str, str]]) -> str:
    """The message with the results of calls: name and text of each."""
    return "\n\n".join(f"Result of {name}:\n\n{text}" for name, text in pairs)


def _calls(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while (start := _START.search(text, position)) is not None:
        tagged = start["fence"] is None or "tool" in start[0]
        try:
            value, end = _DECODER.raw_decode(text, start.end())
        except (ValueError, RecursionError):
            rest = text[start.end() :]
            guess = _NAME.search(rest)
            if tagged:
                yield (guess[1] if guess else "tool"), rest.partition("\n```\n")[0]
            position = start.end()
            continue
        closing = _END.match(text, end)
        position = closing.end() if closing else end
        call = _call(value)
        if call is None:
            if tagged:
                yield "tool", json.dumps(value)
            continue
        name, arguments = call
        if name == "write_file" and isinstance(arguments, dict) and "content" not in arguments:
            block = _CODE.match(text, position)
            if block is not None:
                content, position = _code(text, block)
                arguments = {**arguments, "content": content}
        yield name, arguments if isinstance(arguments, str) else json.dumps(arguments)


def _call(value: Any) -> tuple[str, Any] | None:
    """Name and arguments of what looks like a call, whatever its keys are called."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        value = value["function"]
    key = next((key for key in ("tool", "name", "function", "tool_name") if isinstance(value.get(key), str)), None)
    if key is None:
        return None
    for inner in ("arguments", "parameters", "args", "input"):
        if inner in value:
            return value[key], value[inner]
    return value[key], {other: each for other, each in value.items() if other != key}


def _code(text: str, block: re.Match[str]) -> tuple[str, int]:
    """Content of a code block, and where it ends: at a line that is its fence, or at the end of the text."""
    fence = re.compile(rf"^[ \t]*{re.escape(block['fence'])}[ \t]*$\n?", re.MULTILINE)
    end = fence.search(text, block.end())
    if end is None:
        return text[block.end() :], len(text)
    return text[block.end() : end.start()], end.end()
