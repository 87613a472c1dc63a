"""What docs/bench.md and docs/verification.md say is true: options, agents and files exist, and its code runs."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from benchmarks.discobench import __main__ as discobench
from discoenv.agents import registry
from discoenv.bench.agents import GROUP, parse_agents
from discoenv.bench.cell import read_results
from discoenv.cli.bench import bench
from discoenv.experiment.cluster import slurm_arguments
from tests.bench.conftest import MakeBenchmark

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("bench", "verification"))
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def options() -> set[str]:
    """All options of ``discoenv bench``'s commands."""
    commands = typer.main.get_command(bench).commands.values()  # type: ignore[attr-defined]
    return {name for command in commands for each in command.params for name in each.opts}


def test_every_option_that_is_mentioned_exists() -> None:
    foreign = {"--nthreads", "--resources"}  # of Dask's own worker
    assert set(re.findall(r"(?<![\w|-])--[a-z][a-z-]+", GUIDE)) - foreign <= options()


def test_the_table_of_agents_agrees_with_the_agents() -> None:
    section = GUIDE.partition("## Agents\n")[2].partition("\n## ")[0]
    rows = [re.findall(r"`([\w.]+)`", line) for line in section.splitlines() if line.startswith("| `")]
    declared = importlib.metadata.distribution("discoenv").entry_points.select(group=GROUP)
    assert sorted(row[0] for row in rows) == sorted(declared.names)
    for name, *named in rows:
        parameters = inspect.signature(getattr(registry, name)).parameters
        known = [key for key, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY]
        assert set(known) <= set(named)
        assert set(named) - set(known) <= ({"model"} if "model" in parameters else set())


def test_the_agent_of_the_guide_plays(
    make_benchmark: MakeBenchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent_of_the_guide.py").write_text(BLOCKS[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    benchmark = make_benchmark("agent_of_the_guide:play:width=1")
    assert benchmark.run(workers=1).states == {"done": 1}
    (result,) = read_results(benchmark.directory)
    assert result.steps == 2


def test_the_experiment_of_the_guide_runs(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(BLOCKS[1])
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "12"
    assert yaml.safe_load((tmp_path / "logs/1/config.yml").read_text())["depth"] == 2


def test_the_entry_point_plays_discobench_by_default_without_language_models() -> None:
    assert discobench.arguments(["--dry-run"])[:6] == [
        *("bench", "run", "--agents", ",".join(discobench.AGENTS), "--tasks", "DiscoBench"),
    ]
    assert discobench.arguments(["--agents", "react:model=x"]).count("--agents") == 1
    assert parse_agents([",".join(discobench.AGENTS)])


def test_the_example_for_slurm_is_valid() -> None:
    ours, arguments = slurm_arguments(ROOT / "benchmarks/discobench/slurm.yaml", resources={"GPU": 1})
    assert ours == {"jobs": 8}
    assert arguments["worker_extra_args"][-4:] == ["--nthreads", "1", "--resources", "GPU=1"]
