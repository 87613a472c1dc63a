"""An agent that learns by the rule: its network, and the learner step."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .meta_net import lstm_cell, truncated_normal
from .optim import AdamState, clipped_adam, init_adam
from .types import BINS, PREDICTIONS, AgentOutputs, MetaState, Params, UpdateRuleInputs
from .update_rule import DiscoUpdateRule, Targets


class AgentNetwork(nn.Module):
    """A network for observations that are vectors or small images, with all outputs that the rule needs.

    A torso of linear layers, with ReLU between them; linear heads for policy and y; and a model of actions: one step of
    an LSTM from the torso's state for each action, and a small network each for z, auxiliary policy and q.
    """

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        num_actions: int,
        torso: tuple[int, ...] = (512, 512),
        lstm: int = 128,
        head: int = 128,
    ) -> None:
        super().__init__()
        self.observation_ndim = len(observation_shape)
        size = int(torch.Size(observation_shape).numel())
        layers: list[nn.Module] = []
        for width in torso:
            layers += [nn.Linear(size, width), nn.ReLU()]
            size = width
        self.torso = nn.Sequential(*layers[:-1])  # nothing follows the last linear layer
        self.policy = nn.Linear(size, num_actions)
        self.y = nn.Linear(size, PREDICTIONS)
        self.root = nn.Linear(size, lstm)
        self.model = nn.Linear(num_actions + lstm, 4 * lstm)
        outputs = {"z": PREDICTIONS, "aux_pi": num_actions, "q": BINS}
        self.of_actions = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(lstm, head), nn.ReLU(), nn.Linear(head, n)) for name, n in outputs.items()}
        )
        self.num_actions = num_actions
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Truncated normal weights, with standard deviation 0.01 (policy, y) or 1 / sqrt(inputs); no biases."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                truncated_normal(layer, 0.01 if layer in {self.policy, self.y} else None, generator)

    def forward(self, observations: Tensor, actions: Tensor | None = None, policy_only: bool = False) -> AgentOutputs:
        """Outputs for observations ``[..., *observation_shape]``.

        Args:
            observations: what the agent sees.
            actions: ``[...]``, integers: z, q and aux_pi are those of these actions alone, ``[..., 1, K]``.
            policy_only: ``logits`` are all that is computed.
        """
        kept = observations.ndim - self.observation_ndim
        state = self.torso(observations.to(self.policy.weight.dtype).flatten(kept))
        if policy_only:
            return AgentOutputs(logits=self.policy(state))
        c = self.root(state)
        of_action, of_hidden = self.model.weight.split([self.num_actions, c.shape[-1]], 1)
        gates = nn.functional.linear(c.tanh(), of_hidden, self.model.bias)
        chosen = of_action.T if actions is None else of_action.T[actions.long()][..., None, :]
        hidden, _ = lstm_cell(gates[..., None, :] + chosen, c[..., None, :])  # [..., A, lstm]
        z, aux_pi, q = (self.of_actions[name](hidden) for name in ("z", "aux_pi", "q"))
        return AgentOutputs(logits=self.policy(state), y=self.y(state), z=z, q=q, aux_pi=aux_pi)


class Rollout(NamedTuple):
    """Experience as it was collected. Rewards and discounts are those of the step that led to a state.

    Attributes:
        observations: ``[T + 1, B, ...]``.
        actions: ``[T + 1, B]``, integers.
        rewards, discounts: ``[T + 1, B]``; a discount of 0 marks the first state of a new episode.
        logits: of the policy that acted, ``[T + 1, B, A]``.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    discounts: Tensor
    logits: Tensor

    def inputs(self, agent_out: AgentOutputs) -> UpdateRuleInputs:
        """The same as inputs of the rule, with what the current network says."""
        return UpdateRuleInputs(
            observations=self.observations,
            actions=self.actions,
            rewards=self.rewards[1:],
            is_terminal=self.discounts[1:] == 0,
            agent_out=agent_out,
            behaviour_agent_out=AgentOutputs(logits=self.logits),
        )


class LearnerState(NamedTuple):
    """What an agent is between learner steps: its parameters, its optimiser's state and the rule's."""

    params: Params
    optimizer: AdamState
    meta: MetaState


def init_learner(rule: DiscoUpdateRule, network: AgentNetwork) -> LearnerState:
    """A learner with a copy of the network's parameters."""
    params = {name: value.detach().clone() for name, value in network.named_parameters()}
    return LearnerState(params, init_adam(params), rule.init_meta_state(params))


def learner_step(
    rule: DiscoUpdateRule,
    network: AgentNetwork,
    state: LearnerState,
    rollout: Rollout,
    learning_rate: float = 3e-4,
    hyper_params: Mapping[str, float] | None = None,
    meta_training: bool = False,
) -> tuple[LearnerState, Targets, dict[str, Tensor]]:
    """Move an agent towards the rule's targets.

    Args:
        rule: the rule.
        network: the agent's architecture; its own parameters are not used.
        state: of the learner.
        rollout: the batch.
        learning_rate: of the optimiser.
        hyper_params: see :meth:`DiscoUpdateRule.unroll_meta_net`.
        meta_training: the next parameters have a graph that leads to the rule's weights.

    Returns:
        The next state, the targets and means for logs.
    """

    def unroll(params: Params, observations: Tensor, should_reset: Tensor) -> tuple[AgentOutputs, Any]:
        del should_reset  # the network has no memory
        outputs: AgentOutputs = functional_call(network, params, (observations,))
        return outputs, None

    inputs = rollout.inputs(AgentOutputs())
    with contextlib.nullcontext() if meta_training else torch.no_grad():
        out, _ = unroll(state.params, rollout.observations, inputs.should_reset_mask_fwd)
        seen = inputs._replace(agent_out=out)
        targets, meta = rule.unroll_meta_net(seen, state.params, state.meta, unroll, hyper_params)

    # The targets depend on `state.params`. The loss, in which they are constants, is differentiated by `params`, which
    # are the same; it reads z, q and aux_pi of the actions taken alone.
    params = {name: x.view_as(x) if meta_training else x.detach() for name, x in state.params.items()}
    params = {name: x if x.requires_grad else x.requires_grad_() for name, x in params.items()}
    taken = functional_call(network, params, (rollout.observations, rollout.actions))
    inputs = inputs._replace(agent_out=taken, actions=torch.zeros_like(rollout.actions))
    loss, logs = rule.agent_loss(inputs, targets, hyper_params, backprop_through_targets=meta_training)
    value_loss, value_logs = rule.agent_loss_no_meta(inputs, targets, hyper_params)
    mask = (rollout.discounts[:-1] != 0).to(loss.dtype)  # not the first action of an episode
    mean = ((loss + value_loss) * mask).sum() / (mask.sum() + 1e-8)
    gradients = torch.autograd.grad(mean, list(params.values()), create_graph=meta_training)
    with contextlib.nullcontext() if meta_training else torch.no_grad():
        new, optimizer = clipped_adam(
            state.params, dict(zip(params, gradients, strict=True)), state.optimizer, learning_rate
        )
    return LearnerState(new, optimizer, meta), targets, {**logs, **value_logs, "loss": mean.detach()}
