"""Generated pages are what ``python docs/pages.py`` writes for the domains that they list."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from discoenv.audit.exploits import ACTIONS, RUNS, exploits_of
from discoenv.audit.summary import DOCKER_FILE, audit_of
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain

ROOT = Path(__file__).resolve().parents[2]
WRITE = "run python docs/pages.py"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs/pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def listed() -> list[Domain]:
    """The domains of docs/domains.md: one that is new may not be there yet."""
    text = (ROOT / "docs/domains.md").read_text(encoding="utf-8")
    return [get_domain(name) for name in re.findall(r"^\| \[(\w+)\]", text, flags=re.MULTILINE)]


def test_the_pages_are_up_to_date(pages: ModuleType, listed: list[Domain]) -> None:
    assert len(listed) >= 7
    for path, text in pages.pages(listed).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: {WRITE}"


def test_a_domain_is_described_by_its_declaration(pages: ModuleType, listed: list[Domain]) -> None:
    text = pages.domains_page(listed)
    for domain in listed:
        specification = domain.specification
        row = f"| {', '.join(domain.modules)} | {len(domain.datasets)} | {specification.metric.name} ("
        assert row in text
        assert f"## {domain.name}\n\n**{specification.title}.** " in text


def test_links_lead_to_files(pages: ModuleType) -> None:
    for path in (pages.DOMAINS, pages.INTEGRITY, pages.FAIR_PLAY, ROOT / "docs/exams.md"):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_rules_of_a_domain_are_those_of_its_declaration(pages: ModuleType, listed: list[Domain]) -> None:
    text = pages.FAIR_PLAY.read_text(encoding="utf-8")
    for domain in listed:
        (row,) = re.findall(rf"^\| \[{domain.name}\].*$", text, flags=re.MULTILINE)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1] == domain.specification.exam.kind
        assert re.findall(r"`(\w+)`", cells[2]) == [
            *domain.specification.exam.answers_with,
            *domain.specification.exam.hidden_when_answering,
        ]
        packages = set(cells[3].split(", "))
        assert domain.importable is not None
        assert packages <= domain.importable
        own = {*domain.modules, *domain.specification.kits}
        files = {name.removesuffix(".py") for name in domain.specification.fixed_files}
        assert domain.importable - packages <= own | files


def test_audits_are_of_exploits_that_exist(listed: list[Domain]) -> None:
    for domain in listed:
        audits = audit_of(domain), audit_of(domain, DOCKER_FILE)
        assert audits[0] is not None, f"{domain.name}: run discoenv audit {domain.name} (see docs/adding_a_domain.md)"
        known = {
            *(each.name for each in exploits_of(domain)),
            *(each.name for each in ACTIONS),
            *(each.name for each in RUNS),
        }
        for audit in filter(None, audits):
            assert audit.gaining == 0
            assert set(audit.outcomes) <= known, domain.name


def test_the_readme_counts_the_domains_of_the_page(listed: list[Domain]) -> None:
    (count,) = re.findall(r"^(\d+) domains, ", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert int(count) == len(listed), "change the number in README.md"
