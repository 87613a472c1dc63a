"""Greenhouse-gas forecasting in whole episodes: wrong answers are scored as the floor, and exams are short."""

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

DOMAIN = get_domain("GreenhouseGasPrediction")
MODEL = """
import numpy as np

class Model:
    def fit(self, X, y):
        return self

    def predict(self, X):
        return ANSWER

def make_model(config):
    return Model()
"""


@pytest.mark.parametrize("answer", ["np.zeros((len(X), 2))", "np.full(len(X), np.nan)"])
def test_a_wrong_answer_is_worth_less_than_any_that_works(answer: str, sandbox: Sandbox) -> None:
    # the cores are shared with other tests, and perhaps with other programs
    env = DiscoGenEnv(task=quick_task(DOMAIN), sandbox=sandbox, runs_dir=None, limits={"budget_scale": 20.0})
    with contextlib.closing(env):
        env.reset(seed=7)
        edit = {"path": "model.py", "content": MODEL.replace("ANSWER", answer)}
        _, reward, terminated, _, info = env.step({"edits": [edit], "command": "submit"})
    assert terminated
    (record,) = info["meta_test"].values()
    assert reward == -1.0
    assert record["exams"][0]["status"] in {"error", "protocol_error"}
    assert record["exams"][0]["message"]


@pytest.mark.parametrize("dataset", available_datasets(DOMAIN, "small"))
def test_an_exam_at_small_scale_takes_a_minute_at_most(dataset: str) -> None:
    assert baselines.entry(Setting(DOMAIN, "default", dataset, "small")).seconds.mean <= 60.0
