"""Disco103 against the original implementation, to the last digits: values, targets, states, losses, gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.disco103 import (  # noqa: E402
    AgentOutputs,
    DiscoUpdateRule,
    ExtraFromRule,
    MetaState,
    Targets,
    UpdateRuleInputs,
)
from discoenv.kits.disco103.transforms import (  # noqa: E402
    signed_hyperbolic,
    signed_log,
    signed_parabolic,
    two_hot,
    two_hot_cross_entropy,
)
from discoenv.kits.disco103.types import ValueOuts  # noqa: E402
from discoenv.kits.disco103.values import retrace, value_outputs  # noqa: E402
from discoenv.kits.disco103.weights import _tensors  # noqa: E402

from .batches import CASES, OUTPUTS, Batch, batch_of  # noqa: E402

Reference = Mapping[str, Any]


def error(ours: Any, theirs: Any) -> float:
    """Largest absolute difference."""
    ours = ours.detach().numpy()
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def relative_error(ours: Any, theirs: Any) -> float:
    """Largest absolute difference, relative to the largest number."""
    return error(ours, theirs) / float(np.abs(theirs).max())


def steps_of(
    rule: DiscoUpdateRule, case: str, dtype: Any
) -> Iterator[tuple[str, Batch, ValueOuts, Targets, MetaState]]:
    """Consecutive learner steps of a case: name, batch, values, targets and the state after it."""
    params = {"w": torch.arange(4.0)}  # float32 in all cases: so was the original's stand-in for an agent
    state = rule.init_meta_state({"w": torch.zeros(4, dtype=dtype)})
    for step in range(CASES[case].steps):
        batch = batch_of(CASES[case], step, dtype)
        values, _, _ = value_outputs(
            batch.inputs, batch.target["q"], state["adv_ema_state"], state["td_ema_state"], discount=0.997, lambda_=0.95
        )
        with torch.no_grad():
            targets, state = rule.unroll_meta_net(batch.inputs, params, state, batch.unroll)
        yield f"{case}/step{step}", batch, values, targets, state


def losses(rule: DiscoUpdateRule, batch: Batch, targets: Targets) -> dict[str, Any]:
    """What the reference calls its losses."""
    loss, logs = rule.agent_loss(batch.inputs, targets)
    no_meta, more = rule.agent_loss_no_meta(batch.inputs, targets)
    return {
        "agent_loss": loss,
        "agent_loss_no_meta": no_meta,
        "pi_loss": logs["pi_loss"],
        "aux_kl_loss": logs["aux_loss"],
        "q_loss": more["q_loss"],
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_meta_network_alone(reference: Reference, request: pytest.FixtureRequest, dtype: str) -> None:
    rule = request.getfixturevalue("published" if dtype == "float32" else "published_double")
    given = {
        name.removeprefix("metanet0/in/"): torch.from_numpy(reference[name])
        for name in reference
        if name.startswith("metanet0/in/")
    }
    given = {name: x.to(getattr(torch, dtype)) if x.is_floating_point() else x for name, x in given.items()}
    inputs = UpdateRuleInputs(
        observations=given["logits"],
        actions=given["actions"],
        rewards=given["rewards"],
        is_terminal=given["is_terminal"],
        agent_out=AgentOutputs(logits=given["logits"], y=given["y"], z=given["z"]),
        behaviour_agent_out=AgentOutputs(logits=given["beh_logits"]),
        extra_from_rule=ExtraFromRule(
            v_scalar=given["v_scalar"],
            adv=given["adv"],
            normalized_adv=given["normalized_adv"],
            q=given["q"],
            qv_adv=given["qv_adv"],
            normalized_qv_adv=given["normalized_qv_adv"],
            target_out=AgentOutputs(logits=given["tgt_logits"], y=given["tgt_y"], z=given["tgt_z"]),
        ),
    )
    outs, (h, c) = rule.meta_net(inputs, (given["rnn_h"], given["rnn_c"]))
    found: dict[str, Any] = {**{f"out/{name}": x for name, x in outs.items()}, "state/rnn_h": h, "state/rnn_c": c}
    prefix, tolerance = ("metanet0", 1.3e-6) if dtype == "float32" else ("f64/metanet0", 1e-10)
    errors = {name: error(x, reference[f"{prefix}/{name}"]) for name, x in found.items()}
    assert set(errors) == {"out/pi", "out/y", "out/z", "out/meta_input_emb", "state/rnn_h", "state/rnn_c"}
    assert max(errors.values()) < tolerance, errors


@pytest.mark.parametrize("case", CASES)
def test_the_whole_rule_in_float64(published_double: DiscoUpdateRule, reference: Reference, case: str) -> None:
    errors: dict[str, float] = {}
    for name, batch, values, targets, state in steps_of(published_double, case, torch.float64):
        found: dict[str, Any] = {f"value/{key}": x for key, x in values._asdict().items()}
        found |= {f"out/{key}": targets[key] for key in ("pi", "y", "z", "meta_input_emb")}
        found |= {f"state/rnn_{key}": x for key, x in zip("hc", state["rnn_state"], strict=True)}
        for ema in ("adv_ema_state", "td_ema_state"):
            found |= {f"state/{ema}/{key}": x for key, x in state[ema]._asdict().items()}
        found["state/target_w"] = state["target_params"]["w"]
        groups = tuple(f"f64/{name}/{group}/" for group in ("value", "out", "state"))
        listed = {key.removeprefix(f"f64/{name}/") for key in reference if key.startswith(groups)}
        assert {"value/adv", "out/pi", "state/rnn_h"} <= listed <= set(found)
        errors |= {f"{name}/{key}": error(found[key], reference[f"f64/{name}/{key}"]) for key in listed}
        for key, x in losses(published_double, batch, targets).items():
            if f"f64/{name}/loss/{key}" in reference:
                assert relative_error(x, reference[f"f64/{name}/loss/{key}"]) < 1e-8, f"{name}/{key}"
    assert max(errors.values()) < 1e-10, {name: x for name, x in errors.items() if x >= 1e-10}


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_the_losses(published_double: DiscoUpdateRule, reference: Reference, case: str) -> None:
    # Of some cases the reference has gradients in float32 alone, and of some outputs the sums alone.
    prefix, tolerance = ("f64/", 1e-8) if f"f64/{case}/step0/grad_stats/y" in reference else ("", 1e-4)
    for name, batch, _, targets, _ in steps_of(published_double, case, torch.float64):
        found = losses(published_double, batch, targets)
        (found["agent_loss"] + found["agent_loss_no_meta"]).mean().backward()
        for key in OUTPUTS:
            gradient = batch.inputs.agent_out[key].grad  # type: ignore[literal-required]
            total, size, square = (float(x) for x in (gradient.sum(), gradient.abs().sum(), gradient.square().sum()))
            theirs = reference[f"{prefix}{name}/grad_stats/{key}"]
            assert (size, square) == pytest.approx(tuple(theirs[1:]), rel=tolerance), f"{name}/{key}"
            assert abs(total - theirs[0]) < tolerance * size, f"{name}/{key}"  # both are 0 but for rounding
            if f"{prefix}{name}/grad/{key}" in reference:
                assert relative_error(gradient, reference[f"{prefix}{name}/grad/{key}"]) < tolerance, f"{name}/{key}"


def test_meta_gradients_of_all_42_tensors_in_float64(published_double: DiscoUpdateRule, reference: Reference) -> None:
    batch = batch_of(CASES["small"], 0, torch.float64)
    params = {"w": torch.zeros(4, dtype=torch.float64)}
    targets, _ = published_double.unroll_meta_net(
        batch.inputs, params, published_double.init_meta_state(params), batch.unroll
    )
    loss, _ = published_double.agent_loss(batch.inputs, targets, backprop_through_targets=True)
    tensors = _tensors(published_double.meta_net)
    gradients = torch.autograd.grad(loss.mean(), [x for _, x, _ in tensors], allow_unused=True)
    largest = max(abs(reference[f"f64/small/step0/meta_grad_stats/{name}"][1]) for name, _, _ in tensors)
    for (name, parameter, _), found in zip(tensors, gradients, strict=True):
        gradient = torch.zeros_like(parameter) if found is None else found  # the lifetime LSTM follows the loss
        theirs = reference[f"f64/small/step0/meta_grad_stats/{name}"]
        assert abs(float(gradient.sum()) - theirs[0]) <= 1e-8 * max(theirs[1], 1e-6 * largest), name
        assert abs(float(gradient.abs().sum()) - theirs[1]) <= 1e-8 * max(theirs[1], 1e-6 * largest), name


@pytest.mark.parametrize("case", CASES)
def test_the_whole_rule_in_float32(published: DiscoUpdateRule, reference: Reference, case: str) -> None:
    # Where action values are nearly equal, float32 leaves little of an advantage; the original's own error is as large.
    for name, batch, _, targets, state in steps_of(published, case, torch.float32):
        for key in ("pi", "y", "z"):
            assert error(targets[key], reference[f"{name}/out/{key}"]) < 1e-3, f"{name}/{key}"
        assert error(state["rnn_state"][0], reference[f"{name}/state/rnn_h"]) < 5e-6, name
        ours = losses(published, batch, targets)["agent_loss_no_meta"]
        assert error(ours, reference[f"{name}/loss/agent_loss_no_meta"]) < 1e-3, name


def test_functions(reference: Reference) -> None:
    x = torch.from_numpy(reference["blocks/x"])
    for ours, name in ((signed_log, "signed_logp1"), (signed_hyperbolic, "signed_hyperbolic")):
        np.testing.assert_allclose(ours(x).numpy(), reference[f"blocks/{name}"], rtol=1e-6, atol=1e-7)
    # Its square root cancels near 0: float32 is as exact as that.
    np.testing.assert_allclose(signed_parabolic(x).numpy(), reference["blocks/signed_parabolic"], rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(two_hot(signed_hyperbolic(x)).numpy(), reference["blocks/to_2hot"], atol=1e-4)
    logits = torch.randn(len(x), 601, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(
        two_hot_cross_entropy(x, logits), -(two_hot(x) * logits.log_softmax(-1)).sum(-1), rtol=1e-5
    )


def test_retrace(reference: Reference) -> None:
    q, v, r, d, c = (reference[f"blocks/offpolicy/{name}"] for name in ("q_t", "v_t", "r_t", "discount_t", "c_t"))
    first = np.full(1, np.nan, np.float32)  # neither trace nor action value of the first step is read
    ours = retrace(
        *(torch.from_numpy(np.concatenate(x))[:, None] for x in ((r,), (d,), (first, v), (first, q), (first, c)))
    )
    np.testing.assert_allclose(ours[:, 0], reference["blocks/offpolicy/returns"], rtol=1e-6)
