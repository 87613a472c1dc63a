"""Agents that learn to act: collecting experience, replay, and the loop around the learner step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.func import functional_call

from .agent import AgentNetwork, LearnerState, Rollout, init_learner, learner_step
from .catch import ACTIONS, Catch, Step
from .types import Params
from .update_rule import DiscoUpdateRule


class Settings(NamedTuple):
    """How an agent is trained; the numbers are those of the published evaluation, with a smaller network.

    Attributes:
        torso, lstm, head: widths of :class:`AgentNetwork`.
        num_envs: copies of the environment.
        unroll: states per rollout; transitions are one fewer.
        capacity: trajectories in the replay buffer, the oldest of which are dropped.
        batch: trajectories per learner step, drawn with replacement once as many are there.
        learning_rate: of the optimiser.
    """

    torso: tuple[int, ...] = (64, 64)
    lstm: int = 32
    head: int = 32
    num_envs: int = 2
    unroll: int = 29
    capacity: int = 1024
    batch: int = 64
    learning_rate: float = 1e-2


class Actor:
    """Collects rollouts in an environment, one after another.

    Attributes:
        returns: of the episodes that ended in the last rollout.
    """

    def __init__(self, env: Catch, network: AgentNetwork, seed: int) -> None:
        self.returns: list[float] = []
        self._env, self._network = env, network
        self._generator = torch.Generator().manual_seed(seed)
        self._now: Step = env.reset()
        self._return = np.zeros(env.num_envs)

    def rollout(self, params: Params, states: int) -> Rollout:
        """Act for this many states, ``[states, B]``, by a network with these parameters."""
        steps, self.returns = [], []
        device = next(iter(params.values())).device
        for _ in range(states):
            observations, rewards, discounts = (torch.from_numpy(x).to(device) for x in self._now)
            with torch.no_grad():
                logits = functional_call(self._network, params, (observations, None, True))["logits"]
            probabilities = logits.softmax(-1).to("cpu", torch.float32)
            actions = torch.multinomial(probabilities, 1, generator=self._generator).squeeze(-1)
            steps.append(Rollout(observations, actions.to(device), rewards, discounts, logits))
            self._now = self._env.step(actions.numpy())
            self._return += self._now.rewards
            ended = self._now.discounts == 0
            self.returns += self._return[ended].tolist()
            self._return[ended] = 0
        return Rollout(*(torch.stack(x) for x in zip(*steps, strict=True)))


class Replay:
    """A buffer of single trajectories, first in, first out."""

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity = capacity
        self._stored: list[Rollout] = []
        self._next = 0
        self._random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, rollout: Rollout) -> None:
        """Store each trajectory of a rollout."""
        for i in range(rollout.actions.shape[1]):
            one = Rollout(*(x[:, i] for x in rollout))
            if len(self) < self._capacity:
                self._stored.append(one)
            else:
                self._stored[self._next] = one
            self._next = (self._next + 1) % self._capacity

    def sample(self, batch: int) -> Rollout:
        """``batch`` trajectories, drawn with replacement."""
        drawn = [self._stored[i] for i in self._random.integers(len(self), size=batch)]
        return Rollout(*(torch.stack(x, 1) for x in zip(*drawn, strict=True)))


def learn_catch(
    rule: DiscoUpdateRule,
    iterations: int,
    seed: int = 0,
    size: int = 5,
    settings: Settings | None = None,
    on_iteration: Callable[[int, float], None] = lambda iteration, mean_return: None,
) -> tuple[LearnerState, list[float]]:
    """Train an agent on Catch by a rule.

    Args:
        rule: the rule; it and the agent are on the same device.
        iterations: rollouts; after each, once the buffer holds a batch, there is a learner step.
        seed: of network, environment, actions and replay.
        size: rows and columns of the board.
        settings: of agent and training.
        on_iteration: called with the number of the iteration and its mean return.

    Returns:
        The learner, and the mean return of the episodes that ended in each iteration.
    """
    settings = settings or Settings()
    network = AgentNetwork((size, size, 1), ACTIONS, settings.torso, settings.lstm, settings.head)
    network.reset_parameters(torch.Generator().manual_seed(seed))
    network.to(rule.meta_net.gate.weight)
    state = init_learner(rule, network)
    actor = Actor(Catch(settings.num_envs, size, size, seed), network, seed)
    replay = Replay(settings.capacity, seed)
    returns = []
    for iteration in range(iterations):
        replay.add(actor.rollout(state.params, settings.unroll))
        returns.append(float(np.mean(actor.returns)))
        on_iteration(iteration, returns[-1])
        if len(replay) >= settings.batch:
            state, *_ = learner_step(rule, network, state, replay.sample(settings.batch), settings.learning_rate)
    return state, returns
