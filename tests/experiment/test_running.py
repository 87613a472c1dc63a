"""Experiments run every job once, keep what was done, and lose nothing to failures, deaths or kills."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from discoenv.experiment import (
    Checkpoint,
    Condition,
    Config,
    ExperimentError,
    ExperimentFailed,
    Finished,
    Grid,
    Sample,
    run_experiment,
    uniform,
)
from discoenv.experiment.layout import JobStatus

ROOT = Path(__file__).resolve().parents[2]
SEEDS = [1, 2, 3]


def grids() -> Config:
    return Config({"x": Grid([1, 2]), "y": Grid(["a", "b"]), "z": Condition(lambda config: config["x"] * 10)})


def counting(log: Path) -> Any:
    """A run that notes each call in ``log``."""

    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> Any:
        with log.open("a") as file:
            file.write(f"{config['ID']}/{seed}\n")
        return {"x": config["x"], "seed": seed}

    return run


def calls(log: Path) -> list[str]:
    return sorted(log.read_text().split()) if log.exists() else []


@pytest.mark.parametrize("chunksize", [1, 7, 40])
@pytest.mark.parametrize("max_workers", [None, 1, 5, 100])
def test_every_pair_is_run_and_results_are_in_order(tmp_path: Path, max_workers: int | None, chunksize: int) -> None:
    log_dir = tmp_path / "logs"
    results = run_experiment(
        lambda config, seed, device, logdir: (config["ID"], config["z"], seed, device, str(logdir)),
        grids(),
        SEEDS,
        str(log_dir),
        max_workers,
        chunksize,
    )
    assert results == [
        (number, [10, 10, 20, 20][number], seed, "cpu", str(log_dir / str(number) / str(seed)))
        for number in range(4)
        for seed in SEEDS
    ]
    assert sorted(path.name for path in log_dir.iterdir() if not path.name.startswith(".")) == [
        *"0123",
        "configs.json",
        "configs.pkl",
        "source_files",
    ]
    assert (log_dir / "source_files" / Path(__file__).name).read_bytes() == Path(__file__).read_bytes()
    for number in range(4):
        folder = log_dir / str(number)
        assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "3", "config.yml"]
        config = yaml.safe_load((folder / "config.yml").read_text())
        assert config == grids().make_configs()[number]
        for seed in SEEDS:
            assert JobStatus.read(folder / str(seed)).state == "done"
            assert json.loads((folder / str(seed) / "result.json").read_text())[0] == number
            line = (folder / str(seed) / "stdout.txt").read_text()
            assert f"ID {number} of 4 | seed {seed} | cpu | job {number * 3 + SEEDS.index(seed)} | PID" in line
            assert "x: " in line


def test_no_worker_outlives_an_experiment(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    run_experiment(lambda *_: None, Config({}), SEEDS, tmp_path / "logs", max_workers=2)
    assert not multiprocessing.active_children()
    assert set(threading.enumerate()) <= before  # none of the executors' own


def test_all_folders_exist_before_the_first_job(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> int:
        return len(list(logdir.parents[1].glob("[0-9]/[0-9]")))

    assert run_experiment(run, grids(), SEEDS, tmp_path / "logs") == [12] * 12


def test_results_are_what_was_returned_also_where_json_cannot_hold_it(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> Any:
        return np.arange(3) * seed, {1: float("nan")}

    for on_exists in ("error", "resume"):
        ((array, mapping),) = run_experiment(run, Config({"x": 1}), [2], tmp_path / "a", on_exists=on_exists)
        assert array.tolist() == [0, 2, 4]
        assert list(mapping) == [1]


def test_random_draws_are_recorded(tmp_path: Path) -> None:
    config = Config({"lr": uniform(0, 1), "f": Sample(lambda: np.float32(0.5))}, num_sample=3)
    rates = run_experiment(lambda config, *_: config["lr"], config, [0], tmp_path / "logs", config_seed=5)
    recorded = json.loads((tmp_path / "logs" / "configs.json").read_text())
    assert [each["lr"] for each in recorded["configs"]] == rates
    assert recorded["seed"] == 5
    assert config.make_configs(seed=5)[2]["lr"] == rates[2]


def test_a_failing_job_loses_no_other(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> int:
        if config["x"] == 2 and seed == 2:
            raise RuntimeError("too large")
        return seed

    with pytest.raises(ExperimentFailed, match=r"2 of 12 jobs failed[\s\S]*RuntimeError: too large") as caught:
        run_experiment(run, grids(), SEEDS, tmp_path / "logs", 2, chunksize=5)
    assert [(each.config["ID"], each.seed, each.state) for each in caught.value.failures] == [
        (2, 2, "failed"),
        (3, 2, "failed"),
    ]
    error = (tmp_path / "logs/3/2/error.txt").read_text()
    assert f'File "{__file__}", line' in error
    assert 'raise RuntimeError("too large")' in error
    results = run_experiment(run, grids(), SEEDS, tmp_path / "logs", on_exists="resume", raise_on_error=False)
    assert results == [1, 2, 3, 1, 2, 3, 1, None, 3, 1, None, 3]


def test_the_death_of_a_worker_is_no_other_jobs_problem(tmp_path: Path) -> None:
    log = tmp_path / "log"
    count = counting(log)

    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> Any:
        count(config, seed, device, logdir)
        if (config["ID"], seed) == (1, 2):
            os.kill(os.getpid(), signal.SIGKILL)
        return seed

    finished: list[Finished] = []
    results = run_experiment(
        run, grids(), SEEDS, tmp_path / "logs", 2, 4, raise_on_error=False, retries=1, on_finished=finished.append
    )
    assert results == [1, 2, 3, 1, None, 3, *[1, 2, 3] * 2]
    assert len(finished) == 12
    assert JobStatus.read(tmp_path / "logs/1/2").state == "infra"
    assert "its worker died" in JobStatus.read(tmp_path / "logs/1/2").message
    expected = sorted(f"{number}/{seed}" for number in range(4) for seed in SEEDS)
    assert calls(log) == sorted([*expected, "1/2"])  # the one that died twice, all others once


def test_errors_of_the_machine_are_tried_again(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> int:
        attempts = logdir / "attempts"
        attempts.write_text((attempts.read_text() if attempts.exists() else "") + "x")
        if len(attempts.read_text()) <= config["failures"]:
            raise ConnectionError("no route")
        return len(attempts.read_text())

    config = Config({"failures": Grid([0, 2, 9])})
    arguments: dict[str, Any] = {"infra_errors": [ConnectionError], "retries": 2, "raise_on_error": False}
    assert run_experiment(run, config, [0], tmp_path / "logs", **arguments) == [1, 3, None]
    assert JobStatus.read(tmp_path / "logs/2/0").state == "infra"
    assert run_experiment(run, config, [0], tmp_path / "logs", on_exists="resume", **arguments) == [1, 3, None]
    assert (tmp_path / "logs/2/0/attempts").read_text() == "x" * 6


def test_a_job_that_takes_too_long_is_killed_and_the_next_one_runs(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> int:
        time.sleep(600 if seed == 1 else 0)
        return seed

    results = run_experiment(
        run, Config({"x": 1}), [1, 2], tmp_path / "a", 1, 2, job_timeout_s=1.5, raise_on_error=False
    )
    assert results == [None, 2]
    status = JobStatus.read(tmp_path / "a/0/1")
    assert status.state == "failed"
    assert "longer than 1.5 s" in status.message


# ---- an experiment that is there already


def test_nothing_is_overwritten_unless_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        try:
            run_experiment(counting(log), grids(), [1], tmp_path / "logs")
        except ExperimentError as error:
            assert "on_exists='resume'" in str(error)
    assert len(calls(log)) == 4
    run_experiment(counting(log), grids(), [1], tmp_path / "logs", on_exists="backup")
    run_experiment(counting(log), grids(), [1], tmp_path / "logs", on_exists="clean")
    assert len(calls(log)) == 12
    assert (tmp_path / "old_logs/3/1/result.json").is_file()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.tex").write_text("…")
    with pytest.raises(ExperimentError, match="not the folder of an experiment"):
        run_experiment(counting(log), grids(), [1], tmp_path / "precious", on_exists="clean")
    assert (tmp_path / "precious/thesis.tex").exists()


def test_resuming_runs_what_is_missing_or_has_changed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = run_experiment(counting(log), grids(), [1, 2], tmp_path / "logs")
    log.unlink()
    results = run_experiment(counting(log), grids(), [1, 2, 3], tmp_path / "logs", on_exists="resume")
    assert calls(log) == ["0/3", "1/3", "2/3", "3/3"]
    assert results[0:2] == first[0:2]
    log.unlink()
    changed = Config({**grids().items, "y": Grid(["a", "other"])})
    run_experiment(counting(log), changed, [1], tmp_path / "logs", on_exists="resume")
    assert calls(log) == ["1/1", "3/1"]


def test_resuming_takes_the_recorded_draws(tmp_path: Path) -> None:
    config = Config({"lr": uniform(0, 1)}, num_sample=3)
    run = lambda config, seed, device, logdir: config["lr"]  # noqa: E731
    first = run_experiment(run, config, [0], tmp_path / "logs")
    assert run_experiment(run, config, [0], tmp_path / "logs", on_exists="resume") == first
    assert run_experiment(run, config, [0], tmp_path / "logs", on_exists="resume", config_seed=1) != first


def test_a_checkpoint_survives_what_comes_after_it(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> list[int]:
        checkpoint = Checkpoint(logdir)
        state: list[int] = checkpoint.load([])
        for step in range(len(state), 5):
            state.append(step)
            checkpoint.save(state)
            if step == 2 and config["interrupted"] and not (logdir / "mark").exists():
                (logdir / "mark").touch()
                raise RuntimeError("interrupted")
        return state

    config = Config({"interrupted": True})
    with pytest.raises(ExperimentFailed):
        run_experiment(run, config, [0], tmp_path / "logs")
    assert Checkpoint(tmp_path / "logs/0/0").load() == [0, 1, 2]
    assert run_experiment(run, config, [0], tmp_path / "logs", on_exists="resume") == [[0, 1, 2, 3, 4]]


PROGRAM = """
import sys, time
from pathlib import Path
from discoenv.experiment import Config, Grid, run_experiment

def run(config, seed, device, logdir):
    (logdir / "attempts").open("a").write("x")
    while config["x"] > 1 and not Path(config["gate"]).exists():
        time.sleep(0.02)
    return [config["x"], seed]

if __name__ == "__main__":
    config = Config({"x": Grid([1, 2, 3]), "gate": sys.argv[2]})
    results = run_experiment(run, config, [1, 2, 3, 4], sys.argv[1], 2, on_exists="resume", verbose=False)
    print(results == [[x, seed] for x in (1, 2, 3) for seed in (1, 2, 3, 4)])
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_experiment_loses_at_most_the_running_jobs(tmp_path: Path, number: signal.Signals) -> None:
    program, logs, gate = tmp_path / "program.py", tmp_path / "logs", tmp_path / "gate"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(logs), str(gate)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        while len(list(logs.glob("*/*/result.json"))) < 4:
            time.sleep(0.02)
            assert process.poll() is None
        while len(list(logs.glob("*/*/attempts"))) < 6:  # now both workers wait at the gate
            time.sleep(0.02)
            assert process.poll() is None
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.wait(100)
        assert psutil.wait_procs(workers, timeout=100)[1] == []
    done = {path.parent: path.read_text() for path in logs.glob("*/*/result.json")}
    assert len(done) == 4
    gate.touch()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100)
    assert again.stdout == "True\n"
    attempts = [len((folder / "attempts").read_text()) for folder in logs.glob("*/*") if folder.name in "1234"]
    assert len(attempts) == 12
    assert sum(attempts) == 12 + 2
    assert all((folder / "result.json").read_text() == text for folder, text in done.items())


def test_two_processes_do_not_run_the_same_experiment(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> str:
        try:
            run_experiment(lambda *_: None, Config({"x": 1}), [0], logdir.parents[1], on_exists="resume")
        except ExperimentError as error:
            return str(error)
        return "ran"

    (message,) = run_experiment(run, Config({"x": 1}), [0], tmp_path / "logs", 1)
    assert "is being run by another process" in message


# ---- devices and threads


def test_gpu_slots_are_shared_by_no_more_jobs_than_there_are(tmp_path: Path) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> tuple[str, float, float]:
        begin = time.monotonic()
        time.sleep(0.2)
        return device, begin, time.monotonic()

    results = run_experiment(run, Config({"x": 1}), list(range(8)), tmp_path / "a", 3, use_gpu=True, gpu_ids=[101, 103])
    assert {device for device, _, _ in results} == {"cuda:101", "cuda:103"}
    for device, begin, end in results:
        overlapping = [other for other in results if other[0] == device and other[1] < end and begin < other[2]]
        assert len(overlapping) == 1


def test_two_jobs_share_a_gpu_of_two_slots(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()

    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> str:
        (folder / str(seed)).touch()
        deadline = time.monotonic() + 120
        while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(list(folder.iterdir())) == 2
        return device

    arguments: dict[str, Any] = {"use_gpu": True, "gpu_ids": [107], "gpu_slots": 2}
    assert run_experiment(run, Config({"x": 1}), [1, 2], tmp_path / "a", 2, **arguments) == ["cuda:107"] * 2


@pytest.mark.parametrize("max_workers", [None, 1])
def test_numerical_libraries_use_one_thread_in_a_job(
    tmp_path: Path, max_workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
    (found,) = run_experiment(
        lambda *_: [os.environ.get(name) for name in names], Config({"x": 1}), [0], tmp_path / "a", max_workers
    )
    assert found == ["1"] * 4
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_job_keeps_what_it_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> None:
        print(f"hello from {seed}")

    run_experiment(run, Config({"x": 1}), [1, 2], tmp_path / "a", 1, verbose=False)
    assert (tmp_path / "a/0/2/stdout.txt").read_text() == "hello from 2\n"
    assert "hello" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": [1, 1]}, "twice"),
        ({"chunksize": 0}, "chunksize"),
        ({"on_exists": "delete"}, "on_exists"),
        ({"max_workers": -2}, "max_workers"),
        ({"config": [{"x": 1}]}, "ID"),
    ],
)
def test_arguments_are_checked(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    chosen: dict[str, Any] = {"config": Config({"x": 1}), "seeds": [1], "log_dir": tmp_path / "a"} | arguments
    with pytest.raises(ValueError, match=message):
        run_experiment(lambda *_: None, **chosen)


@pytest.mark.parametrize(
    "content", ["", "[", "3", "[]", '{"attempts": "two"}', '{"state": "odd"}', '{"started": "now"}', '{"message": 3}']
)
def test_a_status_that_is_damaged_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    assert JobStatus.read(tmp_path) == JobStatus()
