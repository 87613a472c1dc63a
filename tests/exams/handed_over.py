"""The toy domain as one whose training hands over a state: weights, which are applied to features."""

from __future__ import annotations

from typing import Any, Final

MAIN: Final = '''\
"""Fits the discovered model to the training data, and hands over its weights."""

import exam
import numpy as np
from features import features
from model import Model

if __name__ == "__main__":
    data = exam.training_data()
    model = Model()
    model.fit(features(data["x"]), data["y"], np.random.default_rng(exam.seed()))
    exam.hand_over(model.state() if hasattr(model, "state") else {"weights": model.weights})
'''
ANSWER: Final = '''\
"""Applies weights to features."""

import exam
from features import features


class Weighted:
    """A fitted model as the examiner sees it."""

    def __init__(self, config, state):
        self._weights = state["weights"]

    def predict(self, x):
        """Values at x, float64[N]: float[N]."""
        return features(x) @ self._weights


make = Weighted

if __name__ == "__main__":
    exam.answer(make)
'''
#: Put at the end of the toy domain's examiner.
CHECK: Final = """


def check_state(self, state):
    state.require_keys("weights")
    weights = state.arrays.get("weights")
    if weights is None or weights.ndim != 1 or weights.dtype.kind != "f":
        raise ProtocolError("state 'weights' must be float[D]")
    state.require_at_most(size=16, of="weights")


RegressionExaminer.check_state = check_state
"""


def artefact(content: dict[str, Any], *, witness: bool = False) -> None:
    """Change ``domain.yaml`` of the toy domain."""
    content["exam"] = {"kind": "artefact", "answers_with": ["features"], "state_mib": 0.0625, "witness": witness}
    content["fixed_files"] = [*content["fixed_files"], "answer.py"]


def files(examiner: str) -> dict[str, str | None]:
    """Files of the toy domain that differ; ``examiner`` is the text of its examiner."""
    examiner = examiner.replace("import Array, Examiner, Learner", "import Array, Examiner, Learner, ProtocolError")
    return {
        "templates/default/main.py": MAIN,
        "templates/default/answer.py": ANSWER,
        "examiner.py": examiner + CHECK,
    }
