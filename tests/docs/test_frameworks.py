"""What docs/frameworks.md says is there: extras, commands, options, names; its code is Python."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from discoenv.adapters.frameworks import FRAMEWORKS
from discoenv.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/frameworks.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_every_extra_exists_and_every_framework_has_one() -> None:
    assert set(re.findall(r"discoenv\[([\w-]+)\]", PAGE)) <= EXTRAS.keys()
    assert {framework.extra for framework in FRAMEWORKS.values()} <= EXTRAS.keys()
    (everything,) = EXTRAS["all"]
    assert not {"inspect", "harbor", "openenv", "trl", "nemo-gym"} & set(re.findall(r"[\w-]+", everything))


def test_its_python_is_python_and_names_what_exists() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        tree = compile(block, "docs/frameworks.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("discoenv"):
                source = (ROOT / f"{str(node.module).replace('.', '/')}.py").read_text(encoding="utf-8")
                for alias in node.names:
                    assert re.search(rf"(?m)^(async def|def|class) {alias.name}\b", source), alias.name


@pytest.mark.parametrize("words", [["export", "harbor"], ["export", "atif"], ["score"], ["serve-exams"]])
def test_its_commands_have_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert words[-1] in capsys.readouterr().out
