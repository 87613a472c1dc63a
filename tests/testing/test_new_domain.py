"""A domain is one folder: a new one changes no other file, breaks no test, and passes all checks and the audit."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "FlowMatching"
#: Not part of the sources, and what other tests of this run may be writing.
UNUSED = (".*", "__pycache__", "build", "dist", "runs", "task_src", "*.egg-info")
#: Tests that look at all domains name one of these.
ENUMERATING = ("get_domains", "trained_domains", "get_discobench_tasks")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by relative path, but for what Python and tools leave behind."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part == "__pycache__" or part[0] == "." for part in path.parts)
    }


def comparable(printed: str) -> list[str]:
    """Lines of what was printed, without what differs from machine to machine and with every new exploit."""
    return re.sub(r"[\d.]+ s\b|\d+ exploits", "…", printed).strip().splitlines()


class Checkout:
    """A copy of the repository with one more domain."""

    def __init__(self, root: Path, sandbox: str) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*UNUSED), symlinks=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(root.parent / "cache"),
            "DISCOENV_TEST_SANDBOX": sandbox,
        }
        self.before = digests(root)
        self.made = self.run("-m", "discoenv.cli.main", "new-domain", NAME)

    def run(self, *arguments: str) -> str:
        """Run Python in the copy; it must end well. Returns what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=1500,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout

    def pytest(self, *arguments: str) -> str:
        """Run tests; returns the last line, which counts them."""
        output = self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
        return output.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, sandbox_name: str) -> Iterator[Checkout]:
    root = tmp_path_factory.mktemp("checkout") / "discoenv"
    yield Checkout(root, sandbox_name)
    shutil.rmtree(root)


def enumerating() -> list[str]:
    """Tests that look at all domains, as pytest names them, by what they mention and what their file makes of it."""
    found = []
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "discoenv" / "domains").glob("[A-Z]*/tests/test_*.py")]
    for path in sorted(set(files) - {Path(__file__).resolve()}):
        names = set(ENUMERATING)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            mentioned = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            mentioned |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            if not mentioned & names:
                continue
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
            elif isinstance(node, ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_new_domain_changes_no_other_file(checkout: Checkout) -> None:
    assert checkout.made.startswith(f"Made discoenv/domains/{NAME}, a small domain that works.")
    program = "import discoenv, sys; print(discoenv.__file__, *discoenv.get_domains())"
    file, *names = checkout.run("-c", program).split()
    assert Path(file).is_relative_to(checkout.root)
    assert NAME in names
    after = digests(checkout.root)
    assert {name: digest for name, digest in after.items() if name in checkout.before} == checkout.before
    new = set(after) - set(checkout.before)
    assert new
    assert all(name.startswith(f"discoenv/domains/{NAME}/") for name in new)


def test_a_new_domain_passes_all_checks_and_its_own_tests(checkout: Checkout) -> None:
    printed = checkout.run("-m", "discoenv.cli.main", "validate", NAME)
    guide = (ROOT / "docs/adding_a_domain.md").read_text(encoding="utf-8").partition("<!-- validate:")[2]
    assert comparable(printed) == comparable(guide.split("```")[3])
    assert "passed" in checkout.pytest(f"discoenv/domains/{NAME}/tests")
    for command in (["check"], ["format", "--check"]):
        checkout.run("-m", "ruff", *command, "--no-cache", f"discoenv/domains/{NAME}")


def test_a_new_domain_withstands_the_brief_audit(checkout: Checkout, sandbox_name: str) -> None:
    command = ["-m", "discoenv.cli.main", "audit", NAME, "--brief", "--sandbox", sandbox_name]
    assert checkout.run(*command).strip().endswith(" 0 gain.")


@pytest.mark.long
def test_a_new_domain_breaks_no_test_that_looks_at_all_domains(checkout: Checkout) -> None:
    assert NAME in checkout.run("-m", "pytest", "-q", "--collect-only", "-m", "not slow", "-k", NAME)
    others = [path.name for path in (ROOT / "discoenv" / "domains").glob("[A-Z]*")]
    tests = enumerating()
    assert len(tests) > 10
    counted = checkout.pytest("-m", "not slow", "-k", f"not ({' or '.join(others)})", *tests)
    assert "failed" not in counted
    assert "passed" in counted
