"""Toy tasks that other processes know too (as a pack), and candidates for the scripted agent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.bench.agents import parse_agents
from discoenv.bench.benchmark import Benchmark
from discoenv.exams import secrets
from discoenv.exams.secrets import Secret
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import registry as domains
from discoenv.tasks.registry import load_pack
from discoenv.tasks.task import Task
from tests.conftest import POLYNOMIAL_FEATURES, TOY

ROOT = Path(__file__).resolve().parents[2]
#: All benchmarks of these tests have the same exams.
SECRET = Secret(b"a secret of tests".ljust(secrets.SIZE))


def toy_task(**changes: Any) -> dict[str, Any]:
    """A task of the toy domain, as it is called in a pack."""
    return {
        "domain": "toy/Toy",
        "modules": ["model", "features"],
        "meta_train": ["Line"],
        "meta_test": ["Wave"],
        "scale": "tiny",
        "test_seeds": 1,
    } | changes


#: Six different tasks.
TASKS = [
    toy_task(),
    toy_task(modules=["features"]),
    toy_task(start="base"),
    toy_task(meta_train=["Steps"]),
    toy_task(modules=["features"], meta_test=["Steps"]),
    toy_task(meta_train=["Noise"], meta_test=["Line"]),
]


class MakeBenchmark:
    """Makes benchmarks of toy tasks, below a folder that is theirs alone."""

    def __init__(self, root: Path, sandbox: str) -> None:
        self._root = root
        self._sandbox = sandbox

    def __call__(self, *agents: str, tasks: int = 1, seeds: int = 1, **environment: Any) -> Benchmark:
        return Benchmark.create(
            self._root / "bench",
            agents=parse_agents(agents),
            tasks=[Task.parse(task) for task in TASKS[:tasks]],
            seeds=range(seeds),
            environment={"sandbox": self._sandbox, "max_steps": 3, "packs": [str(TOY)]} | environment,
            secret=SECRET,
        )


@pytest.fixture
def toy_pack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The toy domain as a pack of this test; the user's cache and state are empty, also for other processes."""
    monkeypatch.setattr(domains, "_registered", dict(domains._registered))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    load_pack(TOY)
    return TOY


@pytest.fixture
def make_benchmark(toy_pack: Path, tmp_path: Path, sandbox: Sandbox) -> MakeBenchmark:
    """Makes benchmarks."""
    return MakeBenchmark(tmp_path, sandbox.name)


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    """A candidate for the toy domain."""
    folder = tmp_path / "candidates" / "toy" / "Toy" / "01_polynomial"
    folder.mkdir(parents=True)
    (folder / "features.py").write_text(POLYNOMIAL_FEATURES)
    return tmp_path / "candidates"


class Command:
    """``discoenv bench``, in a new process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks = folder / "tasks.yaml"

    def words(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "discoenv.cli.main", "bench", *map(str, arguments)]

    def matrix(self, *agents: str, tasks: int, seeds: int, out: Path) -> list[object]:
        """Arguments of ``bench run``."""
        self.tasks.write_text(yaml.safe_dump(TASKS[:tasks]))
        secrets.write(self.folder / "secret", SECRET)
        agent_words = [word for agent in agents for word in ("--agents", agent)]
        return [
            *("run", *agent_words, "--tasks", self.tasks, "--seeds", seeds, "--out", out),
            *("--pack", TOY, "--max-steps", 3, "--secret", self.folder / "secret"),
        ]

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*arguments),
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: object, code: int = 0) -> str:
        done = subprocess.run(self.words(*arguments), cwd=ROOT, text=True, capture_output=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def command(toy_pack: Path, tmp_path: Path) -> Command:
    """The command."""
    return Command(tmp_path)
