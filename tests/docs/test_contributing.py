"""What CONTRIBUTING.md and docs/adding_a_domain.md name exists, and their example runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from discoenv.cli.main import Commands
from discoenv.tasks import new_domain, registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("CONTRIBUTING.md", "docs/adding_a_domain.md")
TEXT = "".join((ROOT / name).read_text(encoding="utf-8") for name in PAGES)


def test_its_commands_exist() -> None:
    named = set(re.findall(r"(?:`|^)discoenv ([a-z-]+)", TEXT, flags=re.MULTILINE))
    assert {"new-domain", "validate", "calibrate", "audit"} <= named <= set(Commands.deferred)


def test_its_files_exist() -> None:
    named = set(re.findall(r"(?<![\w/])((?:discoenv|tests|agents|docs)/[\w./]*\w)", TEXT))
    missing = [name for name in named if "FlowMatching" not in name and not (ROOT / name).exists()]
    assert missing == []


def test_its_examiner_is_questioned_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_domain.new_domain("FlowMatching", tmp_path)
    monkeypatch.setattr(registry, "BUILTIN", tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    *lines, last = example.strip().splitlines()
    ast.parse(last)
    namespace: dict[str, Any] = {}
    exec("\n".join(lines), namespace)
    metrics = eval(last, namespace)
    assert set(metrics) == {"r2", "mse"}
    assert metrics["r2"] <= 0
