"""The rule as a whole: values, meta-network, losses, and the state that it carries over an agent's lifetime."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .meta_net import DiscoMetaNet, MetaOuts
from .transforms import categorical_kl, expected_value, select, signed_hyperbolic, two_hot_cross_entropy
from .types import HYPER_PARAMS, AgentOutputs, ExtraFromRule, MetaState, Params, Unroll, UpdateRuleInputs
from .values import initial_ema, value_outputs


class Targets(MetaOuts):
    """What :meth:`DiscoUpdateRule.unroll_meta_net` returns: the targets, and values as of :class:`ValueOuts`."""

    q_target: Tensor
    adv: Tensor
    normalized_adv: Tensor
    qv_adv: Tensor
    normalized_qv_adv: Tensor
    q_value: Tensor
    q_td: Tensor
    normalized_q_td: Tensor
    target_out: AgentOutputs


class DiscoUpdateRule(nn.Module):
    """Disco103 (Oh et al., 2025): a meta-network gives targets, and the agent's outputs are moved towards them.

    Its weights are random until :func:`load_disco103_weights` gives it the published ones. It works on every device and
    in every floating dtype; ``rule.double()`` computes all but one statistic in float64.

    Example::

        rule = DiscoUpdateRule()
        load_disco103_weights(rule, "disco_103.npz")
        state = rule.init_meta_state(params)
        with torch.no_grad():
            meta_out, state = rule.unroll_meta_net(inputs, params, state, unroll)
        loss = rule.agent_loss(inputs, meta_out)[0] + rule.agent_loss_no_meta(inputs, meta_out)[0]
        loss.mean().backward()
    """

    def __init__(self) -> None:
        super().__init__()
        self.meta_net = DiscoMetaNet()

    def init_meta_state(self, agent_params: Params) -> MetaState:
        """State at the start of an agent's lifetime; the target network begins as a copy of ``agent_params``."""
        weight = self.meta_net.gate.weight
        return MetaState(
            rnn_state=self.meta_net.initial_meta_rnn_state(),
            adv_ema_state=initial_ema(weight.dtype, weight.device),
            td_ema_state=initial_ema(weight.dtype, weight.device),
            target_params={name: value.detach().clone() for name, value in agent_params.items()},
        )

    def unroll_meta_net(
        self,
        rollout: UpdateRuleInputs,
        agent_params: Params,
        meta_state: MetaState,
        unroll_fn: Unroll,
        hyper_params: Mapping[str, float] | None = None,
    ) -> tuple[Targets, MetaState]:
        """Compute the targets of a learner step.

        Call it under ``torch.no_grad()`` unless the rule itself is trained: then gradients flow from the targets to the
        meta-network, and through y and z to the parameters of the agent.

        Args:
            rollout: the batch; its ``extra_from_rule`` is replaced.
            agent_params: parameters of the network that ``rollout.agent_out`` is from.
            meta_state: of the agent.
            unroll_fn: runs the agent's network; called with the target parameters.
            hyper_params: what differs from :data:`HYPER_PARAMS`.

        Returns:
            Targets, and the next state. Its target parameters are ``0.9 target + 0.1 agent_params``.

        Raises:
            ValueError: shapes do not fit, or the batch has a single transition.
            KeyError: a hyper-parameter is not known.
        """
        settings = _settings(hyper_params)
        _check(rollout)
        target_out, _ = unroll_fn(meta_state["target_params"], rollout.observations, rollout.should_reset_mask_fwd)
        values, adv_ema, td_ema = value_outputs(
            rollout,
            target_out["q"],
            meta_state["adv_ema_state"],
            meta_state["td_ema_state"],
            discount=settings["discount_factor"],
            lambda_=settings["value_fn_td_lambda"],
        )
        extra = ExtraFromRule(
            v_scalar=values.value,
            adv=values.adv,
            normalized_adv=values.normalized_adv,
            q=values.target_q_value,
            qv_adv=values.qv_adv,
            normalized_qv_adv=values.normalized_qv_adv,
            target_out=target_out,
        )
        outs: MetaOuts
        outs, rnn_state = self.meta_net(rollout._replace(extra_from_rule=extra), meta_state["rnn_state"])
        keep = settings["target_params_coeff"]
        state = MetaState(
            rnn_state=rnn_state,
            adv_ema_state=adv_ema,
            td_ema_state=td_ema,
            target_params={
                name: keep * old + (1 - keep) * agent_params[name] for name, old in meta_state["target_params"].items()
            },
        )
        targets = Targets(
            **outs,
            q_target=values.q_target,
            adv=values.adv,
            normalized_adv=values.normalized_adv,
            qv_adv=values.qv_adv,
            normalized_qv_adv=values.normalized_qv_adv,
            q_value=values.q_value,
            q_td=values.q_td,
            normalized_q_td=values.normalized_q_td,
            target_out=target_out,
        )
        return targets, state

    def agent_loss(
        self,
        rollout: UpdateRuleInputs,
        meta_out: MetaOuts,
        hyper_params: Mapping[str, float] | None = None,
        backprop_through_targets: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Divergence of the agent's outputs from their targets, and of the auxiliary policy from the next one.

        ``KL(pi_hat || pi) + KL(y_hat || y) + KL(z_hat || z_a) + (1 - terminal) KL(pi_{t+1} || aux_pi_a)``, each with
        its weight; the last one's target has no gradient.

        Args:
            rollout: the batch.
            meta_out: targets ``pi [T, B, A]``, ``y`` and ``z [T, B, 600]``.
            hyper_params: what differs from :data:`HYPER_PARAMS`.
            backprop_through_targets: the targets get gradients, too: for meta-training.

        Returns:
            The loss of each transition, ``[T, B]``, and means for logs.
        """
        settings = _settings(hyper_params)
        out, actions = rollout.agent_out, rollout.actions[:-1]
        pi, y, z = (
            x if backprop_through_targets else x.detach() for x in (meta_out["pi"], meta_out["y"], meta_out["z"])
        )
        goes_on = (~rollout.is_terminal.bool()).to(pi.dtype)
        losses = {
            "pi": categorical_kl(pi, out["logits"][:-1]),
            "y": categorical_kl(y, out["y"][:-1]),
            "z": categorical_kl(z, select(out["z"], actions)),
            "aux": goes_on * categorical_kl(out["logits"][1:].detach(), select(out["aux_pi"], actions)),
        }
        weights = {"aux": settings["aux_policy_cost"], **{name: settings[f"{name}_cost"] for name in ("pi", "y", "z")}}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum(0)
        return total, {f"{name}_loss": loss.detach().mean() for name, loss in losses.items()}

    def agent_loss_no_meta(
        self, rollout: UpdateRuleInputs, meta_out: Targets, hyper_params: Mapping[str, float] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the action values with their Retrace targets; no gradient reaches the meta-network.

        Args:
            rollout: the batch.
            meta_out: with ``q_td [T, B]``.
            hyper_params: what differs from :data:`HYPER_PARAMS`.

        Returns:
            The loss of each transition, ``[T, B]``, and means for logs.
        """
        q = select(rollout.agent_out["q"], rollout.actions[:-1])
        target = signed_hyperbolic(expected_value(q.detach()) + meta_out["q_td"].detach())
        loss = two_hot_cross_entropy(target, q)
        return _settings(hyper_params)["value_cost"] * loss, {"q_loss": loss.detach().mean()}


def _settings(hyper_params: Mapping[str, float] | None) -> Mapping[str, float]:
    """The published settings, with some replaced."""
    for name in hyper_params or {}:
        if name not in HYPER_PARAMS:
            close = difflib.get_close_matches(name, HYPER_PARAMS, n=1) or list(HYPER_PARAMS)
            raise KeyError(f"no hyper-parameter is called {name!r}; known are {', '.join(close)}")
    return {**HYPER_PARAMS, **(hyper_params or {})}


def _check(rollout: UpdateRuleInputs) -> None:
    """Refuse shapes that would be broadcast, or fail where it is hard to see why."""
    steps, batch = rollout.rewards.shape
    actions = rollout.agent_out["logits"].shape[-1]
    expected = {
        "is_terminal": (rollout.is_terminal, (steps, batch)),
        "actions": (rollout.actions, (steps + 1, batch)),
        "agent_out['logits']": (rollout.agent_out["logits"], (steps + 1, batch, actions)),
        "agent_out['z']": (rollout.agent_out["z"].select(-1, 0), (steps + 1, batch, actions)),
        "behaviour_agent_out['logits']": (rollout.behaviour_agent_out["logits"], (steps + 1, batch, actions)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} begins with {list(tensor.shape)} instead of {list(shape)}, because rewards are [T, B] = "
                f"{[steps, batch]}"
            )
