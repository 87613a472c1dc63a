"""What all tests share, also those that lie with their domains: where learners run, and a real sandbox."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from discoenv.exams import learner_environment, secrets
from discoenv.exams.host import Host
from discoenv.exams.secrets import SIZE, VARIABLE, Secret
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox

os.environ.update(learner_environment.on_cpu(os.environ))  # as learners and examiners run
_folder = Path(tempfile.mkdtemp(prefix="secret-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
# The same exams in every run of the tests, whoever runs them.
secrets.write(_folder / "secret", Secret(bytes(range(SIZE))))
os.environ[VARIABLE] = str(_folder / "secret")

#: The first is no domain; its tests run in domains that are made from it. The second is data of other tests.
collect_ignore = ["discoenv/domains/_template", "tests/data"]


#: Seconds that a domain's own tests should take, on an idle core: the default ones, and the slow ones.
BUDGETS_S: Final = {"default": 40.0, "slow": 90.0}
_seconds: defaultdict[tuple[str, str], float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up how long the tests of each domain take."""
    domain = re.match(r"discoenv/domains/(\w+)/", report.nodeid)
    if domain:
        _seconds[domain[1], "slow" if "slow" in report.keywords else "default"] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what is above its budget, for people: nothing fails, because machines differ and may be busy."""
    for (domain, kind), seconds in sorted(_seconds.items()):
        if seconds > BUDGETS_S[kind]:
            terminalreporter.write_line(
                f"{domain}: its {kind} tests took {seconds:.0f} s; on an idle machine they should take at most "
                f"{BUDGETS_S[kind]:.0f} s"
            )


@pytest.fixture(scope="module", autouse=True)
def _without_old_programs() -> Iterator[None]:
    """Let JAX forget the programs of a file once that has been tested.

    It keeps all that it compiled as long as a process lives: some GiB in tests of all domains. A process that runs out
    of memory or of mappings (65,530 by default) ends in the midst of a test, which then looks as if it had failed.
    """
    yield
    jax = sys.modules.get("jax")
    if jax:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def sandbox_name() -> str:
    """The provider under test: DISCOENV_TEST_SANDBOX, or the best one that works here."""
    return os.environ.get("DISCOENV_TEST_SANDBOX", "auto")


@pytest.fixture(scope="session")
def sandbox(sandbox_name: str) -> Iterator[Sandbox]:
    """A real sandbox."""
    provider = get_sandbox(sandbox_name)
    yield provider
    provider.close()


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    """A host that runs exams in the real sandbox."""
    with Host(sandbox) as host:
        yield host
