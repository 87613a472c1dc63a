"""The site builds without a warning, and what its first pages show works."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.cli.main import Commands
from discoenv.env import DiscoGenEnv
from discoenv.episodes.action import parse_action
from discoenv.tasks.task import Task

ROOT = Path(__file__).resolve().parents[2]
EPISODE = (ROOT / "docs/first_episode.md").read_text(encoding="utf-8")
SHEET = (ROOT / "docs/cheat_sheet.md").read_text(encoding="utf-8")


def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    for page in (
        "index",
        "first_episode",
        "domains/OnPolicyRL",
        "notebooks/first_episode",
        "reference/commands",
        "reference/environment",
    ):
        assert (tmp_path / "site" / f"{page}.html").is_file(), page
    text = (tmp_path / "site/reference/environment.html").read_text(encoding="utf-8")
    assert "DiscoGenEnv" in text
    assert "::</p>" not in (tmp_path / "site/reference/experiments.html").read_text(encoding="utf-8")
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html")]
    loaded = {
        place for page in pages for place in re.findall(r"<(?:script|link|img)[^>]* (?:src|href)=\"?([^\" >]+)", page)
    }
    assert {place for place in loaded if place.startswith(("http", "//"))} == set()
    assert any(place.endswith("assets/iframe-worker.js") for place in loaded)
    assert not [page for page in pages if re.search(r":(class|func|meth|mod|attr|data|exc):<code>", page)]
    architecture = (tmp_path / "site/architecture.html").read_text(encoding="utf-8")
    assert architecture.count('<svg width="') == 3
    assert "sequenceDiagram" not in architecture


def test_a_diagram_in_an_unknown_language_is_refused() -> None:
    spec = importlib.util.spec_from_file_location("sequence_diagrams", ROOT / "docs/sequence_diagrams.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = module.svg("sequenceDiagram\nparticipant a as A < B\nparticipant b\na->>b: ask\nb-->>a: tell")
    assert "A &lt; B" in drawn
    assert drawn.count("stroke-dasharray") == 1
    with pytest.raises(ValueError, match="'loop twice' is not known"):
        module.svg("sequenceDiagram\nloop twice\nend")


def test_no_page_is_longer_than_1500_words_but_references() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    sections = {name: pages for part in nav if isinstance(part, dict) for name, pages in part.items()}
    assert {"Start", "Notebooks", "Guides", "Explanation", "Reference", "Domains", "Coming from"} == set(sections)
    elsewhere = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md"}
    for section in set(sections) - {"Reference"}:
        for page in sections[section]:
            path = ROOT / elsewhere.get(page, f"docs/{page}")
            path = path if path.is_file() else path.with_suffix(".ipynb")
            assert len(path.read_text(encoding="utf-8").split()) <= 1500, path.name


def test_the_first_episode_is_played_as_shown(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", EPISODE, flags=re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = (
        float(score) for score in re.findall(r"^(-?\d+\.\d+)(?: 0\.0)?$", done.stdout, flags=re.MULTILINE)[:2]
    )
    assert first < second
    (reward,) = re.findall(r"^(-?\d+\.\d+) True$", done.stdout, flags=re.MULTILINE)
    assert float(reward) > 0.5


def test_commands_of_the_cheat_sheet_exist() -> None:
    for line in re.findall(r"^\| (`.*?) \|", SHEET, flags=re.MULTILINE):
        for words in re.findall(r"`discoenv ([^`]+)`", line):
            name, *rest = words.split()
            command: Any = Commands.deferred[name].load(name)
            if hasattr(command, "commands"):
                command = command.commands[rest[0]]
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= options, words


def test_actions_and_arguments_of_the_cheat_sheet_exist() -> None:
    actions = re.findall(r"`(\{.*?\})`", SHEET.partition("## Actions")[2].partition("## Reward")[0])
    assert len(actions) >= 5
    for action in actions:
        parse_action(json.loads(action))
    arguments = {*inspect.signature(DiscoGenEnv).parameters, *Task.model_fields}
    table = SHEET.partition("| argument |")[2].partition("## Actions")[0]
    assert set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)))) <= arguments
