"""Functions of numbers and of categorical distributions that the rule is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from .types import BINS, MAX_VALUE

_EPSILON = 1e-3


def signed_log(x: Tensor) -> Tensor:
    """``sign(x) log(1 + |x|)``."""
    return x.sign() * x.abs().log1p()


def signed_hyperbolic(x: Tensor) -> Tensor:
    """``h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x``, which compresses values (Pohlen et al., 2018)."""
    return x.sign() * ((x.abs() + 1).sqrt() - 1) + _EPSILON * x


def signed_parabolic(x: Tensor) -> Tensor:
    """The inverse of :func:`signed_hyperbolic`."""
    z = (1 + 4 * _EPSILON * (_EPSILON + 1 + x.abs())).sqrt() / (2 * _EPSILON) - 1 / (2 * _EPSILON)
    return x.sign() * (z.square() - 1)


def select(x: Tensor, actions: Tensor) -> Tensor:
    """What belongs to the action taken: ``x [T or T + 1, B, A, ...]``, ``actions [T, B]`` -> ``[T, B, ...]``."""
    index = actions.long().reshape(*actions.shape, *[1] * (x.ndim - 2))
    return x.gather(2, index.expand(*actions.shape, 1, *x.shape[3:])).squeeze(2)


def categorical_kl(p: Tensor, q: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(p || q) of distributions given by logits ``[..., K]``; ``[...]``."""
    log_p = p.log_softmax(-1)
    return (log_p.exp() * (log_p - q.log_softmax(-1))).sum(-1)


def expected_value(logits: Tensor) -> Tensor:
    """Scalar value of categorical logits ``[..., 601]``: mean of the bins, transformed back; ``[...]``."""
    support = torch.linspace(-MAX_VALUE, MAX_VALUE, BINS, dtype=logits.dtype, device=logits.device)
    return signed_parabolic(logits.softmax(-1) @ support)


def neighbours(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The bins on both sides of numbers, and the weight of the upper one.

    Args:
        x: any shape; clipped to [-300, 300].

    Returns:
        Index of the lower bin and of the upper one, int64, and the weight of the upper bin; all shaped as ``x``. The
        lower bin has the rest. A number on a bin has it as both neighbours, and an upper weight of 1.
    """
    position = (x.clamp(-MAX_VALUE, MAX_VALUE) + MAX_VALUE) / (2 * MAX_VALUE) * (BINS - 1)
    lower, upper = position.floor(), position.ceil()
    # The meta-network was trained with this 1e-5: two neighbours share the weight almost in proportion.
    weight = 1 - (upper - MAX_VALUE - x.clamp(-MAX_VALUE, MAX_VALUE)) / (upper - lower + 1e-5)
    return lower.long(), upper.long(), weight


def two_hot(x: Tensor) -> Tensor:
    """Numbers ``[...]`` in [-300, 300] as distributions over the two bins around them, ``[..., 601]``."""
    lower, upper, weight = neighbours(x)
    zeros = torch.zeros(*x.shape, BINS, dtype=x.dtype, device=x.device)
    halves = zeros.scatter_add(-1, lower[..., None], (1 - weight)[..., None])
    return halves.scatter_add(-1, upper[..., None], weight[..., None])


def two_hot_cross_entropy(x: Tensor, logits: Tensor) -> Tensor:
    """Cross entropy of logits ``[..., 601]`` with :func:`two_hot` of ``x [...]``, which gets no gradient; ``[...]``."""
    lower, upper, weight = neighbours(x.detach())
    log_q = logits.log_softmax(-1)
    below, above = (log_q.gather(-1, index[..., None]).squeeze(-1) for index in (lower, upper))
    return -((1 - weight) * below + weight * above)
