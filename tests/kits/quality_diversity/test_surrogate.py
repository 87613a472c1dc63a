"""The surrogate: published numbers of parameters, its loss beside a plain loop, and that a restored one goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.quality_diversity.problems import Evaluation  # noqa: E402
from discoenv.kits.quality_diversity.surrogate import (  # noqa: E402
    Experience,
    OccupancyNetwork,
    Predictor,
    Surrogate,
    SurrogateSettings,
)

SMALL = SurrogateSettings(width=4, blocks=1, epochs=2, batch_size=8)


def parameters(network: Any) -> int:
    return sum(x.numel() for x in network.parameters())


def test_numbers_of_parameters_are_the_published_ones() -> None:
    assert parameters(Predictor(5, 16, 64)) == 142_595
    assert parameters(Predictor(17, 64, 64)) == 2_796_291
    assert parameters(Predictor(18, 64, 64)) == 2_797_315
    assert parameters(OccupancyNetwork(4, 64, 2)) == 150_336
    assert parameters(OccupancyNetwork(17, 64, 2)) == 157_824


def experience(n: int = 20, shape: tuple[int, int] = (5, 7)) -> Experience:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 3, (n, *shape)).astype(np.int8)
    sums = levels.sum(axis=(1, 2)).astype(float)
    failed = np.zeros(n, bool)
    failed[3] = True
    data = Experience(shape)
    data.add(levels, Evaluation(sums, np.stack([sums, -sums], 1), (levels == 1).astype(np.float32), failed))
    return data


def test_failed_evaluations_are_no_data_and_the_oldest_are_dropped() -> None:
    data = experience()
    assert len(data) == 19
    levels = np.zeros((5, 5, 7), np.int8)
    evaluation = Evaluation(np.arange(5.0), np.zeros((5, 2)), np.zeros((5, 5, 7), np.float32), np.zeros(5, bool))
    data.add(levels, evaluation, keep=6)
    assert len(data) == 6
    assert data.objectives[1:].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ancillary", [True, False])
def test_training_equals_a_plain_loop(ancillary: bool) -> None:
    settings = SurrogateSettings(width=4, blocks=1, epochs=2, batch_size=8, ancillary=ancillary)
    (model, plain), data = (Surrogate((5, 7), 3, settings, 1) for _ in range(2)), experience()
    last = model.fit(data)
    # The same in a plain way: batches in the order that the generator of the seed gives, the loss as in the paper.
    rng = np.random.default_rng(1)
    networks = [plain.predictor, *([plain.occupancy] if plain.occupancy is not None else [])]
    optimiser = torch.optim.Adam([p for network in networks for p in network.parameters()], lr=1e-3)
    padded = np.zeros((19, 8, 8), int)
    padded[:, :5, :7] = data.levels
    tiles = torch.as_tensor(np.eye(3)[padded].transpose(0, 3, 1, 2), dtype=torch.float32)
    walked = torch.zeros(19, 1, 8, 8)
    walked[:, 0, :5, :7] = torch.as_tensor(data.occupancy)
    for network in networks:
        network.train()
    total = 0.0
    for _ in range(2):
        order = rng.permutation(19)
        total = 0.0
        for start in (0, 8, 16):
            rows = order[start : start + 8]
            loss = torch.zeros(())
            x = tiles[rows]
            if plain.occupancy is not None:
                occupancy = plain.occupancy(x)
                loss = loss + 10 * ((occupancy - walked[rows]) ** 2).mean()
                x = torch.cat([x, occupancy], 1)
            y = plain.predictor(x)
            truth = torch.as_tensor(np.column_stack([data.objectives, data.measures])[rows], dtype=torch.float32)
            loss = loss + sum(((y[:, k] - truth[:, k]) ** 2).mean() for k in range(3)) / 3
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
    assert last == pytest.approx(total / 19, rel=1e-5)
    for mine, other in zip(model._modules.parameters(), [p for n in networks for p in n.parameters()], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_the_predictors_loss_trains_the_occupancy_network() -> None:
    settings = SurrogateSettings(width=4, blocks=1, epochs=1, occupancy_weight=0.0)
    model = Surrogate((5, 7), 3, settings, 0)
    assert model.occupancy is not None
    before = [x.detach().clone() for x in model.occupancy.parameters()]
    model.fit(experience())
    assert any(not torch.equal(x, y) for x, y in zip(before, model.occupancy.parameters(), strict=True))


def test_it_learns_sums_of_tiles_and_where_a_tile_is() -> None:
    data = experience(300)
    data.objectives = data.objectives / 35  # about 1, as the first predictions are near 0
    data.measures = data.measures / 35
    settings = SurrogateSettings(width=8, blocks=1, epochs=30, measure_units=(0.2, 0.2))
    model = Surrogate((5, 7), 3, settings, 0)
    model.fit(data)
    objectives, measures, walked = model.predict(data.levels, chunk=77)
    assert np.abs(objectives - data.objectives).mean() < data.objectives.std()
    assert np.abs(measures - data.measures).mean() < 0.7 * data.objectives.std()
    assert walked is not None
    assert walked.shape == (299, 5, 7)
    assert np.abs(walked - data.occupancy).mean() < 0.12


def test_a_restored_surrogate_goes_on_as_if_it_had_not_been_stopped() -> None:
    data = experience()
    one, other = Surrogate((5, 7), 3, SMALL, 0), Surrogate((5, 7), 3, SMALL, 9)
    one.fit(data)
    other.restore(one.state())
    for model in (one, other):
        model.fit(data)
    for mine, its in zip(one.predict(data.levels), other.predict(data.levels), strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(its))


def test_without_data_nothing_is_trained() -> None:
    assert np.isnan(Surrogate((5, 7), 3, SMALL, 0).fit(Experience((5, 7))))
