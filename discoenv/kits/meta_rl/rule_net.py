"""The rule: a network that reads an agent's experience and says where policy and predictions should move (LPG).

Oh et al., 2020, Discovering reinforcement learning algorithms; with lifetime inputs, Jackson et al., 2024 (TA-LPG).
Time is axis 1 of all arrays: W workers, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.nn import initializers

#: Parameters of a network: a pytree of arrays.
Params: TypeAlias = Any

#: How a rule sees the time: not at all; as the papers describe it; or as the published code computes it.
Conditioning: TypeAlias = Literal["none", "paper", "repo_raw"]


class RuleOutputs(NamedTuple):
    """What the rule says about each step.

    Attributes:
        pi_hat: ``[W, T]``; a positive number lowers the probability of the action taken.
        y_hat: ``[W, T, targets]``, towards which predictions move; probabilities.
    """

    pi_hat: jax.Array
    y_hat: jax.Array


def lifetime_features(kind: Conditioning, step: jax.Array, lifetime: jax.Array) -> jax.Array:
    """What a rule sees of the time.

    Args:
        kind: ``none``: nothing; ``paper``: n / N and log N; ``repo_raw``: n and N.
        step: number n of updates that the agent has made, ``[]``.
        lifetime: number N of updates that it will have made in the end, ``[]``.

    Returns:
        ``[0]`` or ``[2]``.

    Raises:
        ValueError: there is no such kind.
    """
    if kind == "none":
        return jnp.zeros(0)
    step, lifetime = jnp.asarray(step, float), jnp.asarray(lifetime, float)
    if kind == "paper":
        return jnp.stack([step / lifetime, jnp.log(lifetime)])
    if kind == "repo_raw":
        return jnp.stack([step, lifetime])
    raise ValueError(f"there is no conditioning {kind!r}; it must be none, paper or repo_raw")


@dataclass(frozen=True)
class LPG:
    """The network of LPG: a GRU that runs backwards over time.

    Attributes:
        embedding: width of the hidden layer that embeds predictions.
        hidden: width of the GRU.
        targets: length of the prediction vectors y.
        conditioning: which lifetime inputs it has.
    """

    embedding: int = 16
    hidden: int = 256
    targets: int = 8
    conditioning: Conditioning = "none"

    def init(self, key: jax.Array) -> Params:
        """Random parameters: kernels LeCun-normal, recurrent kernels orthogonal, biases 0."""
        inputs = 5 if self.conditioning == "none" else 7
        lecun, orthogonal = initializers.lecun_normal(), initializers.orthogonal()
        keys = jax.random.split(key, 10)

        def linear(key: jax.Array, rows: int, columns: int) -> Params:
            return {"w": lecun(key, (rows, columns), float), "b": jnp.zeros(columns)}

        gates = [lecun(k, (inputs, self.hidden), float) for k in keys[:3]]
        recurrent = [orthogonal(k, (self.hidden, self.hidden), float) for k in keys[3:6]]
        return {
            "embedding": [linear(keys[6], self.targets, self.embedding), linear(keys[7], self.embedding, 1)],
            "gru": {
                "inputs": {"w": jnp.concatenate(gates, 1), "b": jnp.zeros(3 * self.hidden)},
                "recurrent": {"w": jnp.concatenate(recurrent, 1), "b": jnp.zeros(self.hidden)},
            },
            "pi": linear(keys[8], self.hidden, 1),
            "y": linear(keys[9], self.hidden, self.targets),
        }

    def apply(
        self,
        params: Params,
        reward: jax.Array,
        done: jax.Array,
        pi: jax.Array,
        y: jax.Array,
        y_next: jax.Array,
        step: jax.Array,
        lifetime: jax.Array,
    ) -> RuleOutputs:
        """What the rule says about a rollout.

        The GRU starts from zeros at the end of the rollout; what comes later enters through ``y_next`` alone. The
        state is set to zero where an episode ended, and ``y_next`` is not seen there.

        Args:
            params: of the rule.
            reward, done: ``[W, T]``.
            pi: probability of the action taken, ``[W, T]``.
            y, y_next: predictions in a state and in the next one, ``[W, T, targets]``.
            step, lifetime: see :func:`lifetime_features`; not read without conditioning.
        """
        inputs = [reward, done.astype(pi.dtype), pi, self._embed(params, y)]
        inputs.append(jnp.where(done, 0, self._embed(params, y_next)))
        x = jnp.stack(inputs, -1)
        extra = lifetime_features(self.conditioning, step, lifetime).astype(x.dtype)
        x = jnp.concatenate([x, jnp.broadcast_to(extra, (*x.shape[:-1], extra.size))], -1)
        h = jax.nn.relu(self._backwards(params["gru"], x, done))
        y_hat = jax.nn.softmax(_linear(params["y"], h))
        return RuleOutputs(_linear(params["pi"], h)[..., 0], y_hat)

    @staticmethod
    def _embed(params: Params, y: jax.Array) -> jax.Array:
        first, second = params["embedding"]
        return _linear(second, jax.nn.relu(_linear(first, y)))[..., 0]

    def _backwards(self, params: Params, x: jax.Array, done: jax.Array) -> jax.Array:
        """States of the GRU, ``[W, T, hidden]``, from inputs ``[W, T, ...]``."""
        gates = jnp.moveaxis(_linear(params["inputs"], x), 1, 0)
        w, b = params["recurrent"]["w"], params["recurrent"]["b"]

        def step(h: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            gate, ended = now
            h = jnp.where(ended[:, None], 0, h)
            (reset_x, update_x, new_x), (reset_h, update_h, new_h) = jnp.split(gate, 3, -1), jnp.split(h @ w, 3, -1)
            reset, update = jax.nn.sigmoid(reset_x + reset_h), jax.nn.sigmoid(update_x + update_h)
            new = jnp.tanh(new_x + reset * (new_h + b))
            h = (1 - update) * new + update * h
            return h, h

        _, states = jax.lax.scan(step, jnp.zeros((len(x), self.hidden), x.dtype), (gates, done.T), reverse=True)
        return jnp.moveaxis(states, 0, 1)


def from_flax(params: Mapping[str, Any]) -> Params:
    """Parameters of the published implementation, as :class:`LPG` wants them.

    Args:
        params: its Flax tree: ``MLP_0``, ``LPGGRU_0``, ``Dense_0`` and ``Dense_1``.

    Raises:
        KeyError: names the part that is missing.
    """
    cell = params["LPGGRU_0"]["GRUCell_0"]

    def linear(part: Mapping[str, Any]) -> Params:
        return {"w": jnp.asarray(part["kernel"]), "b": jnp.asarray(part["bias"])}

    def joined(names: str, of: str) -> jax.Array:
        return jnp.concatenate([jnp.asarray(cell[name][of]) for name in names.split()], -1)

    return {
        "embedding": [linear(params["MLP_0"]["Dense_0"]), linear(params["MLP_0"]["Dense_1"])],
        "gru": {
            "inputs": {"w": joined("ir iz in", "kernel"), "b": joined("ir iz in", "bias")},
            "recurrent": {"w": joined("hr hz hn", "kernel"), "b": jnp.asarray(cell["hn"]["bias"])},
        },
        "pi": linear(params["Dense_0"]),
        "y": linear(params["Dense_1"]),
    }


def _linear(params: Params, x: jax.Array) -> jax.Array:
    return x @ params["w"] + params["b"]
