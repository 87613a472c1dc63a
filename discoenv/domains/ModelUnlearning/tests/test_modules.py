"""The networks, the base modules and the fixed training loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from discoenv.testing import make_examiner

from .conftest import DOMAIN, OFFLINE, QUICK

CONFIG: dict[str, Any] = {"VOCABULARY": 11, "WIDTH": 8, "BLOCKS": 2, "HEADS": 2, "CONTEXT": 9}
ARCHITECTURES = ("attention", "decay", "convolution", "recurrent")


def short(dataset: str = QUICK, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration of few steps, and training data."""
    exam_ = make_examiner(DOMAIN, dataset, "tiny")
    return {**exam_.config, "STEPS": 4, **changes}, exam_.training_data(0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_sees_what_came_before_and_nothing_else(code: Any, architecture: str) -> None:
    torch.manual_seed(0)
    model = code.network.Network({**CONFIG, "ARCHITECTURE": architecture}).eval()
    tokens = torch.randint(1, 11, (3, 9))
    with torch.no_grad():
        before = model(tokens)
        assert before.shape == (3, 9, 11)
        for place in range(1, 9):
            other = tokens.clone()
            other[:, place:] = torch.randint(1, 11, other[:, place:].shape)
            torch.testing.assert_close(model(other)[:, :place], before[:, :place])
            other = tokens.clone()
            other[:, place - 1] = other[:, place - 1] % 10 + 1
            assert not torch.allclose(model(other)[:, place], before[:, place])
        features = model.features(tokens)
    assert [each.shape for each in features] == [(3, 9, 8)] * 3


def test_linear_attention_is_a_recurrence(code: Any) -> None:
    torch.manual_seed(0)
    block = code.network._Decay({**CONFIG, "ARCHITECTURE": "decay"}, 0)
    queries, keys, values = torch.randn(3, 1, 2, 9, 4)
    memory, expected = torch.zeros(1, 2, 4, 4), []
    for place in range(9):
        memory = torch.exp(block.rates)[None, :, None, None] * memory
        memory = memory + keys[:, :, place, :, None] * values[:, :, place, None, :]
        expected.append(torch.einsum("bhd,bhde->bhe", queries[:, :, place], memory) / 2.0)
    found = torch.nn.functional.layer_norm(torch.stack(expected, dim=2), (4,))
    torch.testing.assert_close(block.mix(queries, keys, values), found, rtol=1e-4, atol=1e-5)


def test_losses_are_those_of_plain_numpy(code: Any) -> None:
    torch.manual_seed(0)
    model = code.network.Network({**CONFIG, "ARCHITECTURE": "attention"})
    tokens = torch.tensor([[1, 4, 5, 6, 2], [1, 7, 2, 0, 0]])
    batch = code.network.Batch(tokens, torch.tensor([[0, 0, 1, 1, 0], [0, 1, 0, 0, 0]]).bool())
    logits = model(tokens).detach().double().numpy()
    chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    losses = [[-np.log(chances[row, k, tokens[row, k + 1]]) for k in range(count)] for row, count in ((0, 4), (1, 2))]
    found = code.network.token_losses(model, tokens).detach().numpy()
    np.testing.assert_allclose(found[0], losses[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], [*losses[1], 0.0, 0.0], rtol=1e-5)
    texts = code.network.text_losses(model, batch).detach().numpy()
    np.testing.assert_allclose(texts, [np.mean(each) for each in losses], rtol=1e-5)
    answers = code.network.answer_losses(model, batch).detach().numpy()
    np.testing.assert_allclose(answers, [np.mean(losses[0][1:3]), losses[1][0]], rtol=1e-5)
    taken = batch.take(torch.tensor([1]))
    assert taken.tokens.tolist() == [[1, 7, 2]]
    assert taken.answer.tolist() == [[False, True, False]]


def test_the_reader_says_what_the_model_says(code: Any) -> None:
    torch.manual_seed(0)
    model = code.network.Network({**CONFIG, "ARCHITECTURE": "recurrent"}).eval()
    reader, tokens = code.network.Reader(model), np.array([[1, 4, 5], [1, 7, 8]])
    likeliest = model(torch.tensor(tokens)).argmax(dim=-1).numpy()
    np.testing.assert_array_equal(reader.likeliest(tokens), likeliest[:, :-1])
    said = reader.continued(tokens, 3)
    np.testing.assert_array_equal(said[:, 0], likeliest[:, -1])
    alone = reader.continued(np.array([[1, 4, 5, *said[0, :2]]]), 1)
    assert alone[0, 0] == said[0, 2]


def test_the_base_loss_is_the_difference_up_to_a_bound(code: Any) -> None:
    config, data = short()
    model = code.network.build(config, {name[6:]: values for name, values in data.items() if name.startswith("model/")})
    forget, retain = (
        code.network.Batch(torch.tensor(data[f"{part}_tokens"]), torch.tensor(data[f"{part}_answers"]))
        for part in ("forget", "retain")
    )
    found = code.loss.unlearn_loss(model, model, forget, retain, 0, 1)
    forgotten = code.network.text_losses(model, forget).clamp(max=code.loss.ENOUGH).mean()
    expected = code.network.text_losses(model, retain).mean() - code.loss.FORGET * forgotten
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    lost = torch.nn.Embedding(config["VOCABULARY"], config["VOCABULARY"])  # knows nothing: its loss is beyond the bound
    loss = code.loss.unlearn_loss(lost, lost, forget, forget, 0, 1) - code.network.text_losses(lost, forget).mean()
    assert float(loss) == pytest.approx(-code.loss.FORGET * code.loss.ENOUGH, rel=1e-5)


def test_the_learning_rate_rises_and_falls(code: Any) -> None:
    config = {"LR": 0.1, "TOTAL_STEPS": 20, "WARMUP": 0.1}
    optimizer = code.optim.create_optimizer([("w", torch.nn.Parameter(torch.ones(2)))], config)
    scheduler = code.optim.create_scheduler(optimizer, config)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(0.05)
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.02


def test_each_text_comes_once_before_any_comes_again(code: Any) -> None:
    texts = [
        code.network.Batch(torch.ones(count, 3, dtype=torch.int64), torch.ones(count, 3).bool()) for count in (10, 7)
    ]
    config = {"FORGET_BATCH": 4, "RETAIN_BATCH": 3}
    sampler = code.sampler.Sampler(*texts, config, torch.Generator().manual_seed(0))
    drawn = [sampler.draw(step, None) for step in range(5)]
    forget, retain = (torch.cat([rows[part] for rows in drawn]).tolist() for part in range(2))
    assert sorted(forget) == sorted([*range(10)] * 2)
    assert sorted(retain[:7]) == sorted(retain[7:14]) == [*range(7)]


def test_what_may_not_change_does_not(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data = short()
    mask = torch.zeros(config["VOCABULARY"], config["WIDTH"], dtype=torch.bool)
    mask[5:9] = True
    monkeypatch.setattr(
        code.main, "trainable", lambda model, *_: {"embedding.weight": mask, "norm.bias": True, "norm.weight": False}
    )
    after = code.main.train(config, data, torch.device("cpu"), 0)
    for name, values in after.items():
        same = values == data[f"model/{name}"]
        if name == "embedding.weight":
            np.testing.assert_array_equal(same.all(axis=1), ~mask.numpy().any(axis=1))
        else:
            assert same.all() == (name != "norm.bias")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"nothing": True}, "has no parameter 'nothing'"),
        ({"norm.bias": torch.ones(3).bool()}, "the mask of 'norm.bias' is"),
        ({"norm.bias": False}, "no parameter may change"),
    ],
)
def test_choices_that_fit_no_parameter_are_named(
    code: Any, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any], message: str
) -> None:
    config, data = short()
    monkeypatch.setattr(code.main, "trainable", lambda *_: chosen)
    with pytest.raises(ValueError, match=message):
        code.main.train(config, data, torch.device("cpu"), 0)


def test_more_numbers_than_allowed_are_refused_and_the_base_chooses_fewer(
    code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = short(MAX_CHANGED=300)
    after = code.main.train(config, data, torch.device("cpu"), 0)
    changed = [values.size for name, values in after.items() if (values != data[f"model/{name}"]).any()]
    assert 0 < sum(changed) <= 300
    monkeypatch.setattr(code.main, "trainable", lambda model, *_: {name: True for name, _ in model.named_parameters()})
    with pytest.raises(ValueError, match="300 are allowed"):
        code.main.train(config, data, torch.device("cpu"), 0)


@pytest.mark.parametrize("rows", [[], [0] * 65, [-1], [10**6], [[0]]])
def test_rows_that_are_none_end_the_run(code: Any, rows: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"sampler\.py: rows of forget texts"):
        code.main.rows_of(torch.tensor(rows, dtype=torch.int64), 90, {"MAX_BATCH": 64}, "forget")


@pytest.mark.parametrize("dataset", OFFLINE)
def test_training_is_the_same_each_time_and_prints_a_curve(code: Any, dataset: str, capsys: Any) -> None:
    config, data = short(dataset, STEPS=2)
    one, again = (code.main.train(config, data, torch.device("cpu"), 3) for _ in range(2))
    for name, values in one.items():
        np.testing.assert_array_equal(values, again[name])
    assert "forget probability" in capsys.readouterr().out
