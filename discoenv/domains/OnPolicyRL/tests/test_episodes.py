"""OnPolicyRL in a whole episode: at scale small the base modules learn a game, in a minute."""

from __future__ import annotations

import contextlib

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.quick import quick_task
from discoenv.tasks.registry import get_domain
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.task import Setting

DOMAIN = get_domain("OnPolicyRL")
GAMES = [dataset for dataset in available_datasets(DOMAIN, "small") if dataset.startswith("MinAtar/")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_base_modules_learn_breakout_at_small_scale(sandbox: Sandbox) -> None:
    sides = {"meta_train": ("MinAtar/Freeway",), "meta_test": ("MinAtar/Breakout",)}
    task = quick_task(DOMAIN, scale="small", start="base", **sides)
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None, limits={"budget_scale": 20.0})
    with contextlib.closing(env):
        env.reset(seed=7)
        info = env.step("submit")[4]
    assert info["meta_test"]["MinAtar/Breakout"]["metric"] >= 10


@pytest.mark.parametrize("dataset", GAMES)
def test_an_exam_of_a_game_at_small_scale_takes_a_minute_at_most(dataset: str) -> None:
    assert baselines.entry(Setting(DOMAIN, "default", dataset, "small")).seconds.mean <= 60.0
