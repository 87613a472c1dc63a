"""Training: counted, reproducible, and better than what it is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OfflineRL.examiner import OfflineRLExaminer
from discoenv.domains.OfflineRL.tests.conftest import DOMAIN, settings
from discoenv.tasks.ladder import ladder_of, method_text
from discoenv.testing import examined, import_learner

jax = pytest.importorskip("jax")

LADDERS = ladder_of(DOMAIN)


def trained(code: Any, examiner: OfflineRLExaminer, seed: int) -> dict[str, Any]:
    """What main.py hands over."""
    data, normalisation = code.data.load(examiner.training_data(seed))
    config = code.main.FrozenDict(examiner.config)
    params, curve, steps = code.main.train(config, data, seed)
    code.main.report(curve, config)
    return {"actor": code.main.unfreeze(params), "normalisation": normalisation, "gradient_steps": steps}


@contextlib.contextmanager
def with_modules(texts: dict[str, str], dataset: str = "Maze/medium-navigate") -> Iterator[Any]:
    with import_learner(DOMAIN, dataset=dataset, modules=texts) as code:
        yield code


def test_the_same_seed_trains_the_same_bits(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    examiner = OfflineRLExaminer("Maze/medium-navigate", "tiny", settings())
    one, same = (trained(code, examiner, 5) for _ in range(2))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one["gradient_steps"] == 20
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["until", "step"] and "critic loss" in lines[0] and len(lines) == 2 * 11
    metrics = examined(examiner, code.answer, one, 5)
    assert set(metrics) == {"score", *DOMAIN.specification.other_metrics} and metrics["gradient_steps"] == 20


def test_indices_of_another_shape_are_refused(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    examiner = OfflineRLExaminer("Maze/medium-navigate", "tiny", settings())
    monkeypatch.setattr(code.main, "draw_indices", lambda rng, data, config: jax.numpy.zeros((21, 16), "int32"))
    with pytest.raises(ValueError, match=r"sampler.py: indices are int32\(21, 16\); expected int32\(20, 16\)"):
        trained(code, examiner, 0)


@pytest.mark.slow
def test_the_base_modules_reach_far_more_than_the_floor_and_a_worse_loss_less(code: Any) -> None:
    examiner = OfflineRLExaminer("Pendulum/mixed", "tiny", DOMAIN.config("Pendulum/mixed", "tiny"))
    state, other = (trained(code, examiner, seed) for seed in (0, 1))
    assert not all((np.asarray(a) == b).all() for a, b in zip(*map(jax.tree.leaves, (state, other)), strict=True))
    base = examined(examiner, code.answer, state, 0)
    floor = examiner.floor(0)
    assert base["score"] > floor["score"] + 25.0 and base["success"] > 0.9
    with with_modules({"actor_loss": method_text(DOMAIN, "actor_loss", "bc")}, "Pendulum/mixed") as cloning:
        worse = examined(examiner, cloning.answer, trained(cloning, examiner, 0), 0)
    assert worse["score"] < base["score"] - 20.0


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("number", range(max(len(ladder.methods) for ladder in LADDERS.values())))
def test_every_method_of_the_ladder_passes_an_exam(number: int) -> None:
    """The methods with this number, one of each module, make one agent, which is trained shortly."""
    chosen = {module: list(ladder.methods)[number % len(ladder.methods)] for module, ladder in LADDERS.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    examiner = OfflineRLExaminer("Maze/medium-navigate", "tiny", settings(GRADIENT_STEPS=300, BATCH_SIZE=32))
    with with_modules(texts) as code:
        state = trained(code, examiner, 0)
        metrics = examined(examiner, code.answer, state, 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state)), chosen
    assert metrics["gradient_steps"] == 300 and metrics["score"] >= 0.0, chosen
