"""The notebooks run, and print what is stored in them, which has no facts of the machine."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Those that take longest.
SLOW = {"compare_agents.ipynb"}
NAMES = sorted(path.name for path in (ROOT / "docs/notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def notebooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs/notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_four(notebooks: ModuleType) -> None:
    stems = ["compare_agents", "first_episode", "look_inside_an_exam", "write_an_agent"]
    assert [Path(name).stem for name in notebooks.names()] == stems


@pytest.mark.parametrize("name", [pytest.param(each, marks=[pytest.mark.slow] * (each in SLOW)) for each in NAMES])
def test_a_notebook_prints_what_is_stored_in_it(name: str, notebooks: ModuleType) -> None:
    notebook = notebooks.read(name)
    printed, stored = "\n".join(notebooks.execute(notebook)), "\n".join(notebooks.stored(notebook))
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", stored), f"run python docs/notebooks.py {name}"
    # Libraries and processors differ in the last digits.
    expected = [float(number) for number in NUMBER.findall(stored)]
    assert [float(number) for number in NUMBER.findall(printed)] == pytest.approx(expected, rel=0.05, abs=0.05)
    assert len(expected) > 3


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_of_the_format_and_has_no_facts_of_the_machine(name: str, notebooks: ModuleType) -> None:
    notebook = notebooks.read(name)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
    for text in notebooks.stored(notebook):
        assert text == notebooks.stripped(text)
        assert str(ROOT) not in text
    page = notebooks.page(name)
    assert page.startswith("# ")
    assert page.count("```") % 2 == 0


def test_facts_of_the_machine_are_stripped(notebooks: ModuleType) -> None:
    text = "in /tmp/a/b.json, 1.5 s and 20 MiB at 2026-01-02T03:04:05+00:00, run 20260102-030405-x: 0.5\n"
    assert notebooks.stripped(text) == "in …, … s and … MiB at …, run …-x: 0.5\n"
