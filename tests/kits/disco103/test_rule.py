"""The rule by itself: Retrace, gradients, arguments, compilation, devices. New weights; no file is needed."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.disco103 import DiscoMetaNet, DiscoUpdateRule, MetaState, Targets, retrace  # noqa: E402
from discoenv.kits.disco103.transforms import two_hot  # noqa: E402
from discoenv.kits.disco103.types import UpdateRuleInputs  # noqa: E402
from discoenv.kits.disco103.values import initial_ema, normalise, update_ema  # noqa: E402

from .batches import Batch, Case, batch_of  # noqa: E402

CASE = Case(7, 5, 3, 4, 0.2, 1, 1.0)


@pytest.fixture(scope="module")
def rule() -> DiscoUpdateRule:
    """A rule that is not yet trained, but for its gate, which a new rule keeps closed until the second learner step."""
    rule = DiscoUpdateRule()
    rule.meta_net.reset_parameters(torch.Generator().manual_seed(0))
    torch.nn.init.constant_(rule.meta_net.gate.bias, 0.5)
    return rule


def targets_of(rule: DiscoUpdateRule, batch: Batch, **settings: float) -> tuple[Targets, MetaState]:
    params = {"w": torch.zeros(2)}
    return rule.unroll_meta_net(batch.inputs, params, rule.init_meta_state(params), batch.unroll, settings)


# --- values -----------------------------------------------------------------------------------------------------------


def test_retrace_uses_trace_and_value_of_the_next_step() -> None:
    random = np.random.default_rng(0)
    r, d, q, c = random.normal(size=(4, 6, 2))
    v = random.normal(size=(7, 2))
    expected = np.zeros((6, 2))
    expected[5] = r[5] + d[5] * v[6]
    for t in (4, 3, 2, 1, 0):
        expected[t] = r[t] + d[t] * (v[t + 1] + c[t + 1] * (expected[t + 1] - q[t + 1]))
    found = retrace(*(torch.from_numpy(x) for x in (r, d, v, q, c)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_retrace_sums_rewards_when_traces_are_one() -> None:
    r = torch.tensor([[1.0], [2.0], [4.0]])
    one, zero = torch.ones(3, 1), torch.zeros(3, 1)
    v = torch.tensor([[9.0], [5.0], [6.0], [8.0]])
    assert retrace(r, one, v, v[:3], one).flatten().tolist() == [15.0, 14.0, 12.0]  # on policy, to the bootstrap 8
    assert retrace(r, one, v, v[:3], zero).flatten().tolist() == [6.0, 8.0, 12.0]  # one step
    assert retrace(r, zero, v, v[:3], one).flatten().tolist() == [1.0, 2.0, 4.0]  # every step ends an episode


def test_statistics_have_no_bias_at_the_start() -> None:
    x = torch.tensor([1.0, 3.0])
    for updates in (1, 2, 30):
        ema = initial_ema()
        for _ in range(updates):
            ema = update_ema(ema, x)
        torch.testing.assert_close(normalise(x, ema), torch.tensor([-1.0, 1.0]), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(normalise(x, ema, centre=False), torch.tensor([1.0, 3.0]), rtol=1e-4, atol=1e-4)
    assert initial_ema(torch.float64).decay_product.dtype == torch.float32


def test_two_hot_shares_the_weight_between_neighbours() -> None:
    weights = two_hot(torch.tensor([-500.0, 0.25, 7.0, 300.0]))
    torch.testing.assert_close(weights.sum(-1), torch.ones(4))
    assert weights[0, 0] == weights[3, 600] == 1
    assert weights[2, 307] == 1
    torch.testing.assert_close(weights[1, 300:302], torch.tensor([0.75, 0.25]), rtol=1e-4, atol=1e-4)


def test_a_single_transition_is_refused(rule: DiscoUpdateRule) -> None:
    with pytest.raises(ValueError, match=r"1 x 1 transitions.*at least 2"):
        targets_of(rule, batch_of(CASE._replace(T=1, B=1)))
    with torch.no_grad():
        assert targets_of(rule, batch_of(CASE._replace(T=1, B=2)))[0]["pi"].isfinite().all()
        assert targets_of(rule, batch_of(CASE._replace(T=2, B=1)))[0]["pi"].isfinite().all()


# --- gradients --------------------------------------------------------------------------------------------------------


def test_targets_are_constants_unless_the_rule_is_trained(rule: DiscoUpdateRule) -> None:
    batch = batch_of(CASE)
    targets, _ = targets_of(rule, batch)
    head = rule.meta_net.y_head.weight
    constant = rule.agent_loss(batch.inputs, targets)[0].mean()
    assert torch.autograd.grad(constant, head, allow_unused=True, retain_graph=True) == (None,)
    trained = rule.agent_loss(batch.inputs, targets, backprop_through_targets=True)[0].mean()
    assert torch.autograd.grad(trained, head, retain_graph=True)[0].abs().sum() > 0
    values = rule.agent_loss_no_meta(batch.inputs, targets)[0].mean()
    assert torch.autograd.grad(values, head, allow_unused=True) == (None,)


def test_targets_depend_on_the_agent_through_y_and_z_alone(rule: DiscoUpdateRule) -> None:
    batch = batch_of(CASE)
    targets, _ = targets_of(rule, batch)
    loss = targets["y"].square().sum() + targets["pi"].square().sum()
    out = batch.inputs.agent_out
    of_y, of_z, of_logits, of_q = torch.autograd.grad(
        loss, [out["y"], out["z"], out["logits"], out["q"]], allow_unused=True
    )
    assert of_y.abs().sum() > 0
    assert of_z.abs().sum() > 0
    assert of_logits is None
    assert of_q is None


def test_each_loss_moves_its_own_outputs(rule: DiscoUpdateRule) -> None:
    batch = batch_of(CASE)
    with torch.no_grad():
        targets, _ = targets_of(rule, batch)
    out = batch.inputs.agent_out
    of = {"pi_cost": "logits", "y_cost": "y", "z_cost": "z", "aux_policy_cost": "aux_pi"}
    for cost, name in of.items():
        only = {other: float(other == cost) for other in of}
        loss = rule.agent_loss(batch.inputs, targets, only)[0].sum()
        gradients = torch.autograd.grad(loss, list(out.values()), allow_unused=True)
        moved = {key for key, g in zip(out, gradients, strict=True) if g is not None and g.abs().sum() > 0}
        assert moved == {name}


def test_predictions_of_other_actions_get_no_gradient(rule: DiscoUpdateRule) -> None:
    batch = batch_of(CASE)
    with torch.no_grad():
        targets, _ = targets_of(rule, batch)
    loss = rule.agent_loss(batch.inputs, targets)[0] + rule.agent_loss_no_meta(batch.inputs, targets)[0]
    for name in ("z", "q", "aux_pi"):
        (gradient,) = torch.autograd.grad(loss.sum(), batch.inputs.agent_out[name], retain_graph=True)
        moved = gradient.abs().sum(-1) > 0
        expected = torch.nn.functional.one_hot(batch.inputs.actions[:-1], CASE.A).bool()
        if name == "aux_pi":
            expected &= ~batch.inputs.is_terminal[..., None]  # what follows the end is another episode
        assert torch.equal(moved[:-1], expected)
        assert not moved[-1].any()


def test_no_target_depends_on_what_came_after_the_episode(rule: DiscoUpdateRule) -> None:
    batch = batch_of(CASE._replace(terminal=0))
    is_terminal = batch.inputs.is_terminal.clone()
    is_terminal[2, 0] = True
    extra: dict[str, Any] = {
        "v_scalar": torch.zeros(6, 3),
        "adv": torch.zeros(5, 3),
        "normalized_adv": torch.zeros(5, 3),
        "q": torch.zeros(6, 3, 4),
        "qv_adv": torch.zeros(6, 3, 4),
        "normalized_qv_adv": torch.zeros(6, 3, 4),
        "target_out": batch.target,
    }
    rewards = batch.inputs.rewards.clone().requires_grad_()
    inputs = batch.inputs._replace(is_terminal=is_terminal, rewards=rewards, extra_from_rule=extra)  # type: ignore[arg-type]
    outs, _ = rule.meta_net(inputs, (torch.ones(128), torch.ones(128)))
    (gradient,) = torch.autograd.grad(outs["y"][:3].sum(), rewards)
    assert (gradient[:3, 0] != 0).all()
    assert (gradient[3:, 0] == 0).all()
    assert (gradient[:, 1:] != 0).all()


# --- arguments --------------------------------------------------------------------------------------------------------


def test_hyper_parameters_that_are_not_known_are_named(rule: DiscoUpdateRule) -> None:
    with pytest.raises(KeyError, match=r"'pi_cots'.*known are pi_cost"):
        targets_of(rule, batch_of(CASE), pi_cots=2.0)


def test_the_discount_and_the_target_network_can_be_set(rule: DiscoUpdateRule) -> None:
    batch = batch_of(CASE)
    with torch.no_grad():
        targets, _ = targets_of(rule, batch, discount_factor=0.0)
        torch.testing.assert_close(targets["q_target"], batch.inputs.rewards)
        params = {"w": torch.ones(2)}
        state = rule.init_meta_state({"w": torch.zeros(2)})
        _, state = rule.unroll_meta_net(batch.inputs, params, state, batch.unroll)
        assert state["target_params"]["w"].tolist() == pytest.approx([0.1, 0.1])
        _, state = rule.unroll_meta_net(batch.inputs, params, state, batch.unroll, {"target_params_coeff": 0.5})
        assert state["target_params"]["w"].tolist() == pytest.approx([0.55, 0.55])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": torch.zeros(5, 3, dtype=torch.long)}, r"actions begins with \[5, 3\] instead of \[6, 3\]"),
        ({"is_terminal": torch.zeros(5, 1, dtype=torch.bool)}, r"is_terminal begins with \[5, 1\] instead of \[5, 3\]"),
        ({"rewards": torch.zeros(6, 3)}, r"rewards are \[T, B\] = \[6, 3\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(rule: DiscoUpdateRule, change: dict[str, Any], message: str) -> None:
    batch = batch_of(CASE)
    with pytest.raises(ValueError, match=message):
        targets_of(rule, batch._replace(inputs=batch.inputs._replace(**change)))


def test_the_meta_network_asks_for_values(rule: DiscoUpdateRule) -> None:
    with pytest.raises(ValueError, match="extra_from_rule is missing; unroll_meta_net computes it"):
        rule.meta_net(batch_of(CASE).inputs, rule.meta_net.initial_meta_rnn_state())


def test_a_new_meta_network_is_as_the_published_ones_began() -> None:
    net = DiscoMetaNet()
    net.reset_parameters(torch.Generator().manual_seed(0))
    cut = 0.8796  # standard deviation of a normal distribution cut at two of them
    assert float(net.gate.weight.detach().std()) == pytest.approx(cut, rel=0.02)
    assert float(net.z_head.weight.detach().std()) == pytest.approx(0.3 * cut, rel=0.02)
    assert float(net.trajectory_lstm.linear.weight.detach().std()) == pytest.approx(cut / np.sqrt(283), rel=0.02)
    assert all(float(x.abs().sum()) == 0 for name, x in net.named_parameters() if name.endswith("bias"))
    again = DiscoMetaNet()
    again.reset_parameters(torch.Generator().manual_seed(0))
    assert all(torch.equal(x, y) for x, y in zip(net.parameters(), again.parameters(), strict=True))


# --- compilation, devices ---------------------------------------------------------------------------------------------


def learner_loss(
    rule: DiscoUpdateRule, inputs: UpdateRuleInputs, batch: Batch, state: MetaState
) -> tuple[Any, MetaState]:
    targets, state = rule.unroll_meta_net(inputs, {"w": torch.zeros(2)}, state, batch.unroll)
    return rule.agent_loss(inputs, targets)[0] + rule.agent_loss_no_meta(inputs, targets)[0], state


BACKENDS = ["eager", pytest.param("inductor", marks=[pytest.mark.slow, pytest.mark.long])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_compiles_as_one_graph_with_the_same_results(rule: DiscoUpdateRule, backend: str) -> None:
    if backend == "inductor" and not any(map(shutil.which, ("g++", "clang++"))):
        pytest.skip("inductor needs a C++ compiler: install g++")
    torch.compiler.reset()
    batch = batch_of(CASE._replace(T=3, B=2))
    compiled = torch.compile(learner_loss, backend=backend, fullgraph=True)
    state = theirs = rule.init_meta_state({"w": torch.zeros(2)})
    for _ in range(2):
        loss, state = learner_loss(rule, batch.inputs, batch, state)
        found, theirs = compiled(rule, batch.inputs, batch, theirs)
        torch.testing.assert_close(found, loss, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(theirs["rnn_state"], state["rnn_state"], rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(x.mean(), batch.inputs.agent_out["z"])[0] for x in (loss, found)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-7)


def test_all_tensors_are_made_on_the_device_of_the_rule() -> None:
    # A meta tensor has a device and no data: an operation that mixes it with one of the CPU is refused.
    rule = DiscoUpdateRule().to("meta")
    batch = batch_of(CASE)

    def moved(tree: Any) -> Any:
        return {name: x.detach().to("meta") for name, x in tree.items()}

    inputs = (moved(x) if isinstance(x, dict) else x.to("meta") for x in batch.inputs[:-1])
    batch = Batch(UpdateRuleInputs(*inputs), moved(batch.target))
    params = {"w": torch.zeros(2, device="meta")}
    targets, state = rule.unroll_meta_net(batch.inputs, params, rule.init_meta_state(params), batch.unroll)
    loss = rule.agent_loss(batch.inputs, targets)[0] + rule.agent_loss_no_meta(batch.inputs, targets)[0]
    assert {loss.device.type, state["rnn_state"][0].device.type, state["adv_ema_state"].moment1.device.type} == {"meta"}
