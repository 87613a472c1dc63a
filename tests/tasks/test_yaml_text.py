"""A key that is listed twice is an error, in YAML and in JSON, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv import json_text
from discoenv.bench.tasks import parse_tasks
from discoenv.episodes.action import parse_action
from discoenv.errors import ActionError, DomainError, TaskError, ToolError
from discoenv.scoring import baselines
from discoenv.tasks import yaml_text
from discoenv.tasks.domain import Domain
from discoenv.tasks.reading import read_task
from discoenv.tasks.task import Task
from discoenv.tools.registry import get_tool

LOADERS = [yaml_text.load, yaml_text.load_untrusted]
TWICE = "domain: Toy\nmodules: [model]\nmeta_train: [Line]\nscale: tiny\nmeta_test: [Wave]\nscale: small\n"


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", "1 and 3"),
        ("outer:\n  - {x: 1, y: 2, x: 3}\n", "x", "2 and 2"),
        ('a: 1\n"a": 2\n', "a", "1 and 2"),
        ("1: a\n0x1: b\n", "0x1", "1 and 2"),
    ],
)
def test_a_key_of_yaml_is_listed_once(load: Callable[[str], Any], text: str, key: str, lines: str) -> None:
    with pytest.raises(yaml.YAMLError, match=f"the key '{key}' is listed twice, in lines {lines}; remove one"):
        load(text)


@pytest.mark.parametrize("load", LOADERS)
def test_merges_may_be_overridden(load: Callable[[str], Any]) -> None:
    text = "base: &base {x: 1, y: 2}\nother: &other\n  <<: *base\n  x: 3\nlast:\n  <<: [*other, *base]\n  y: 4\n"
    assert load(text) == yaml.safe_load(text)
    assert load(text)["other"] == {"x": 3, "y": 2}


def test_a_key_of_json_is_listed_once() -> None:
    assert json_text.loads('{"a": {"b": 1}, "b": [{"a": 2}]}') == {"a": {"b": 1}, "b": [{"a": 2}]}
    with pytest.raises(ValueError, match="the key 'b' is listed twice; remove one"):
        json_text.loads('[{"a": {"b": 1, "b": 2}}]')


def test_files_of_tasks_and_domains_name_the_key(
    toy: Domain, tmp_path: Path, copy_of_toy: Callable[[str], Path]
) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(TWICE)
    wanted = r"the key 'scale' is listed twice, in lines 4 and 6"
    for read in (read_task, Task.parse):
        with pytest.raises(TaskError, match=wanted):
            read(path)
    with pytest.raises(ValueError, match=wanted):
        parse_tasks([str(path)], scale="tiny")
    copied = copy_of_toy("Toy")
    text = (copied / "domain.yaml").read_text()
    (copied / "domain.yaml").write_text(f"{text}\nversion: 2\n")
    with pytest.raises(DomainError, match=r"domain\.yaml: not valid YAML: the key 'version' is listed twice"):
        Domain(copied)
    (copied / "domain.yaml").write_text(text)
    (copied / "baselines.json").write_text('{"a": {}, "a": {}}')
    with pytest.raises(DomainError, match=r"the key 'a' is listed twice"):
        baselines._read(copied / "baselines.json", (1,))


def test_actions_and_tool_calls_name_the_key() -> None:
    with pytest.raises(ActionError, match="the action: the key 'command' is listed twice; remove one"):
        parse_action('{"command": "run", "command": "submit"}')
    with pytest.raises(ToolError, match=r"write_file: .*the key 'path' is listed twice"):
        get_tool("write_file").parse('{"path": "a.py", "path": "b.py", "content": ""}')
