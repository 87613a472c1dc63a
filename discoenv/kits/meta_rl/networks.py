"""Networks of agents: a table where observations are one-hot, layers elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.nn import initializers

from .gridworld import Indexed
from .rule_net import Params


def init_network(key: jax.Array, inputs: int, hidden: Sequence[int], outputs: int) -> Params:
    """Random parameters: kernels LeCun-normal, biases 0; without hidden layers one kernel and no bias."""
    widths = [inputs, *hidden, outputs]
    kernels = [
        initializers.lecun_normal()(k, shape, float)
        for k, *shape in zip(jax.random.split(key, len(widths) - 1), widths[:-1], widths[1:], strict=True)
    ]
    if not hidden:
        return [{"w": kernels[0]}]
    return [{"w": w, "b": jnp.zeros(w.shape[1])} for w in kernels]


def forward(params: Params, observation: jax.Array | Indexed) -> jax.Array:
    """Outputs ``[..., outputs]`` for observations; ReLU between layers.

    Args:
        params: from :func:`init_network`; without hidden layers if observations are indexed.
        observation: ``[..., inputs]``, or an :class:`Indexed` of any shape.
    """
    if isinstance(observation, Indexed):
        (table,) = params
        return table["w"][observation.index] + observation.time[..., None] * table["w"][-1]
    x = observation
    for i, layer in enumerate(params):
        x = x @ layer["w"] + layer.get("b", 0)
        if i < len(params) - 1:
            x = jax.nn.relu(x)
    return x
