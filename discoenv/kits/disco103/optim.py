"""The optimiser of agents: Adam, whose updates are clipped element by element; gradients can flow through it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .types import Params

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class AdamState(NamedTuple):
    """First and second moments of the gradients, shaped as the parameters, and the number of updates, float32."""

    m: Params
    v: Params
    count: Tensor


def init_adam(params: Params) -> AdamState:
    """State before the first update."""
    m = {name: torch.zeros_like(value, requires_grad=False) for name, value in params.items()}
    device = next(iter(params.values())).device
    return AdamState(m, dict(m), torch.zeros((), device=device))


def clipped_adam(
    params: Params, gradients: Params, state: AdamState, learning_rate: float, max_update: float = 1.0
) -> tuple[Params, AdamState]:
    """One step of Adam (Kingma and Ba, 2015): ``p - lr clip(m / (sqrt(v) + 1e-8))``.

    Args:
        params, gradients: by name. If the gradients have a graph, so have the new parameters, but not through ``v``.
        state: of the optimiser.
        learning_rate: lr.
        max_update: each element is clipped to [-max_update, max_update] before it is multiplied by lr.

    Returns:
        New parameters and state; the arguments are not changed.
    """
    count = state.count + 1
    bias_1, bias_2 = 1 - _BETA_1**count, 1 - _BETA_2**count
    m = {name: _BETA_1 * state.m[name] + (1 - _BETA_1) * g for name, g in gradients.items()}
    v = {name: _BETA_2 * state.v[name] + (1 - _BETA_2) * g.detach().square() for name, g in gradients.items()}
    updates = {name: (m[name] / bias_1) / ((v[name] / bias_2).sqrt() + _EPSILON) for name in params}
    new = {name: p - learning_rate * updates[name].clamp(-max_update, max_update) for name, p in params.items()}
    return new, AdamState(m, v, count)
