"""Tasks are named on the command line: DiscoBench, files, names, samples; what cannot be run here is said at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from discoenv.bench.tasks import obstacle, parse_tasks
from discoenv.errors import BenchError
from discoenv.tasks.discobench import get_discobench_tasks
from discoenv.tasks.registry import load_pack
from discoenv.tasks.task import Task
from tests.bench.conftest import TASKS, toy_task


def test_discobench_is_all_its_tasks_that_can_be_run_here() -> None:
    tasks, left_out = parse_tasks(["DiscoBench"], scale="tiny", device="cpu")
    assert len(tasks) + len(left_out) == len(get_discobench_tasks())
    assert all(task.scale == "tiny" and not obstacle(task, "cpu") for task in tasks)
    assert all(left_out.values())


def test_discobench_of_one_domain() -> None:
    tasks, _ = parse_tasks(["DiscoBench"], scale="tiny", domains=["GreenhouseGasPrediction"], test_seeds=5)
    names = [name for name in get_discobench_tasks() if name.startswith("GreenhouseGasPrediction")]
    assert len(tasks) == len(names) == 5
    assert {(task.domain, task.test_seeds) for task in tasks} == {("GreenhouseGasPrediction", 5)}


def test_sampled_tasks_differ_and_are_the_same_every_time() -> None:
    five, _ = parse_tasks(["sampled:5"], scale="tiny", domains=["GreenhouseGasPrediction"])
    assert len({task.task_id for task in five}) == 5
    assert parse_tasks(["sampled:3"], scale="tiny", domains=["GreenhouseGasPrediction"])[0] == five[:3]
    assert parse_tasks(["sampled:3"], scale="tiny", domains=["GreenhouseGasPrediction"], seed=1)[0] != five[:3]


def test_a_file_holds_a_task_or_a_list_of_tasks_and_names(toy_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(toy_task()))
    (tmp_path / "many.yaml").write_text(yaml.safe_dump([*TASKS, "GreenhouseGasPrediction_model"]))
    one, _ = parse_tasks([str(tmp_path / "one.yaml")], scale="small")
    assert one == [Task.parse(toy_task())]
    both, _ = parse_tasks([f"{tmp_path / 'one.yaml'},{tmp_path / 'many.yaml'}"], scale="tiny")
    assert both[:6] == [Task.parse(task) for task in TASKS]
    assert (both[6].domain, both[6].modules, both[6].scale) == ("GreenhouseGasPrediction", ("model",), "tiny")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampled:none", "needs a positive number"),
        ("sampled:0", "needs a positive number"),
        ("", "no task to run"),
        ("missing.yaml", "cannot be read"),
    ],
)
def test_mistakes_are_reported(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        parse_tasks([text], scale="tiny")


def test_a_task_that_cannot_be_run_here_is_an_error_unless_it_is_run_elsewhere(toy_pack: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_pack / "Toy", tmp_path / "bare" / "Toy", ignore=shutil.ignore_patterns("baselines.json"))
    load_pack(tmp_path / "bare")
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump(toy_task(domain="bare/Toy")))
    with pytest.raises(BenchError, match=r"Line has no baseline at scale tiny: discoenv calibrate bare/Toy"):
        parse_tasks([str(path)], scale="tiny", device="cpu")
    assert len(parse_tasks([str(path)], scale="tiny", here=False)[0]) == 1
