"""What docs/search.md says is true: files and options that it mentions exist, and so do the vector environment's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from agents import evolve, prompt_optimiser, random_search
from discoenv.env import DiscoGenEnv
from discoenv.exams.host import Host
from discoenv.vector import DiscoGenVectorEnv

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/search.md").read_text(encoding="utf-8")


def declared(command: Any) -> set[str]:
    """Names of the options of a program."""
    app = typer.Typer()
    app.command()(command)
    return {name for parameter in typer.main.get_command(app).params for name in parameter.opts}


KNOWN = {
    "random_search.py": declared(random_search.main),
    "evolve.py": declared(evolve.main),
    "prompt_optimiser.py": declared(prompt_optimiser.main),
}


@pytest.mark.parametrize("line", re.findall(r"^ +python agents/(.+)$", GUIDE, flags=re.MULTILINE))
def test_the_options_of_a_command_exist(line: str) -> None:
    program, *words = line.split()
    used = {word for word in words if word.startswith("-")}
    assert used <= KNOWN[program]


def test_options_in_the_text_exist() -> None:
    used = set(re.findall(r"(?<![\w|-])--?[a-z][a-z-]*(?![\w.])", " ".join(re.findall(r"`([^`]+)`", GUIDE))))
    assert used <= set.union(*KNOWN.values())


def test_files_that_are_mentioned_exist() -> None:
    for path in re.findall(r"\b(?:agents|benchmarks)/\w+\.py", GUIDE):
        assert (ROOT / path).is_file(), path


def test_arguments_of_environments_exist() -> None:
    assert {"host", "autoreset_mode", "num_envs"} <= set(inspect.signature(DiscoGenVectorEnv).parameters)
    assert "host" in inspect.signature(DiscoGenEnv).parameters
    assert "exams_at_once" in inspect.signature(Host).parameters
    assert callable(DiscoGenVectorEnv.split)
