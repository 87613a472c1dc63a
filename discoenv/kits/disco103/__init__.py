"""Disco103, an update rule that was discovered by meta-learning, for agents in PyTorch.

A frozen meta-network looks at a batch of an agent's experience and says towards which policy and predictions the agent
should move; a small loss and an optimiser do the rest (Oh et al., 2025, Discovering state-of-the-art reinforcement
learning algorithms, Nature 648, 312-319).

* ``types.py``: inputs, outputs and state of the rule; ``transforms.py``: functions that it is made of;
* ``values.py``: Retrace targets and normalised advantages; ``meta_net.py``: the meta-network;
* ``update_rule.py``: the rule as a whole; ``weights.py``: the published weights;
* ``optim.py``, ``agent.py``: clipped Adam, an agent's network and learner step;
* ``catch.py``, ``training.py``: a small environment, replay, and a loop that learns it;
* ``meta_training.py``: how rules are learned.
"""

from .agent import AgentNetwork, LearnerState, Rollout, init_learner, learner_step
from .meta_net import DiscoMetaNet, MetaOuts
from .types import HYPER_PARAMS, AgentOutputs, EmaState, ExtraFromRule, MetaState, UpdateRuleInputs, ValueOuts
from .update_rule import DiscoUpdateRule, Targets
from .values import retrace, value_outputs
from .weights import WeightsError, download_disco103_weights, load_disco103_weights, save_weights

__all__ = [
    "HYPER_PARAMS",
    "AgentNetwork",
    "AgentOutputs",
    "DiscoMetaNet",
    "DiscoUpdateRule",
    "EmaState",
    "ExtraFromRule",
    "LearnerState",
    "MetaOuts",
    "MetaState",
    "Rollout",
    "Targets",
    "UpdateRuleInputs",
    "ValueOuts",
    "WeightsError",
    "download_disco103_weights",
    "init_learner",
    "learner_step",
    "load_disco103_weights",
    "retrace",
    "save_weights",
    "value_outputs",
]
