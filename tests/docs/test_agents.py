"""docs/agents.md and docs/mcp.md are true: tools, options and events exist, configurations are valid, code runs."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agents import best_of_n, react
from discoenv.cli.main import app
from discoenv.tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]
#: Commands of ``discoenv`` that the page shows.
COMMANDS = (["mcp"], ["bench", "run"])
GUIDE = "".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("agents", "mcp"))


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
    return str(found)


def rows(section: str) -> list[list[str]]:
    text = GUIDE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_tools_agrees_with_the_tools() -> None:
    assert [row[0].strip("`") for row in rows("The tools")] == [tool.name for tool in TOOLS]
    for tool, row in zip(TOOLS, rows("The tools"), strict=True):
        assert re.findall(r"`(\w+)`", row[1]) == list(tool.parameters["properties"])
        assert (row[2] == "yes") == (tool.name in {"run", "submit"})


def options(command: Any) -> set[str]:
    """Names of the options of an agent's command."""
    names = set()
    for name, parameter in inspect.signature(command).parameters.items():
        declared = [text for info in parameter.annotation.__metadata__ for text in info.param_decls or ()]
        names.update(declared or [f"--{name.replace('_', '-')}"])
    return names


def test_every_option_that_is_mentioned_exists() -> None:
    helps = [CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).stdout for words in COMMANDS]
    known = options(react.main) | options(best_of_n.main) | set(re.findall(r"--[a-z-]+", "".join(helps)))
    foreign = {"--transport", "--tools", "--allowedTools"}  # of Claude Code
    assert set(re.findall(r"(?<![\w|-])--[a-z][A-Za-z-]+", GUIDE)) - foreign <= known


def test_the_configurations_are_valid_and_all_start_the_same_server() -> None:
    servers = [
        json.loads(block("json"))["mcpServers"]["discoenv"],
        tomllib.loads(block("toml"))["mcp_servers"]["discoenv"],
        yaml.safe_load(block("yaml"))["extensions"]["discoenv"],
    ]
    assert {server.get("command") or server["cmd"] for server in servers} == {"discoenv"}
    arguments = servers[0]["args"]
    assert all(server["args"] == arguments for server in servers)
    assert CliRunner().invoke(app, ["mcp", "--help"]).exit_code == 0
    assert f"claude mcp add discoenv -- discoenv {' '.join(arguments)}" in GUIDE


def test_the_example_of_an_agent_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "False Error: model.py: the text to replace does not occur" in done.stdout
    assert re.search(r"^-?\d+\.\d+ \S*runs/", done.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("event", ["agent", "model_call", "tool_call", "end"])
def test_the_record_is_described(event: str) -> None:
    assert f"| `{event}` |" in GUIDE
