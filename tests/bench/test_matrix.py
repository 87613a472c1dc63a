"""The matrix from end to end, by the command: killed and resumed, on processes and on Dask, the results are equal."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.bench.agents import parse_agents
from discoenv.bench.benchmark import Benchmark
from discoenv.bench.cell import read_results
from discoenv.errors import BenchError
from discoenv.experiment.layout import JobStatus
from discoenv.scoring.scores import Scoring
from discoenv.tasks.task import Task
from tests.bench.conftest import TASKS, Command, MakeBenchmark


def reproducible(directory: Path) -> list[dict[str, Any]]:
    return [result.reproducible() for result in read_results(directory)]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        time.sleep(0.02)


def results_in(directory: Path) -> int:
    return len(list(directory.glob("cells/*/*/result.json")))


def agents(candidates: Path) -> list[str]:
    """Three agents without a language model."""
    return ["baseline", "random_search:steps=2", f"scripted:candidates={candidates}"]


def kill_and_resume(command: Command, matrix: Callable[[Path], list[object]], directory: Path, cells: int) -> None:
    """SIGKILL after half of the cells, then resume; what was done stays as it was."""
    with command.start(*matrix(directory), "--workers", 2) as process:
        wait_until(lambda: results_in(directory) >= cells // 2, process)
        process.kill()
    before = {path: path.stat().st_mtime_ns for path in directory.glob("cells/*/*/result.json")}
    assert cells // 2 <= len(before) < cells
    text = command.run("status", directory)
    assert f"{len(before)} of {cells} cells" in text
    assert "bench resume" in text
    command.run("resume", directory, "--workers", 2)
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())


def test_a_killed_benchmark_goes_on_to_the_results_of_an_uninterrupted_one(
    command: Command, candidates: Path, tmp_path: Path
) -> None:
    def matrix(out: Path) -> list[object]:
        return command.matrix(*agents(candidates), tasks=2, seeds=1, out=out)

    output = command.run(*matrix(tmp_path / "whole"))
    assert "3 agents × 2 tasks × 1 seeds = 6 cells" in output
    assert "[6/6] done" in output
    kill_and_resume(command, matrix, tmp_path / "killed", cells=6)
    whole = reproducible(tmp_path / "whole")
    assert len(whole) == 6
    assert reproducible(tmp_path / "killed") == whole
    rewards = {result["agent"]: result["reward"] for result in whole}
    assert rewards[f"scripted:candidates={candidates}"] > rewards["baseline"] + 0.2
    again = command.run(*matrix(tmp_path / "whole"))  # the same command finds everything done
    assert "done baseline" not in again
    assert "6 of 6 cells" in again


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_agents_six_tasks_two_seeds(command: Command, candidates: Path, tmp_path: Path) -> None:
    def matrix(out: Path) -> list[object]:
        return command.matrix(*agents(candidates), tasks=6, seeds=2, out=out)

    command.run(*matrix(tmp_path / "whole"), "--workers", 2)
    whole = reproducible(tmp_path / "whole")
    assert len(whole) == 36
    assert all(result["succeeded"] for result in whole)
    kill_and_resume(command, matrix, tmp_path / "killed", cells=36)
    assert reproducible(tmp_path / "killed") == whole

    directory = tmp_path / "dask"
    with command.start(*matrix(directory), "--workers", 2, "--dask", "local") as process:
        wait_until(lambda: results_in(directory) >= 9, process)
        kill_a_worker(directory, process)
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait() == 0, output
    assert "Dask dashboard: http://" in output
    assert reproducible(directory) == whole


def kill_a_worker(directory: Path, process: subprocess.Popen[str]) -> None:
    """SIGKILL for a process that plays a cell."""

    def players() -> list[int]:
        statuses = [JobStatus.read(path.parent) for path in directory.glob("cells/*/*/status.json")]
        return [status.pid for status in statuses if status.state == "running" and status.pid != process.pid]

    wait_until(lambda: bool(players()), process)
    os.kill(players()[0], signal.SIGKILL)


@pytest.mark.slow
def test_on_dask_one_worker_may_die(command: Command, tmp_path: Path) -> None:
    submitting = "tests.bench.players:submitting:sleep=1"
    directory = tmp_path / "dask"
    arguments = command.matrix("baseline", submitting, tasks=1, seeds=2, out=directory)
    with command.start(*arguments, "--workers", 2, "--dask", "local") as process:
        wait_until(lambda: results_in(directory) >= 1, process)
        kill_a_worker(directory, process)
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait() == 0, output
    assert "Dask dashboard: http://" in output
    results = read_results(directory)
    assert [(result.agent, result.seed) for result in results] == [
        ("baseline", 0),
        ("baseline", 1),
        (submitting, 0),
        (submitting, 1),
    ]
    statuses = [JobStatus.read(path.parent) for path in directory.glob("cells/*/*/status.json")]
    assert sorted(status.attempts for status in statuses) == [1, 1, 1, 2]


# ---- SLURM, with a scheduler of our own that starts jobs on this machine

SBATCH = """#!/bin/sh
# As SLURM's: takes a batch script, starts it elsewhere, says its number.
cp "$1" "$FAKE_SLURM/script-$$.sh"
setsid bash "$FAKE_SLURM/script-$$.sh" > "$FAKE_SLURM/job-$$.log" 2>&1 &
echo $! >> "$FAKE_SLURM/jobs"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do echo "$job" >> "$FAKE_SLURM/cancelled"; kill -TERM -- "-$job" 2> /dev/null; done
exit 0
"""
CONFIG = {
    "account": "discovery",
    "queue": "gpu",
    "cores": 4,
    "memory": "4GB",
    "walltime": "02:00:00",
    "job_extra_directives": ["--gres=gpu:1"],
    "job_script_prologue": ["export DISCOENV_ON_A_NODE=1"],
    "jobs": 2,
    "scheduler_options": {"dashboard_address": ":0"},
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a SLURM that runs jobs on this machine; its commands are on the path."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def test_the_script_for_slurm_says_what_the_file_and_the_cells_need(command: Command, slurm: Path) -> None:
    output = command.run(
        *command.matrix("baseline", tasks=1, seeds=1, out=slurm / "bench"),
        *("--dask", f"slurm:{slurm / 'config.yaml'}", "--gpus-per-cell", 1, "--memory-per-cell", 3.5, "--dry-run"),
    )
    script = output[output.index("#!") :]
    path = slurm / "script.sh"
    path.write_text(script)
    subprocess.run(["bash", "-n", str(path)], check=True)
    for line in ("#SBATCH -A discovery", "#SBATCH -p gpu", "#SBATCH --gres=gpu:1", "#SBATCH -t 02:00:00"):
        assert line in script.splitlines()
    assert "#SBATCH --cpus-per-task=4" in script
    assert "#SBATCH --mem=4G" in script
    assert "export DISCOENV_ON_A_NODE=1" in script
    assert "--resources GPU=1,MEMORY=3.5e+09" in script
    assert not (slurm / "bench").exists()
    assert not (slurm / "jobs").exists()


@pytest.mark.slow
def test_a_benchmark_on_slurm(command: Command, slurm: Path, tmp_path: Path) -> None:
    directory = tmp_path / "bench"
    output = command.run(
        *command.matrix("baseline", tasks=2, seeds=1, out=directory),
        *("--dask", f"slurm:{slurm / 'config.yaml'}", "--workers", 0, "--memory-per-cell", 1),
    )
    assert "Dask dashboard: http://" in output
    assert len((slurm / "jobs").read_text().split()) == 2
    scripts = [path.read_text() for path in slurm.glob("script-*.sh")]
    assert all("--resources MEMORY=1e+09" in script and "#SBATCH -p gpu" in script for script in scripts)
    assert sorted((slurm / "cancelled").read_text().split()) == sorted((slurm / "jobs").read_text().split())
    assert Benchmark(directory).progress().states == {"done": 2}
    players = {JobStatus.read(path.parent).pid for path in directory.glob("cells/*/*/status.json")}
    assert os.getpid() not in players


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "give --agents and --tasks to compare"),
        (["run", "--agents", "baseline", "--tasks", "missing.yaml"], "missing.yaml: cannot be read"),
        (["run", "--agents", "base", "--tasks", "DiscoBench"], "did you mean baseline?"),
        (["status", "."], "bench.json is missing"),
        (["resume", "nowhere"], "bench.json is missing"),
        (["run", "-r", "nowhere"], "bench.json is missing"),
    ],
)
def test_mistakes_are_one_message(
    command: Command, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from discoenv.cli.main import main

    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_how_rewards_are_made_is_recorded_and_benchmarks_of_before_stay_linear(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    assert make_benchmark("baseline", reference="paired").matrix.scoring == Scoring("paired", "ordered")
    path = tmp_path / "bench" / "bench.json"
    content = json.loads(path.read_text())
    assert (content["environment"]["reference"], content["environment"]["transform"]) == ("paired", "ordered")
    del content["environment"]["reference"], content["environment"]["transform"]
    path.write_text(json.dumps(content))
    assert Benchmark(tmp_path / "bench").matrix.scoring == Scoring("shipped", "linear")
    content["environment"]["transform"] = "cubic"
    path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match="transform is 'cubic'; it must be one of ordered, linear; a later version"):
        _ = Benchmark(tmp_path / "bench").matrix.scoring


def test_another_matrix_does_not_go_into_the_same_folder(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    benchmark = make_benchmark("unchanged", seeds=2)
    assert make_benchmark("unchanged", seeds=2).matrix.created == benchmark.matrix.created
    with pytest.raises(BenchError, match="is a benchmark with other seeds"):
        make_benchmark("unchanged", seeds=3)
    with pytest.raises(BenchError, match="is a benchmark with other agents"):
        make_benchmark("baseline", seeds=2)
    with pytest.raises(BenchError, match="is a benchmark with other environment"):
        make_benchmark("unchanged", seeds=2, max_steps=9)
    (benchmark.directory / "bench.json").unlink()
    (benchmark.directory / "thesis.tex").touch()
    with pytest.raises(BenchError, match="is not empty, and not a benchmark"):
        make_benchmark("unchanged", seeds=2)


def test_without_a_folder_there_is_a_new_one_with_time_name_and_id(toy_pack: Path, tmp_path: Path) -> None:
    benchmark = Benchmark.create(
        None,
        agents=parse_agents(["unchanged"]),
        tasks=[Task.parse(TASKS[0])],
        seeds=[0],
        name="first try",
        root=tmp_path / "runs",
    )
    assert benchmark.directory.parent == tmp_path / "runs"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_first-try_[0-9a-f]{8}", benchmark.directory.name)
    assert benchmark.progress().states == {"pending": 1}


def test_a_scale_that_does_not_exist_is_reported_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    from discoenv.cli.main import main

    with pytest.raises(SystemExit) as caught:
        main(["bench", "run", "--agents", "baseline", "--tasks", "DiscoBench", "--scale", "huge"])
    assert caught.value.code == 2
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "'huge' is not one of 'tiny', 'small', 'full'" in error
