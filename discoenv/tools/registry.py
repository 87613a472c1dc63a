"""What tools there are: names, descriptions and arguments, in the forms that chat models and MCP expect.

What a tool does stands in :mod:`discoenv.tools.session`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discoenv.errors import ToolError
from discoenv.json_text import loads
from discoenv.text import shown


class Arguments(BaseModel):
    """Arguments of a tool; unknown ones are errors, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class ListFiles(Arguments):
    """No arguments."""


class ReadFile(Arguments):
    """Which file, and which of its lines."""

    path: str = Field(description="A path as list_files shows it.")
    start_line: int = Field(default=1, ge=1, description="First line to show, counted from 1.")
    end_line: int = Field(default=0, ge=0, description="Last line to show; 0 means to the end.")


class WriteFile(Arguments):
    """A whole file."""

    path: str = Field(description="Name of an editable file.")
    content: str = Field(description="The whole new text of the file.")


class ReplaceInFile(Arguments):
    """One piece of a file."""

    path: str = Field(description="Name of an editable file.")
    old: str = Field(min_length=1, description="Text that occurs exactly once in the file, with its indentation.")
    new: str = Field(description="The text to put in its place.")


class RunFiles(Arguments):
    """Which datasets to train on, and how often."""

    datasets: list[str] = Field(default_factory=list, description="Meta-train datasets to train on; empty means all.")
    seeds: int = Field(default=0, ge=0, description="Exams per dataset; 0 means as many as usual.")
    race: bool = Field(
        default=False,
        description="Stop as soon as it is decided whether these files are better than those of the best run, after at "
        "most `seeds` exams per dataset of each.",
    )


class History(Arguments):
    """No arguments."""


class CompareRuns(Arguments):
    """Two runs."""

    first: int = Field(default=0, ge=0, description="Number of a run; 0 means the last one.")
    second: int = Field(default=0, ge=0, description="Number of another; 0 means the best before that.")


class Submit(Arguments):
    """Which files to submit."""

    run: int = Field(
        default=0, ge=0, description="Submit the files of this earlier run (1, 2, …); 0 means the files as they are."
    )


class AddNote(Arguments):
    """A note."""

    text: str = Field(min_length=1, max_length=4000, description="What to remember.")


class ReadNotes(Arguments):
    """No arguments."""


@dataclass(frozen=True)
class Tool:
    """A tool: its name, what it does (for the model), and its arguments."""

    name: str
    description: str
    arguments: type[Arguments]
    read_only: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments: an object."""
        schema = self.arguments.model_json_schema()
        properties = {
            name: {key: value for key, value in property_.items() if key != "title"}
            for name, property_ in schema.get("properties", {}).items()
        }
        return {
            "type": "object",
            "properties": properties,
            "required": schema.get("required", []),
            "additionalProperties": False,
        }

    def openai(self) -> dict[str, Any]:
        """The tool as an element of ``tools`` of a chat-completions request."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    def mcp(self) -> dict[str, Any]:
        """The tool as an element of the result of MCP's ``tools/list``."""
        annotations = {"readOnlyHint": self.read_only, "destructiveHint": False, "openWorldHint": False}
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.parameters,
            "annotations": annotations,
        }

    def parse(self, arguments: str | Mapping[str, Any] | None) -> Arguments:
        """The arguments from what a model sent: a mapping, or its JSON text.

        Raises:
            ToolError: they are not a JSON object, or not of the right names and types.
        """
        values = _object(arguments, self.name)
        try:
            return self.arguments.model_validate({key: value for key, value in values.items() if value is not None})
        except ValidationError as error:
            known = ", ".join(self.arguments.model_fields) or "none"
            problems = "; ".join(_problem(each) for each in error.errors()[:5])
            raise ToolError(f"{self.name}: {problems}. Its arguments are: {known}") from None


TOOLS: Final = (
    Tool("list_files", "List the files that you can read, and which of them you can edit.", ListFiles, True),
    Tool("read_file", "Read a file, or some of its lines. Costs no step.", ReadFile, True),
    Tool(
        "write_file",
        "Replace the whole text of an editable file. Costs no step; it takes effect with the next run or submit.",
        WriteFile,
    ),
    Tool(
        "replace_in_file",
        "Replace one piece of text in an editable file. Costs no step; takes effect with the next run or submit.",
        ReplaceInFile,
    ),
    Tool(
        "run",
        "Train with the present files on the meta-train datasets and report scores, errors and output. Costs one step, "
        "unless the same files were run before.",
        RunFiles,
    ),
    Tool("history", "List all runs, and how each differs from the best one. Costs no step.", History, True),
    Tool(
        "compare",
        "Compare two runs in the exams that both have had: difference, interval, probability of being better. Costs no "
        "step.",
        CompareRuns,
        True,
    ),
    Tool(
        "submit",
        "End the episode: the files are trained and scored on the hidden meta-test datasets, and that is the reward.",
        Submit,
    ),
    Tool(
        "add_note",
        "Add a note to your notepad. Older messages may be dropped from a long conversation; notes stay.",
        AddNote,
    ),
    Tool("read_notes", "Show all notes of this episode.", ReadNotes, True),
)
_BY_NAME: Final = {tool.name: tool for tool in TOOLS}


def get_tool(name: str) -> Tool:
    """The tool called ``name``.

    Raises:
        ToolError: there is none; the message names those that there are.
    """
    if name not in _BY_NAME:
        near = difflib.get_close_matches(str(name), _BY_NAME, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ToolError(f"there is no tool {shown(name)}; {hint}the tools are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def _object(arguments: str | Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """A JSON object; raw newlines in strings and JSON wrapped in a JSON string, both common, are understood."""
    value: Any = arguments
    for _ in range(2):
        if isinstance(value, str):
            if not value.strip():
                return {}
            try:
                value = loads(value, strict=False)
            except (ValueError, RecursionError) as error:
                raise ToolError(f"{name}: the arguments are not valid JSON ({error}): {shown(value)}") from None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ToolError(f"{name}: the arguments are {type(value).__name__}; expected a JSON object")
    return value


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "arguments"
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] == "extra_forbidden":
        return f"{shown(where)} is not an argument"
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}, not {shown(error['input'])}"
