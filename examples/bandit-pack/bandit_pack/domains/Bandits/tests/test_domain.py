"""Bandits: formulas against plain loops, the examiner against arms that are known, candidates, and all checks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.exams.examiner import ProtocolError
from discoenv.testing import InProcessLearner, check_domain, domain_of, import_learner, make_examiner

DOMAIN = domain_of(Path(__file__).resolve().parents[1])
CANDIDATES = DOMAIN.directory / "candidates"


def regret(dataset: str, candidate: str | None = None, seed: int = 0) -> float:
    """What a player reaches that is examined in this process."""
    examiner = make_examiner(DOMAIN, dataset)
    data = examiner.training_data(seed)
    with import_learner(DOMAIN, dataset=dataset, modules=CANDIDATES / candidate if candidate else None) as code:
        return examiner.examine(InProcessLearner(code.main.Player(**data, seed=seed)), seed)["regret"]


def test_the_memory_has_counts_means_and_variances() -> None:
    rng = np.random.default_rng(0)
    pulled, rewards = rng.integers(3, size=(50, 2)), rng.normal(size=(50, 2))
    with import_learner(DOMAIN) as code:
        memory = code.memory.Memory(2, 3)
        for arms, paid in zip(pulled, rewards, strict=True):
            memory.update(arms, paid)
        pulls, mean, variance = memory.read()
    for problem in range(2):
        for arm in range(3):
            own = rewards[pulled[:, problem] == arm, problem]
            assert pulls[problem, arm] == len(own)
            assert mean[problem, arm] == pytest.approx(own.mean())
            assert variance[problem, arm] == pytest.approx(own.var())


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_who_knows_the_arms_loses_nothing_and_random_play_all(dataset: str) -> None:
    examiner = make_examiner(DOMAIN, dataset)
    best = iter(examiner.means(3).argmax(axis=2))  # type: ignore[attr-defined]
    omniscient = SimpleNamespace(play=lambda rewards: next(best))
    assert examiner.examine(InProcessLearner(omniscient), 3) == {"regret": 0.0, "best_arm": 1.0}
    assert examiner.floor(3)["regret"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("answer", [lambda n: np.full(n, -1), lambda n: np.full(n, 10), lambda n: np.zeros(n - 1, int)])
def test_arms_that_do_not_exist_end_the_exam(answer: Any) -> None:
    with pytest.raises(ProtocolError, match=r"play\(\) answered"):
        learner = SimpleNamespace(play=lambda rewards: answer(len(rewards)))
        make_examiner(DOMAIN, "Coins10").examine(InProcessLearner(learner), 0)


def test_new_arms_are_pulled_first_and_those_that_are_left_out_never() -> None:
    with import_learner(DOMAIN, dataset="Coins10") as code:
        code.main.shortlist = lambda problems, arms, horizon, rng: np.arange(arms) < 4 + np.zeros((problems, 1))
        player = code.main.Player(5, 10, 100, seed=0)
        pulled = np.array([player.play(np.zeros(5)) for _ in range(50)])
    assert (np.sort(pulled[:4], axis=0) == np.arange(4)[:, None]).all()
    assert pulled.max() == 3


def test_candidates_are_worse_and_better_than_the_base_modules() -> None:
    mean = {
        candidate: np.mean([regret(dataset, candidate) for dataset in ("Coins10", "RareClicks", "ManyCoins")])
        for candidate in [None, *sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir())]
    }
    base = mean.pop(None)
    assert [name for name, value in mean.items() if value > base + 0.02] == [n for n in mean if n < "05"]
    assert [name for name, value in mean.items() if value < base - 0.02] == [n for n in mean if n >= "05"]


def test_the_domain_is_what_every_domain_must_be() -> None:
    check_domain(DOMAIN)
