"""Experiments on Dask: the same results, resources that are kept, workers that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.experiment import Config, ExperimentError, Grid, run_experiment
from discoenv.experiment.cluster import connect
from discoenv.experiment.layout import JobStatus


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("dask")
    with connect("local", workers=2, resources={"SLOT": 1}, folder=folder) as client:
        yield client


def test_results_are_those_of_this_process(client: Any, tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> Any:
        if config["x"] == 2 and seed == 1:
            raise ValueError("odd")
        return config["x"] * 10 + seed, device

    config = Config({"x": Grid([1, 2, 3])})
    here = run_experiment(run, config, [0, 1], tmp_path / "here", raise_on_error=False)
    there = run_experiment(run, config, [0, 1], tmp_path / "there", raise_on_error=False, client=client, chunksize=2)
    assert there == here
    assert here[3] is None
    assert "odd" in JobStatus.read(tmp_path / "there/1/1").message


def test_jobs_share_no_resource_that_a_worker_has_once(client: Any, tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> tuple[int, float, float]:
        begin = time.time()
        time.sleep(0.1)
        return os.getpid(), begin, time.time()

    results = run_experiment(
        run, Config({"x": 1}), list(range(6)), tmp_path / "a", client=client, resources={"SLOT": 1}, verbose=False
    )
    for worker, begin, end in results:
        assert sum(other[0] == worker and other[1] < end and begin < other[2] for other in results) == 1


def test_workers_may_die_and_come(client: Any, tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> int:
        attempts = logdir / "attempts"
        with attempts.open("a") as file:
            file.write("x")
        if seed == 2 and len(attempts.read_text()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)
        return seed * seed

    results = run_experiment(run, Config({"x": 1}), list(range(6)), tmp_path / "a", client=client, verbose=False)
    assert results == [0, 1, 4, 9, 16, 25]
    attempts = [len((tmp_path / f"a/0/{seed}/attempts").read_text()) for seed in range(6)]
    assert attempts[2] == 2
    assert sum(attempts) <= 8  # the one that died, and what else was on that worker


def test_on_a_cluster_that_is_there_already(client: Any, tmp_path: Path) -> None:
    address = client.scheduler_info()["address"]
    with connect(address, workers=0) as other:
        assert run_experiment(lambda *_: 7, Config({"x": 1}), [0], tmp_path / "a", client=other) == [7]
    assert client.status == "running"


def test_a_cluster_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    def message(where: str, **arguments: Any) -> str:
        with pytest.raises(ExperimentError) as caught, connect(where, workers=1, **arguments):
            pass
        return str(caught.value)

    assert "no scheduler answers there" in message("tcp://127.0.0.1:9", timeout_s=1)
    assert "cannot be read" in message("slurm:missing.yaml")
    path = tmp_path / "slurm.yaml"
    path.write_text("queue: gpu\n")
    assert "at least cores and memory" in message(f"slurm:{path}")
    path.write_text("{cores: 1, memory: 1GB}\n")
    assert "no sbatch here" in message(f"slurm:{path}")
    assert "MEMORY" in message("local", resources={"MEMORY": 1e18})


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_an_interruption_whatever_was_imported(tmp_path: Path) -> None:
    (tmp_path / "slurm.yaml").write_text("cores: 1\nmemory: 1GB\n")
    program = f"""
import os, pathlib, signal
from discoenv.experiment.cluster import slurm_script
print(slurm_script(pathlib.Path({str(tmp_path / "slurm.yaml")!r})))
os.kill(os.getpid(), signal.SIGINT)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert "#SBATCH" in ended.stdout
    assert "KeyboardInterrupt" in ended.stderr


def test_time_limits_need_processes(client: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="job_timeout_s"):
        run_experiment(lambda *_: 0, Config({"x": 1}), [0], tmp_path / "a", client=client, job_timeout_s=1)
