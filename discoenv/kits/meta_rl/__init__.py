"""Learned rules of reinforcement learning in JAX: LPG, GROOVE and TA-LPG.

A rule is a network that says towards what agents move; it is learned over a population of agents on grid worlds (Oh et
al., 2020; Jackson et al., 2023 and 2024).

* ``rule_net.py``: the rule; ``agents.py``, ``networks.py``, ``optimisers.py``, ``advantages.py``: who learns by it;
* ``gridworld.py``, ``modes.py``, ``mazes.py``: where they live; ``external.py``: environments of gymnax;
* ``rollouts.py``, ``lives.py``: experience, the population, and regret against A2C;
* ``meta_gradient.py``, ``evolution.py``: two ways to change the rule; ``curation.py``: which levels are played;
* ``settings.py``, ``training.py``: all numbers, the published runs, and the outer loop;
* ``checkpoints.py``, ``logs.py``: what a run leaves; ``evaluation.py``: meta-test; ``__main__.py``: the commands.
"""

from .agents import Agent, agent_update
from .curation import Curation
from .evaluation import Result, meta_test
from .evolution import es_gradient
from .gridworld import GridWorld, Level, optimal_return, random_return
from .modes import MODES, Mode, mode
from .rule_net import LPG, RuleOutputs, from_flax, lifetime_features
from .settings import EXPERIMENTS, EvolutionStrategy, MetaGradient, Settings, small
from .training import MetaState, advance, init, meta_train

__all__ = [
    "EXPERIMENTS",
    "LPG",
    "MODES",
    "Agent",
    "Curation",
    "EvolutionStrategy",
    "GridWorld",
    "Level",
    "MetaGradient",
    "MetaState",
    "Mode",
    "Result",
    "RuleOutputs",
    "Settings",
    "advance",
    "agent_update",
    "es_gradient",
    "from_flax",
    "init",
    "lifetime_features",
    "meta_test",
    "meta_train",
    "mode",
    "optimal_return",
    "random_return",
    "small",
]
