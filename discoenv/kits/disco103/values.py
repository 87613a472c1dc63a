"""The value part of the rule: Retrace targets of categorical action values, advantages, and their normalisation."""

from __future__ import annotations

import torch
from torch import Tensor

from .transforms import expected_value, select
from .types import EmaState, UpdateRuleInputs, ValueOuts

_DECAY = 0.99
#: Below this number of transitions the first advantages have no variance to be normalised by.
MIN_TRANSITIONS = 2


def initial_ema(dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> EmaState:
    """Statistics of nothing yet."""
    zero = torch.zeros((), dtype=dtype, device=device)
    return EmaState(zero, zero, torch.ones((), dtype=torch.float32, device=device))


def update_ema(ema: EmaState, x: Tensor) -> EmaState:
    """``m <- 0.99 m + 0.01 mean(x)``, the same for x², and the power of the decay."""
    return EmaState(
        _DECAY * ema.moment1 + (1 - _DECAY) * x.mean(),
        _DECAY * ema.moment2 + (1 - _DECAY) * x.square().mean(),
        _DECAY * ema.decay_product,
    )


def normalise(x: Tensor, ema: EmaState, *, centre: bool = True) -> Tensor:
    """``x``, minus the mean if ``centre``, over the standard deviation, both without the bias of the start at 0."""
    scale = 1 / (1 - ema.decay_product)
    mean = ema.moment1 * scale
    variance = (ema.moment2 * scale - mean.square()).clamp_min(0)
    return (x - mean if centre else x) / ((variance + 1e-12).sqrt() + 1e-6)


def retrace(rewards: Tensor, discounts: Tensor, values: Tensor, action_values: Tensor, traces: Tensor) -> Tensor:
    """Retrace returns (Munos et al., 2016).

    Computes ``G_t = r_t + d_t (V_{t+1} + c_{t+1} (G_{t+1} - Q_{t+1}))`` for t < T - 1 and
    ``G_{T-1} = r_{T-1} + d_{T-1} V_T``. Trace and action value are those of the next step, t + 1.

    Args:
        rewards, discounts: r and d, ``[T, B]``.
        values: V, ``[T + 1, B]``.
        action_values: Q of the actions taken, ``[T, B]``; the first is not read.
        traces: c, ``[T, B]``; the first is not read.

    Returns:
        G, ``[T, B]``.
    """
    returns = [rewards[-1] + discounts[-1] * values[-1]]
    for t in range(len(rewards) - 2, -1, -1):
        correction = traces[t + 1] * (returns[-1] - action_values[t + 1])
        returns.append(rewards[t] + discounts[t] * (values[t + 1] + correction))
    return torch.stack(returns[::-1])


def value_outputs(
    inputs: UpdateRuleInputs,
    target_q: Tensor,
    adv_ema: EmaState,
    td_ema: EmaState,
    *,
    discount: float,
    lambda_: float,
) -> tuple[ValueOuts, EmaState, EmaState]:
    """Values, Retrace targets and normalised advantages of a batch, without gradients.

    Args:
        inputs: the batch.
        target_q: categorical action values of the target network, ``[T + 1, B, A, 601]``.
        adv_ema, td_ema: statistics of earlier advantages and TD errors; they are updated before they are used.
        discount: of one step, where the episode goes on.
        lambda_: factor of the traces, ``c = lambda min(1, rho)``.

    Returns:
        What was computed, and both statistics, updated.

    Raises:
        ValueError: there is a single transition, whose advantage has no variance.
    """
    steps, batch = inputs.rewards.shape
    if steps * batch < MIN_TRANSITIONS:
        raise ValueError(
            f"the rule got {steps} x {batch} transitions; advantages are divided by their standard deviation, so give "
            f"it at least {MIN_TRANSITIONS}, better several hundred"
        )
    with torch.no_grad():
        q, tq = expected_value(inputs.agent_out["q"]), expected_value(target_q)
        pi = inputs.agent_out["logits"].softmax(-1)
        v, tv = (pi * q).sum(-1), (pi * tq).sum(-1)
        actions = inputs.actions[:-1]
        log_pi, log_mu = (
            select(out["logits"][:-1].log_softmax(-1), actions)
            for out in (inputs.agent_out, inputs.behaviour_agent_out)
        )
        rho = (log_pi - log_mu).exp()
        clipped = rho.clamp_max(1)
        discounts = discount * (~inputs.is_terminal.bool()).to(q.dtype)
        g = retrace(inputs.rewards.to(q.dtype), discounts, tv, select(tq, actions), lambda_ * clipped)

        adv, qv_adv, q_td = g - tv[:-1], tq - tv[..., None], g - select(q, actions)
        value_target = tv[:-1] + clipped * adv
        adv_ema, td_ema = update_ema(adv_ema, adv), update_ema(td_ema, q_td)
        outs = ValueOuts(
            value=v,
            target_value=tv,
            rho=rho,
            q_target=g,
            adv=adv,
            normalized_adv=normalise(adv, adv_ema),
            value_target=value_target,
            td=value_target - v[:-1],
            qv_adv=qv_adv,
            normalized_qv_adv=normalise(qv_adv, adv_ema),
            q_value=q,
            target_q_value=tq,
            q_td=q_td,
            normalized_q_td=normalise(q_td, td_ema, centre=False),
        )
    return outs, adv_ema, td_ema
