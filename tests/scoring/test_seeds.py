"""Numbers of exams that are recommended, and ``auto``, which takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discoenv.bench.tasks import parse_tasks
from discoenv.env import DiscoGenEnv
from discoenv.errors import TaskError
from discoenv.exams.host import Host
from discoenv.scoring import baselines, seeds
from discoenv.scoring.baselines import Baseline, SeedValues
from discoenv.tasks.domain import Domain
from discoenv.tasks.reading import read_task
from discoenv.tasks.task import Setting, Task

SetSpread = Callable[..., None]


@pytest.fixture
def set_spread(toy: Domain, monkeypatch: pytest.MonkeyPatch) -> SetSpread:
    """Sets the standard deviation of normalised scores over seeds, by dataset (else 0), and the seconds of an exam."""
    shipped = baselines.entry

    def change(seconds: float = 1.0, values: int = 3, **spreads: float) -> None:
        def entry(setting: Setting, device: str = "cpu") -> Baseline:
            found = shipped(setting, device)
            span = found.baseline.mean - found.floor.mean
            std = spreads.get(setting.dataset, 0.0) * span
            spread = SeedValues(mean=found.baseline.mean, std=std, values=[found.baseline.mean] * values)
            return found.model_copy(
                update={"baseline": spread, "seconds": SeedValues(mean=seconds, std=0, values=[seconds])}
            )

        monkeypatch.setattr(baselines, "entry", entry)

    return change


@pytest.mark.parametrize(
    ("spread", "seconds", "values", "number"),
    [
        (0.0, 1.0, 3, 1),
        (0.15, 1.0, 3, 1),
        (0.2, 1.0, 3, 2),
        (0.3, 1.0, 3, 4),
        (5.0, 1.0, 3, 5),
        (5.0, 250.0, 3, 2),
        (5.0, 5000.0, 3, 1),
        (5.0, 1.0, 1, 1),
    ],
)
def test_as_many_exams_as_make_the_error_small_and_fit_into_a_step(
    toy: Domain, set_spread: SetSpread, spread: float, seconds: float, values: int, number: int
) -> None:
    set_spread(Line=spread, seconds=seconds, values=values)
    assert seeds.recommended(Setting(toy, "default", "Line", "tiny")) == number


def test_a_side_has_the_largest_number_of_its_datasets(task: Task, set_spread: SetSpread) -> None:
    set_spread(Line=0.2, Steps=0.3, Wave=0.0)
    wide = task.model_copy(update={"meta_train": ("Line", "Steps")})
    assert (seeds.of_side(wide, "meta_train"), seeds.of_side(wide, "meta_test")) == (4, 1)


def test_auto_becomes_a_number_before_there_is_a_task(
    task: Task, host: Host, set_spread: SetSpread, tmp_path: Path
) -> None:
    """So that the id of a task says how many exams it has."""
    set_spread(Line=0.2, Wave=0.3)
    given: Any = {**task.model_dump(), "train_seeds": "auto", "test_seeds": "auto"}
    path = tmp_path / "task.yaml"
    path.write_text(task.to_yaml().replace("test_seeds: 1", "test_seeds: auto"))
    for form, expected in ((given, (2, 4)), (str(path), (1, 4))):
        env = DiscoGenEnv(task=form, host=host, runs_dir=None)
        env.reset(seed=0)
        assert (env.task.train_seeds, env.task.test_seeds) == expected
        assert (
            env.task.task_id
            == task.model_copy(update=dict(zip(("train_seeds", "test_seeds"), expected, strict=True))).task_id
        )
        env.close()
    (found,), _ = parse_tasks([str(path)], scale="tiny")
    assert found.test_seeds == 4
    with pytest.raises(TaskError, match="train_seeds is 'auto', but it is not known here what is recommended"):
        read_task(given)


def test_sampled_tasks_may_have_as_many_exams_as_are_recommended(host: Host, set_spread: SetSpread) -> None:
    set_spread(Line=0.3, Wave=0.3, Steps=0.3, Noise=0.3)
    sampling: dict[str, Any] = {"p_edit": 1.0, "train_seeds": "auto"}
    env = DiscoGenEnv(host=host, scale="tiny", runs_dir=None, sampling=sampling)
    env.reset(seed=0)
    assert (env.task.train_seeds, env.task.test_seeds) == (4, 2)
    env.close()
