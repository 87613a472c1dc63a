"""Imports run one way: the floors of docs/architecture.md, derived from the code."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
#: Folders of a domain that are no part of the library: learners' files, agents' modules, tests, and studies.
APART = {"templates", "datasets", "candidates", "ladder", "tests", "studies"}
#: What the examiner, the pictures and the exploits of a domain may import of discoenv.
FOR_DOMAINS = (
    "discoenv.exams.examiner",
    "discoenv.examiners",
    "discoenv.data",
    "discoenv.kits",
    "discoenv.audit.exploit",
)


def modules() -> dict[str, Path]:
    """Files of the library by module name."""
    found = {}
    for path in sorted((ROOT / "discoenv").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not APART & set(parts):
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(name: str, path: Path) -> Iterator[str]:
    """Modules of the library that a file imports, within functions too; not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                found = f"{origin}.{alias.name}" if f"{origin}.{alias.name}" in MODULES else origin
                if found in MODULES and found != name:
                    yield found


IMPORTS = {name: sorted(set(imported(name, path))) for name, path in MODULES.items()}


def floors() -> dict[str, int]:
    """Floor of each folder and file below ``discoenv/``, as the page lists them."""
    table = PAGE.partition("<!-- floors: begin -->")[2].partition("<!-- floors: end -->")[0]
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", table, flags=re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}


def folder(module: str) -> str:
    return module.split(".")[1]


def test_no_files_import_each_other_in_a_circle() -> None:
    order = list(graphlib.TopologicalSorter(IMPORTS).static_order())  # raises CycleError with the circle
    assert set(order) >= set(MODULES)


def test_every_folder_has_a_floor_and_no_floor_is_empty() -> None:
    assert {folder(name) for name in MODULES if "." in name} == set(floors())


def test_a_folder_imports_only_from_floors_below_it() -> None:
    floor = floors()
    up = [
        f"{name} (floor {floor[folder(name)]}) imports {other} (floor {floor[folder(other)]})"
        for name, others in IMPORTS.items()
        for other in others
        if "." in name and "." in other and folder(name) != folder(other)
        if floor[folder(other)] >= floor[folder(name)]
    ]
    assert up == []


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("discoenv.domains.")))
def test_a_domain_imports_little_of_discoenv(name: str) -> None:
    own = ".".join(name.split(".")[:3])
    foreign = [other for other in IMPORTS[name] if not f"{other}.".startswith((f"{own}.", *FOR_DOMAINS))]
    assert foreign == []


def test_python_is_read_in_one_place() -> None:
    reading = [name for name, path in MODULES.items() if re.search(r"\bast\.parse\(", path.read_text(encoding="utf-8"))]
    assert reading == ["discoenv.python_text"]


def test_kits_import_nothing_of_discoenv() -> None:
    for name, others in IMPORTS.items():
        if name.startswith("discoenv.kits"):
            assert [other for other in others if not other.startswith("discoenv.kits")] == []
