"""The meta-network: from a batch of experience to targets for an agent's policy and predictions.

An LSTM reads each trajectory backwards in time; a second one, over the agent's lifetime, gates it. The architecture and
its sizes are those of Disco103 (Oh et al., 2025, Discovering state-of-the-art reinforcement learning algorithms,
Nature 648). T transitions, B trajectories, A actions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor, nn

from .transforms import select, signed_log
from .types import PREDICTIONS, ExtraFromRule, UpdateRuleInputs

_BASE, _ACTION, _EMBEDDING = 27, 9, 2
_HIDDEN, _LIFETIME = 256, 128


class MetaOuts(TypedDict):
    """Targets, as logits, and what the lifetime network is told about them.

    Keys:
        pi: of the policy, ``[T, B, A]``.
        y, z: of the predictions, ``[T, B, 600]``; z of the action taken.
        meta_input_emb: ``[T, B, 1]``.
    """

    pi: Tensor
    y: Tensor
    z: Tensor
    meta_input_emb: Tensor


class _Policies(NamedTuple):
    """Probabilities of actions by the current, acting and target network, without gradients, ``[T + 1, B, A]``."""

    pi: Tensor
    mu: Tensor
    target_pi: Tensor


class _Predictions(NamedTuple):
    """Predictions of the current and target network, embedded as a number: y ``[T + 1, B, 1]``, z ``[…, A, 1]``."""

    y: Tensor
    target_y: Tensor
    z: Tensor
    target_z: Tensor


class ActionBlock(nn.Module):
    """Joins each action's vector with the mean over actions, then a linear layer and ReLU.

    ``[..., A, inputs]`` -> ``[..., A, outputs]``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return self.linear(torch.cat([x, x.mean(-2, keepdim=True).expand_as(x)], -1)).relu()


class LSTM(nn.Module):
    """An LSTM cell with the gates in the order i, g, f, o and 1 added to f; the linear layer reads ``[x, h]``."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.hidden = hidden
        self.linear = nn.Linear(inputs + hidden, 4 * hidden)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """One step: ``x [..., inputs]`` and the state (h, c), ``[..., hidden]`` each; returns the next state."""
        h, c = state
        return lstm_cell(self.linear(torch.cat([x, h], -1)), c)

    def backwards(self, x: Tensor, reset: Tensor) -> Tensor:
        """Hidden states of a pass from the last step to the first.

        Args:
            x: ``[T, B, inputs]``.
            reset: ``[T, B]``, bool: the state is zero before this step is read.

        Returns:
            ``[T, B, hidden]``.
        """
        of_inputs, of_hidden = self.linear.weight.split([self.inputs, self.hidden], 1)
        gates = nn.functional.linear(x, of_inputs, self.linear.bias)  # of all steps at once
        keep = (~reset.bool()).to(x.dtype)[..., None]
        h = c = torch.zeros_like(gates[0, :, : self.hidden])
        hidden = []
        for t in range(len(x) - 1, -1, -1):
            h, c = lstm_cell(gates[t] + (h * keep[t]) @ of_hidden.T, c * keep[t])
            hidden.append(h)
        return torch.stack(hidden[::-1])


def lstm_cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """``c' = sigmoid(f + 1) c + sigmoid(i) tanh(g)``, ``h' = sigmoid(o) tanh(c')``; ``gates [..., 4 H]``."""
    i, g, f, o = gates.chunk(4, -1)
    c = (f + 1).sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class Features(nn.Module):
    """Turns a batch into 27 numbers for each transition, and 2 for each of its actions."""

    def __init__(self) -> None:
        super().__init__()
        self.y_net = nn.Sequential(nn.Linear(PREDICTIONS, 16), nn.ReLU(), nn.Linear(16, 1))
        self.z_net = nn.Sequential(nn.Linear(PREDICTIONS, 16), nn.ReLU(), nn.Linear(16, 1))
        self.action_blocks = nn.Sequential(ActionBlock(_ACTION, 16), ActionBlock(16, _EMBEDDING))

    def forward(
        self, inputs: UpdateRuleInputs, extra: ExtraFromRule, p: _Policies, embedded: _Predictions
    ) -> tuple[Tensor, Tensor]:
        """Features ``[T, B, 27]`` and the embedding of each action, ``[T, B, A, 2]``.

        Gradients reach the agent through y and z alone.
        """
        actions, dtype = inputs.actions[:-1], p.pi.dtype
        y, target_y, z, target_z = embedded
        per_action = [
            p.pi,
            p.mu,
            p.target_pi,
            z.squeeze(-1),
            target_z.squeeze(-1),
            signed_log(extra["q"]),
            signed_log(extra["qv_adv"]),
            extra["normalized_qv_adv"],
        ]
        taken = nn.functional.one_hot(actions.long(), p.pi.shape[-1]).to(dtype)
        embedding = self.action_blocks(torch.stack([*(x[:-1] for x in per_action), taken], -1))

        def of_action(x: Tensor) -> Tensor:
            return select(x, actions).reshape(*actions.shape, 1)

        def mean(x: Tensor) -> Tensor:
            return pair((p.pi[..., None] * x).sum(2))  # the current policy weighs both networks' predictions

        base = [
            of_action(p.pi),
            of_action(p.mu),
            signed_log(inputs.rewards.to(dtype))[..., None],
            (~inputs.is_terminal.bool()).to(dtype)[..., None],
            pair(signed_log(extra["v_scalar"])[..., None]),
            signed_log(extra["adv"])[..., None],
            extra["normalized_adv"][..., None],
            of_action(p.target_pi),
            pair(y),
            pair(target_y),
            *(of_action(z), mean(z), pair(z.amax(2))),
            *(of_action(target_z), mean(target_z), pair(target_z.amax(2))),
            embedding.mean(2),
            select(embedding, actions),
        ]
        return torch.cat(base, -1), embedding


def embed(nets: Sequence[nn.Sequential], x: Tensor) -> list[Tensor]:
    """What several small networks say about the same ``x [..., 600]``, ``[..., 1]`` each; it is read once."""
    first = [net[0] for net in nets]
    weight, bias = torch.cat([layer.weight for layer in first]), torch.cat([layer.bias for layer in first])
    hidden = nn.functional.linear(x, weight, bias).relu().chunk(len(nets), -1)
    return [net[2](h) for net, h in zip(nets, hidden, strict=True)]


def pair(x: Tensor) -> Tensor:
    """What is known before and after each transition: ``[T + 1, B, K]`` -> ``[T, B, 2 K]``."""
    return torch.cat([x[:-1], x[1:]], -1)


class DiscoMetaNet(nn.Module):
    """The meta-network: 42 tensors with 754,778 values.

    A new one has random weights, for meta-training from scratch; :func:`load_disco103_weights` gives it Disco103's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = Features()
        self.trajectory_lstm = LSTM(_BASE, _HIDDEN)
        self.gate = nn.Linear(_LIFETIME, _HIDDEN)
        self.meta_input_emb = nn.Linear(_HIDDEN, 1)
        self.y_head = nn.Linear(_HIDDEN, PREDICTIONS)
        self.z_head = nn.Linear(_HIDDEN, PREDICTIONS)
        self.policy_block = ActionBlock(_HIDDEN + _EMBEDDING, 16)
        self.policy_head = nn.Linear(16, 1)
        self.lifetime_features = Features()
        self.lifetime_inputs = nn.Linear(_BASE + 2, 16)
        self.lifetime_lstm = LSTM(16, _LIFETIME)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Truncated normal weights, with standard deviation 1 / sqrt(inputs), or 0.3 (heads) or 1 (gate); no biases."""
        heads = {self.meta_input_emb, self.y_head, self.z_head, self.policy_head}
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                std = 0.3 if layer in heads else 1.0 if layer is self.gate else None
                truncated_normal(layer, std, generator)

    def initial_meta_rnn_state(self) -> tuple[Tensor, Tensor]:
        """State of the lifetime LSTM when an agent begins to learn: zeros, (h, c), ``[128]`` each."""
        zeros = torch.zeros_like(self.gate.weight[0], requires_grad=False)
        return zeros, zeros

    def forward(
        self, inputs: UpdateRuleInputs, meta_rnn_state: tuple[Tensor, Tensor]
    ) -> tuple[MetaOuts, tuple[Tensor, Tensor]]:
        """Targets for a batch, and the next state of the lifetime LSTM.

        Args:
            inputs: the batch, with ``extra_from_rule``.
            meta_rnn_state: (h, c), ``[128]`` each.

        Raises:
            ValueError: ``extra_from_rule`` is missing.
        """
        extra = inputs.extra_from_rule
        if extra is None:
            raise ValueError("inputs.extra_from_rule is missing; unroll_meta_net computes it, or give it yourself")
        out, target = inputs.agent_out, extra["target_out"]
        pi, mu, target_pi = (x["logits"].detach().softmax(-1) for x in (out, inputs.behaviour_agent_out, target))
        policies, features = _Policies(pi, mu, target_pi), (self.features, self.lifetime_features)
        y_nets, z_nets = [f.y_net for f in features], [f.z_net for f in features]
        embedded = zip(
            *(embed(y_nets, x["y"].softmax(-1)) for x in (out, target)),
            *(embed(z_nets, x["z"].softmax(-1)) for x in (out, target)),
            strict=True,
        )
        of_trajectory, of_lifetime = (_Predictions(*x) for x in embedded)

        x, embedding = self.features(inputs, extra, policies, of_trajectory)
        u = self.trajectory_lstm.backwards(x, inputs.is_terminal) * self.gate(meta_rnn_state[0])
        meta_input_emb, y_hat, z_hat = self.meta_input_emb(u), self.y_head(u), self.z_head(u)
        repeated = u[:, :, None].expand(*embedding.shape[:3], _HIDDEN)
        pi_hat = self.policy_head(self.policy_block(torch.cat([repeated, embedding], -1))).squeeze(-1)

        x, _ = self.lifetime_features(inputs, extra, policies, of_lifetime)
        y_emb = self.lifetime_features.y_net(y_hat.softmax(-1))
        summary = self.lifetime_inputs(torch.cat([x, meta_input_emb, y_emb], -1)).mean((0, 1))
        outs = MetaOuts(pi=pi_hat, y=y_hat, z=z_hat, meta_input_emb=meta_input_emb)
        return outs, self.lifetime_lstm(summary, meta_rnn_state)


def truncated_normal(layer: nn.Linear, std: float | None = None, generator: torch.Generator | None = None) -> None:
    """Give a layer weights from a normal distribution cut at two standard deviations, and biases of 0.

    Args:
        layer: the layer.
        std: standard deviation; None: 1 / sqrt(number of inputs).
        generator: of the numbers; None: torch's.
    """
    std = 1 / math.sqrt(layer.in_features) if std is None else std
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std, generator=generator)
    nn.init.zeros_(layer.bias)
