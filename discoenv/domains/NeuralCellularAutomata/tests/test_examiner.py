"""NeuralCellularAutomata's examiner: the floor, damage, states that it refuses, and pictures of what it saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata.examiner import damaged, losses
from discoenv.domains.NeuralCellularAutomata.samples import roll
from discoenv.domains.NeuralCellularAutomata.tests.conftest import DOMAIN, OFFLINE, by_rule, examiner
from discoenv.exams.examiner import ProtocolError
from discoenv.exams.examiner_process import load_domain_file

pytest.importorskip("sklearn")


@pytest.mark.parametrize("dataset", OFFLINE)
def test_perfect_outputs_beat_the_floor_and_doing_nothing_does_not(dataset: str) -> None:
    exam_ = examiner(dataset)
    floor = exam_.floor(7)
    idle = exam_.examine(by_rule(lambda states, noise: states), 7)
    assert idle["log10_loss"] == pytest.approx(floor["log10_loss"], abs=0.05)
    assert set(idle) == set(floor) <= {"log10_loss", *DOMAIN.specification.other_metrics}
    samples = exam_.sample(7)[1]
    outputs = samples.targets * (20.0 if exam_.config["LOSS"] == "cross_entropy" else 1.0)
    assert losses(outputs, samples, exam_.config["LOSS"]).max() < 1e-6
    assert floor["loss_mean"] == pytest.approx(10 ** floor["log10_loss"])


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1e7])
def test_an_answer_that_is_no_state_is_refused(answer: float) -> None:
    with pytest.raises(ProtocolError, match=r"step\(\) answered"):
        examiner().examine(by_rule(lambda states, noise: np.full_like(states, answer)), 0)


def test_damage_hits_what_has_grown_wherever_it_is() -> None:
    states = np.zeros((64, 20, 20, 5), np.float32)
    states[..., 4] = 1.0
    generator = np.random.default_rng(0)
    figure = np.zeros((20, 20))
    figure[5:15, 5:15] = 1.0
    places = generator.integers(20, size=(2, 64))
    states[..., 3] = roll(np.repeat(figure[None], 64, axis=0), *places)
    hurt = damaged(states, generator)
    removed = (hurt == 0).all(axis=-1)
    assert removed.sum(axis=(1, 2)).min() >= np.pi * 2.5**2
    assert removed.sum(axis=(1, 2)).max() <= np.pi * 5.5**2
    assert ((states[..., 3] > 0) & removed).sum(axis=(1, 2)).min() > 3
    np.testing.assert_array_equal(hurt[~removed], states[~removed])


def test_pictures_show_the_growth(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    from discoenv.examiners.plotting import ExamArtifacts

    saved = []
    for number, dataset in enumerate(["GrowingButterfly", "SelfClassifyingDigits", "SteadyDiffusion"]):
        exam_ = examiner(dataset)
        exam_.examine(by_rule(lambda states, noise: states), 0)
        assert sum(array.nbytes for array in exam_.artifacts.values()) < 1 << 20
        path = tmp_path / f"{dataset}.npz"
        np.savez(path, **exam_.artifacts)  # type: ignore[arg-type]
        saved.append(ExamArtifacts(step=number, side="meta_train", dataset=dataset, number=0, path=path))
    paths = load_domain_file(DOMAIN.directory, "pictures").plot(saved, tmp_path)
    assert len(paths) == 6
    for path in paths:
        with image.open(path) as opened:
            assert min(opened.size) > 50
            if path.suffix == ".gif":
                assert opened.n_frames > 5
