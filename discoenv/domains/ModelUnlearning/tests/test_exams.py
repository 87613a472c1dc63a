"""Exams in the sandbox, pictures, and what known methods reach."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from discoenv.domains.ModelUnlearning import pictures
from discoenv.examiners.plotting import ExamArtifacts
from discoenv.tasks.ladder import ladder_of
from discoenv.testing import check_domain, examined, import_learner, make_examiner

from .conftest import DOMAIN, QUICK

CANDIDATES = DOMAIN.directory / "candidates"
#: Whether a candidate helps (1) or harms (-1).
KNOWN = {"01_ascent_alone": -1, "02_one_text": -1, "03_biases": -1, "04_plain_descent": -1}


def scores(scale: Any, seeds: Any, modules: Any = None, dataset: str = QUICK) -> Any:
    """What training in this process reaches, per seed."""
    exam_, found = make_examiner(DOMAIN, dataset, scale), []
    with import_learner(DOMAIN, dataset=dataset, modules=modules) as code:
        torch.set_num_threads(1)
        for seed in seeds:
            data = exam_.training_data(seed)
            state = code.main.train(dict(exam_.config), data, torch.device("cpu"), seed)
            found.append(examined(exam_, code.answer, {"parameters": state}, seed)["unlearning"])
    return np.array(found)


def test_the_domain_is_what_every_domain_must_be() -> None:
    check_domain(DOMAIN)


def test_the_base_unlearns_at_tiny() -> None:
    assert 0.2 < scores("tiny", [0])[0] < 1.0


def test_pictures_are_drawn(tmp_path: Path) -> None:
    exam_: Any = make_examiner(DOMAIN, QUICK, "tiny")
    with import_learner(DOMAIN, dataset=QUICK) as code:
        examined(exam_, code.answer, {"parameters": exam_.parameters("full", 1)}, 1)
    arrays: dict[str, Any] = exam_.artifacts
    np.savez(tmp_path / "a.npz", **arrays)
    exams = [ExamArtifacts(step, "meta_train", QUICK, 0, tmp_path / "a.npz") for step in (0, 1)]
    assert {path.name for path in pictures.plot(exams, tmp_path)} == {
        "trade_off.png", "probabilities_FictAuthors-attention.png", "answers_FictAuthors-attention.png",
    }  # fmt: skip
    assert pictures.plot([], tmp_path) == []


@pytest.mark.slow
def test_candidates_help_and_harm_by_more_than_two_standard_errors() -> None:
    seeds = range(3)
    base = scores("tiny", seeds)
    for name, sign in KNOWN.items():
        difference = scores("tiny", seeds, CANDIDATES / name) - base
        error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
        assert sign * difference.mean() > 2 * error, f"{name}: {difference}"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("module", DOMAIN.modules)
def test_all_methods_of_the_ladder_train(module: str) -> None:
    ladder = ladder_of(DOMAIN)
    assert ladder
    for method in ladder[module].methods:
        with contextlib.redirect_stdout(None):
            text = (DOMAIN.directory / "ladder" / module / f"{method}.py").read_text(encoding="utf-8")
            assert -4.0 < scores("tiny", [0], {module: text})[0] <= 1.0
