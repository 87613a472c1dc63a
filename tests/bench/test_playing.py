"""What becomes of a cell: an episode with its own record and a result, whatever the agent and the machine do."""

from __future__ import annotations

from pathlib import Path

import pytest

from discoenv.bench.cell import CellResult, DatasetOutcome, Matrix, read_result, read_results, read_status
from discoenv.bench.playing import episode_seed
from discoenv.episodes.record import EpisodeRecord
from discoenv.episodes.watch import KINDS
from discoenv.tasks.task import Task
from tests.bench.conftest import TASKS, MakeBenchmark


def test_a_cell_is_an_episode_with_its_own_record(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("random_search:steps=2")
    progress = benchmark.run()
    assert progress.states == {"done": 1}
    (result,) = benchmark.results()
    assert (result.agent, result.seed, result.steps) == ("random_search:steps=2", 0, 2)
    assert (result.domain, result.modules) == ("toy/Toy", ["model", "features"])
    assert result.meta_train.keys() == {"Line"}
    assert result.meta_test["Wave"].normalised == pytest.approx(result.reward)
    assert result.meta_test["Wave"].ok
    assert result.succeeded
    assert result.tokens is None
    assert result.cost_usd is None
    assert result.record is not None
    run = EpisodeRecord.load(benchmark.directory / result.record)
    assert run.task.task_id == result.task
    assert run.result is not None
    assert run.result.reward == result.reward
    assert result.watch == dict.fromkeys(KINDS, 0)
    assert read_results(benchmark.directory) == [result]


def test_a_result_survives_its_file() -> None:
    result = CellResult(
        "a", "t", "d", ["m"], 3, reward=0.5, meta_test={"x": DatasetOutcome(1.0, 0.5, True)}, tokens={"total": 7}
    )
    assert CellResult.from_json(result.to_json()) == result
    assert CellResult.from_json(result.to_json() | {"a_later_key": 1}) == result
    earlier = result.to_json() | {"meta_test": {"x": {"score": 1.0, "normalised": 0.5, "ok": True}}}
    assert CellResult.from_json(earlier) == result


def test_agents_play_the_same_exams_and_seeds_differ(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    notes = [tmp_path / "one", tmp_path / "two"]
    agents = [f"tests.bench.players:submitting:note={note}" for note in notes]
    benchmark = make_benchmark(*agents, tasks=2, seeds=2)
    benchmark.run()
    one, two = (note.read_text().split() for note in notes)
    assert one == two
    assert len(set(one)) == 4
    seeds: dict[tuple[str, int], set[int]] = {}
    for result in benchmark.results():
        assert result.record is not None
        run = EpisodeRecord.load(benchmark.directory / result.record)
        seeds.setdefault((result.task, result.seed), set()).add(run.setup.episode_seed)
    assert len(seeds) == 4
    assert all(len(each) == 1 for each in seeds.values())
    task = Task.parse(TASKS[0])
    assert one[0] == str(episode_seed(0, task)) != str(episode_seed(1, task))


def test_what_an_agent_leaves_without_submitting_is_submitted(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("tests.bench.players:leaving", "baseline", tasks=3)
    benchmark.run()
    results = {(result.agent, result.task): result for result in benchmark.results()}
    base = Task.parse(TASKS[2]).task_id  # of the three, the one that starts from base modules
    left, baseline = results["tests.bench.players:leaving", base], results["baseline", base]
    assert left.reward is not None
    assert baseline.reward is not None
    assert left.reward > baseline.reward + 0.2
    assert (left.steps, baseline.steps) == (2, 1)


def test_an_agent_that_raises_has_failed_and_is_not_played_again_unasked(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("tests.bench.players:raising", "baseline", tasks=2)
    assert benchmark.run(workers=2).states == {"failed": 2, "done": 2}
    failed = [result for result in benchmark.results() if result.agent != "baseline"]
    assert all(result.reward is None and not result.succeeded for result in failed)
    assert failed[0].error == "ZeroDivisionError: a bug of the agent's own"
    assert failed[0].meta_train.keys() == {"Line"}
    assert "raise ZeroDivisionError" in (benchmark.directory / "cells/0/0/error.txt").read_text()
    assert "a bug of the agent's own" in benchmark.problems()[0]
    benchmark.run()
    assert read_status(benchmark.directory / "cells/0/0").attempts == 1
    benchmark.run(retry_failed=True)
    assert read_status(benchmark.directory / "cells/0/0").attempts == 2
    assert read_status(benchmark.directory / "cells/2/0").attempts == 1


def test_a_cell_is_one_episode(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("tests.bench.players:playing_twice")
    benchmark.run()
    (result,) = benchmark.results()
    assert "one episode per cell" in result.error
    assert result.reward is None


def test_failures_of_the_machine_are_tried_again_and_never_a_score(make_benchmark: MakeBenchmark) -> None:
    agents = [f"tests.bench.players:on_a_bad_machine:failures={count}" for count in (1, 5)]
    benchmark = make_benchmark(*agents)
    assert benchmark.run(retries=1).states == {"done": 1, "infra": 1}
    (result,) = benchmark.results()
    assert result.agent == agents[0]
    assert read_status(benchmark.directory / "cells/1/0").message == "InfraError: the disk is full"
    assert benchmark.run(retries=5).states == {"done": 2}
    assert read_status(benchmark.directory / "cells/0/0").attempts == 2


def test_what_is_missing_on_this_machine_is_never_a_score(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("tests.bench.players:without_a_package")
    assert benchmark.run().states == {"infra": 1}
    assert benchmark.results() == []
    assert read_status(benchmark.directory / "cells/0/0").message.startswith("PackageMissing: gepa is not installed")


def test_the_death_of_a_worker_is_no_score(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("tests.bench.players:dying_once", "baseline", tasks=2)
    assert benchmark.run(workers=2, retries=1).states == {"done": 4}


def test_a_cell_that_takes_too_long_has_failed_and_has_a_result(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark("tests.bench.players:submitting:sleep=600")
    assert benchmark.run(cell_timeout_s=4).states == {"failed": 1}
    result = read_result(benchmark.directory / "cells/0/0")
    assert result.reward is None
    assert "longer than 4 s" in result.error
    assert result.task == Task.parse(TASKS[0]).task_id


def test_the_matrix_records_what_was_compared_and_where(make_benchmark: MakeBenchmark) -> None:
    matrix = Matrix.load(make_benchmark("baseline", "scripted", tasks=3, seeds=4).directory)
    assert matrix.agents == ["baseline", "scripted"]
    assert [Task.parse(task) for task in matrix.tasks] == [Task.parse(task) for task in TASKS[:3]]
    assert matrix.seeds == [0, 1, 2, 3]
    assert matrix.scale == "tiny"
    assert {"python", "discoenv", "numpy"} <= matrix.versions.keys()
    assert {"host", "processor", "cores"} <= matrix.machine.keys()
