"""Agents that are no plain functions, text that is none, and damaged folders: one line each, and the rest goes on."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.bench.benchmark import Benchmark
from discoenv.bench.cell import read_result, read_status
from discoenv.bench.report.build import report
from discoenv.cli.main import main
from discoenv.errors import BenchError, ExperimentError
from discoenv.experiment import Config, run_experiment
from tests.bench.conftest import MakeBenchmark
from tests.damaging import changed, holding, linked_to_endless_zeros, replaced_by_a_pipe

PLAYERS = "tests.bench.players"


def test_what_is_no_text_ends_its_own_cell_alone(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(f"{PLAYERS}:raising_what_is_no_text", "unchanged")
    assert benchmark.run().states == {"failed": 1, "done": 1}
    cell = benchmark.directory / "cells/0/0"
    assert read_status(cell).message == "ValueError: before \\ud800 after"
    assert read_result(cell).error == "ValueError: before \\ud800 after"
    assert "before \\ud800 after" in (cell / "error.txt").read_text(encoding="utf-8")
    assert "\\ud800 printed" in (cell / "stdout.txt").read_text(encoding="utf-8")
    assert benchmark.run(retry_failed=True).states == {"failed": 1, "done": 1}
    report(benchmark.directory)


def test_an_agent_may_be_a_coroutine(make_benchmark: MakeBenchmark) -> None:
    agents = [f"{PLAYERS}:asynchronous:note=x", f"{PLAYERS}:asynchronous_object", "baseline"]
    benchmark = make_benchmark(*agents)
    assert benchmark.run().states == {"done": 3}
    assert len({result.reward for result in benchmark.results()}) == 1
    assert benchmark.results()[0].steps == 1


def test_an_agent_that_returns_a_generator_has_failed(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(f"{PLAYERS}:hiding_a_generator")
    assert benchmark.run().states == {"failed": 1}
    assert "the agent returned a generator, which nothing runs" in benchmark.problems()[0]


def test_agents_and_arguments_are_checked_before_cells_are_played(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("baseline")
    path = benchmark.directory / "bench.json"
    content = json.loads(path.read_text())
    for change, message in (
        ({"agents": [f"{PLAYERS}:gone"]}, "cannot be imported"),
        ({"environment": {"max_steps": 2.5}}, "environment: max_steps is 2.5"),
        ({"environment": {"limits": {"budget_scale": "3"}}}, "environment: budget_scale is '3'"),
        ({"environment": {"steps": 3}}, "environment: unknown key 'steps'"),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(BenchError, match=message):
            Benchmark(benchmark.directory).run()
    assert not list(benchmark.directory.glob("cells/*/*/result.json"))
    with pytest.raises(BenchError, match="environment: device is 'tpu'"):
        make_benchmark("baseline", device="tpu")


class Running:
    """Its pickle makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_no_pickle_of_a_folder_that_someone_sent_is_loaded(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    benchmark = make_benchmark("baseline", "unchanged")
    benchmark.run()
    loaded = tmp_path / "loaded"
    cells = benchmark.directory / "cells"
    assert not list(cells.rglob("*.pkl"))
    for path in (cells / "configs.pkl", cells / "0/0/result.pkl", cells / "1/0/resume_checkpoint"):
        path.write_bytes(pickle.dumps(Running(loaded)))
    (cells / "1/0/status.json").unlink()
    assert Benchmark(benchmark.directory).run().states == {"done": 2}
    report(benchmark.directory)
    assert not loaded.exists()


@pytest.mark.parametrize("text", ["[", "[]", '{"configs": 3}', '{"configs": [{}]}'])
def test_configurations_that_cannot_be_read_are_named(make_benchmark: MakeBenchmark, text: str) -> None:
    benchmark = make_benchmark("baseline")
    (benchmark.directory / "cells").mkdir(exist_ok=True)
    (benchmark.directory / "cells/configs.json").write_text(text)
    with pytest.raises(ExperimentError, match=r"configs\.json cannot be read"):
        benchmark.run()


def test_one_pack_is_one_pack(make_benchmark: MakeBenchmark, toy_pack: Path) -> None:
    assert make_benchmark("baseline", packs=str(toy_pack)).matrix.environment["packs"] == [str(toy_pack)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of two cells as it is on disk, one done and one failed; nothing is played for it."""
    root = tmp_path_factory.mktemp("finished") / "bench"
    task = {"domain": "toy/Toy", "modules": ["model"], "meta_train": ["Line"], "meta_test": ["Wave"], "scale": "tiny"}
    matrix = {
        "name": "b",
        "agents": ["baseline"],
        "tasks": [task],
        "seeds": [0, 1],
        "scale": "tiny",
        "secret": "0" * 64,
    }
    result = {"agent": "baseline", "task": "toy/Toy-0", "domain": "toy/Toy", "modules": ["model"]}
    outcome = {"Wave": {"metric": 0.5, "normalised": 1.0, "ok": True}}
    for seed, state in enumerate(("done", "failed")):
        cell = root / "cells" / "0" / str(seed)
        cell.mkdir(parents=True)
        (cell / "status.json").write_text(json.dumps({"state": state, "attempts": 1}))
        ending = {"reward": 1.0, "meta_test": outcome, "succeeded": True} if state == "done" else {"error": "E: no"}
        (cell / "result.json").write_text(json.dumps(result | {"seed": seed} | ending))
    (root / "bench.json").write_text(json.dumps(matrix))
    (root / "cells/0/config.yml").write_text(json.dumps({"ID": 0, "agent": "baseline", "task": task}))
    return root


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def removed(path: Path) -> None:
    path.unlink()


DAMAGES: list[tuple[str, Callable[[Path], None]]] = [
    *((name, damage) for name in ("bench.json", "cells/0/0/status.json", "cells/0/0/result.json") for damage in (
        cut, replaced_by_a_folder, holding(b"\xff\xfe"), holding(b"[]"), holding(b"null"), holding(b"3"),
        holding(b'{"state": "done", "state": "done"}'), holding(b"[" * 100_000),
        replaced_by_a_pipe, linked_to_endless_zeros,
    )),
    ("bench.json", removed),
    ("bench.json", changed(agents="baseline")),
    ("bench.json", changed(agents=[])),
    ("bench.json", changed(tasks=["OnPolicyRL"])),
    ("bench.json", changed(tasks=[{}])),
    ("bench.json", changed(seeds=3)),
    ("bench.json", changed(seeds=[None])),
    ("bench.json", changed(environment="sandbox")),
    ("bench.json", changed(left_out=["x"])),
    ("bench.json", changed(secret=3)),
    ("cells/0/0/status.json", changed(state="finished")),
    ("cells/0/0/status.json", changed(started="yesterday")),
    ("cells/0/0/result.json", changed(reward="high")),
    ("cells/0/0/result.json", changed(meta_test=["Wave"])),
    ("cells/0/0/result.json", changed(meta_test={"Wave": {"metric": 1.0}})),
    ("cells/0/0/result.json", changed(modules=3, seconds="long")),
    ("cells/0/0/result.json", changed(tokens=[1])),
    ("cells/0/1/result.json", removed),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_a_damaged_benchmark_is_one_message(
    finished: Path, toy_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    name, damage = DAMAGES[number]
    folder = tmp_path / "bench"
    shutil.copytree(finished, folder)
    damage(folder / name)
    refused = 0
    for command in ("status", "report", "resume"):
        with pytest.raises(SystemExit) as caught:  # Typer leaves by it where all went well, too
            main(["bench", command, str(folder)])
        written = capsys.readouterr()
        if caught.value.code:
            refused += 1
            assert written.err.startswith("error: ")
            assert written.err.count("\n") == 1
    assert refused or name == "cells/0/1/result.json"


def test_a_failed_cell_without_a_result_names_what_is_wrong_with_its_configuration(
    finished: Path, toy_pack: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bench"
    shutil.copytree(finished, folder)
    (folder / "cells/0/1/result.json").unlink()
    assert read_result(folder / "cells/0/1").task.startswith("toy/Toy-")
    for text in ("", "agent: baseline", "agent: a\ntask: 3", "\x00", "task: {domain: toy/Toy}\nagent: a"):
        (folder / "cells/0/config.yml").write_text(text)
        with pytest.raises(BenchError, match=r"config\.yml: it does not say what the cell is"):
            read_result(folder / "cells/0/1")
    for damage in (replaced_by_a_pipe, linked_to_endless_zeros):
        damage(folder / "cells/0/config.yml")
        with pytest.raises(BenchError, match=r"config\.yml: it does not say what the cell is"):
            read_result(folder / "cells/0/1")
        for command in ("status", "report"):
            with pytest.raises(SystemExit):
                main(["bench", command, str(folder)])


@pytest.mark.parametrize("damage", [replaced_by_a_pipe, linked_to_endless_zeros])
@pytest.mark.parametrize("name", ["configs.json", "0/0/status.json", "0/0/result.json"])
def test_what_is_no_file_in_an_experiment_holds_nobody_up(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    config = Config({"x": 1})
    assert run_experiment(lambda *_: 7, config, [0], tmp_path / "logs", pickles=False) == [7]
    damage(tmp_path / "logs" / name)
    try:
        results = run_experiment(
            lambda *_: 8, config, [0], tmp_path / "logs", pickles=False, on_exists="resume", verbose=False
        )
    except ExperimentError as error:
        assert name.rpartition("/")[2] in str(error)
    else:
        assert results in ([7], [8])
