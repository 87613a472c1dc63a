"""What the rule reads, returns and carries from one learner step to the next.

Arrays are time-major: T transitions, B trajectories, A actions. ``[T + 1, B, ...]`` includes the state that is
bootstrapped from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict

import torch
from torch import Tensor

#: Number of classes of the predictions y and z, whose meaning the rule has learned.
PREDICTIONS: Final = 600
#: Number of bins of the action values q, and their range: integers from -300 to 300.
BINS: Final = 601
MAX_VALUE: Final = 300.0

#: Parameters of an agent's network, by name.
Params: TypeAlias = dict[str, Tensor]


class AgentOutputs(TypedDict, total=False):
    """What an agent's network says about states; unnormalised logits, all with the same floating dtype.

    Keys:
        logits: of the policy, ``[T + 1, B, A]``.
        y: prediction for the state, ``[T + 1, B, 600]``.
        z: prediction for each action, ``[T + 1, B, A, 600]``.
        q: value of each action, ``[T + 1, B, A, 601]``; bin i is the transformed value i - 300.
        aux_pi: policy in the state that follows each action, ``[T + 1, B, A, A]``.
    """

    logits: Tensor
    y: Tensor
    z: Tensor
    q: Tensor
    aux_pi: Tensor


#: ``unroll(params, observations, should_reset) -> (outputs, state)``: an agent's network on ``[T + 1, B, ...]``
#: observations. ``should_reset [T + 1, B]`` is true where an episode begins; the rule ignores the state returned.
Unroll: TypeAlias = Callable[[Params, Tensor, Tensor], tuple[AgentOutputs, Any]]


class ExtraFromRule(TypedDict):
    """What the value part adds to the inputs of the meta-network (see :class:`ValueOuts`).

    Keys:
        v_scalar: V of the current network, ``[T + 1, B]``.
        adv, normalized_adv: ``[T, B]``.
        q: values of the target network, ``[T + 1, B, A]``.
        qv_adv, normalized_qv_adv: ``[T + 1, B, A]``.
        target_out: outputs of the target network; ``logits``, ``y`` and ``z`` are read.
    """

    v_scalar: Tensor
    adv: Tensor
    normalized_adv: Tensor
    q: Tensor
    qv_adv: Tensor
    normalized_qv_adv: Tensor
    target_out: AgentOutputs


class UpdateRuleInputs(NamedTuple):
    """A batch of experience, and what the current agent says about it.

    Attributes:
        observations: ``[T + 1, B, ...]``; only the agent's network reads them.
        actions: ``[T + 1, B]``, integers; the last ones are not read.
        rewards: ``[T, B]``, of the transitions from t to t + 1.
        is_terminal: ``[T, B]``, bool: the transition from t ended its episode.
        agent_out: of the current network, with gradients.
        behaviour_agent_out: of the network that acted; only ``logits`` are read.
        extra_from_rule: given to the meta-network by :meth:`DiscoUpdateRule.unroll_meta_net`.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    is_terminal: Tensor
    agent_out: AgentOutputs
    behaviour_agent_out: AgentOutputs
    extra_from_rule: ExtraFromRule | None = None

    @property
    def should_reset_mask_fwd(self) -> Tensor:
        """``[T + 1, B]``, bool: an episode begins here, within the batch."""
        return torch.cat([torch.zeros_like(self.is_terminal[:1]), self.is_terminal])


class EmaState(NamedTuple):
    """Moving averages of x and x², started at 0, and decay to the power of the number of updates, always float32."""

    moment1: Tensor
    moment2: Tensor
    decay_product: Tensor


class MetaState(TypedDict):
    """What the rule carries over an agent's lifetime.

    Keys:
        rnn_state: hidden state and cell of the lifetime LSTM, ``[128]`` each.
        adv_ema_state, td_ema_state: statistics of advantages and of TD errors.
        target_params: moving average of the agent's parameters.
    """

    rnn_state: tuple[Tensor, Tensor]
    adv_ema_state: EmaState
    td_ema_state: EmaState
    target_params: Params


class ValueOuts(NamedTuple):
    """What the value part computes. No gradient flows through it.

    Attributes:
        value, target_value: V and TV, ``[T + 1, B]``, under the current policy.
        rho: importance ratio of the action taken, ``[T, B]``.
        q_target: Retrace return G, ``[T, B]``.
        adv, normalized_adv: G - TV, ``[T, B]``.
        value_target, td: TV + min(1, rho) (G - TV), and the same minus V, ``[T, B]``; for diagnosis.
        qv_adv, normalized_qv_adv: TQ - TV of each action, ``[T + 1, B, A]``.
        q_value, target_q_value: Q and TQ, ``[T + 1, B, A]``.
        q_td, normalized_q_td: G - Q of the action taken, ``[T, B]``.
    """

    value: Tensor
    target_value: Tensor
    rho: Tensor
    q_target: Tensor
    adv: Tensor
    normalized_adv: Tensor
    value_target: Tensor
    td: Tensor
    qv_adv: Tensor
    normalized_qv_adv: Tensor
    q_value: Tensor
    target_q_value: Tensor
    q_td: Tensor
    normalized_q_td: Tensor


#: Weights of the losses, and the constants of values and target network; the published settings.
HYPER_PARAMS: Final[Mapping[str, float]] = {
    "pi_cost": 1.0,
    "y_cost": 1.0,
    "z_cost": 1.0,
    "aux_policy_cost": 1.0,
    "value_cost": 0.2,
    "target_params_coeff": 0.9,
    "value_fn_td_lambda": 0.95,
    "discount_factor": 0.997,
}
