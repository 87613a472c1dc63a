"""Meta-training: learning a rule's weights, through the learner steps of a small population of agents on Catch.

Each meta-step, every agent takes a few learner steps by the rule; the rule is changed such that the policies after
these steps get more reward in experience that follows (Oh et al., 2025: the meta-gradient of the agents' expected
return). The scale is that of the published demonstration, not that of Disco103.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from .agent import AgentNetwork, LearnerState, Rollout, init_learner, learner_step
from .catch import ACTIONS, Catch
from .meta_net import truncated_normal
from .optim import AdamState, clipped_adam, init_adam
from .training import Actor
from .transforms import categorical_kl, select, signed_parabolic
from .types import EmaState, MetaState, Params
from .update_rule import DiscoUpdateRule, Targets
from .values import initial_ema, normalise, update_ema

#: Weights of the meta-loss's parts beside the policy gradient.
POLICY_ENTROPY: Final = 1e-2
PREDICTION_ENTROPY: Final = 1e-3
TARGET_MEANS: Final = 1e-3
TARGET_KL: Final = 1e-2


class MetaSettings(NamedTuple):
    """Of meta-training.

    Attributes:
        population: agents; the meta-gradient is their mean.
        size: rows and columns of Catch.
        num_envs: copies of the environment for each agent.
        unroll: states per rollout; the rollout that validates has twice as many.
        inner_steps: learner steps between two meta-steps.
        torso, lstm, head: widths of the agents' network.
        learning_rate: of the agents.
        meta_learning_rate: of the rule, for Adam.
        value_torso, value_learning_rate, value_discount, value_lambda: of the value function that gives advantages.
    """

    population: int = 2
    size: int = 5
    num_envs: int = 32
    unroll: int = 16
    inner_steps: int = 2
    torso: tuple[int, ...] = (512, 512)
    lstm: int = 256
    head: int = 256
    learning_rate: float = 5e-4
    meta_learning_rate: float = 5e-4
    value_torso: tuple[int, ...] = (256, 256)
    value_learning_rate: float = 1e-3
    value_discount: float = 0.99
    value_lambda: float = 0.96


def vtrace(values: Tensor, rewards: Tensor, discounts: Tensor, rho: Tensor, lambda_: float) -> tuple[Tensor, Tensor]:
    """V-trace errors and advantages (Espeholt et al., 2018), with both ratios clipped to 1.

    Args:
        values: V, ``[T + 1, B]``.
        rewards, discounts, rho: ``[T, B]``; the last is pi / mu of the action taken.
        lambda_: factor of the traces.

    Returns:
        ``v_t - V_t``, and ``min(1, rho_t) (r_t + d_t (lambda v_{t+1} + (1 - lambda) V_{t+1}) - V_t)``, ``[T, B]`` each.
    """
    clipped = rho.clamp_max(1)
    deltas = clipped * (rewards + discounts * values[1:] - values[:-1])
    error, errors = torch.zeros_like(deltas[0]), []
    for t in range(len(rewards) - 1, -1, -1):
        error = deltas[t] + discounts[t] * lambda_ * clipped[t] * error
        errors.append(error)
    stacked = torch.stack(errors[::-1])
    ahead = torch.cat([values[1:-1] + lambda_ * stacked[1:], values[-1:]])
    return stacked, clipped * (rewards + discounts * ahead - values[:-1])


class ValueState(NamedTuple):
    """Of a value function: parameters, optimiser, and statistics of advantages and TD errors."""

    params: Params
    optimizer: AdamState
    adv_ema: EmaState
    td_ema: EmaState


class ValueFunction:
    """Values of states, learned on policy by V-trace; only meta-training uses them."""

    def __init__(self, inputs: int, settings: MetaSettings, generator: torch.Generator) -> None:
        layers: list[nn.Module] = [nn.Flatten(2)]
        for width in settings.value_torso:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        layers[-1] = nn.Linear(inputs, 1)  # nothing follows the last layer of the torso
        self._network = nn.Sequential(*layers)
        self._settings = settings
        for layer in self._network:
            if isinstance(layer, nn.Linear):
                truncated_normal(layer, 0.01 if layer is self._network[-1] else None, generator)

    def initial_state(self, like: Tensor) -> ValueState:
        """State with new parameters, on the device and in the dtype of ``like``."""
        params = {name: x.detach().to(like, copy=True) for name, x in self._network.named_parameters()}
        ema = initial_ema(like.dtype, like.device)
        return ValueState(params, init_adam(params), ema, ema)

    def outputs(self, state: ValueState, rollout: Rollout, logits: Tensor) -> tuple[Tensor, Tensor, ValueState]:
        """Normalised advantages and errors ``[T, B]`` under a policy's logits ``[T + 1, B, A]``, without gradients."""
        settings = self._settings
        with torch.no_grad():
            values = signed_parabolic(self._values(state.params, rollout))
            actions = rollout.actions[:-1]
            log_ratio = logits[:-1].log_softmax(-1) - rollout.logits[:-1].log_softmax(-1)
            errors, advantages = vtrace(
                values,
                rollout.rewards[1:],
                settings.value_discount * rollout.discounts[1:],
                select(log_ratio, actions).exp(),
                settings.value_lambda,
            )
            state = state._replace(
                adv_ema=update_ema(state.adv_ema, advantages), td_ema=update_ema(state.td_ema, errors)
            )
            return normalise(advantages, state.adv_ema), normalise(errors, state.td_ema, centre=False), state

    def update(self, state: ValueState, rollout: Rollout, logits: Tensor) -> ValueState:
        """One step towards ``value + normalised error``."""
        _, errors, state = self.outputs(state, rollout, logits)
        params = {name: x.detach().requires_grad_() for name, x in state.params.items()}
        values = self._values(params, rollout)[:-1]
        loss = 0.5 * ((values + errors).detach() - values).square().mean()
        gradients = torch.autograd.grad(loss, list(params.values()))
        with torch.no_grad():
            new, optimizer = clipped_adam(
                state.params,
                dict(zip(params, gradients, strict=True)),
                state.optimizer,
                self._settings.value_learning_rate,
            )
        return state._replace(params=new, optimizer=optimizer)

    def _values(self, params: Params, rollout: Rollout) -> Tensor:
        return functional_call(self._network, params, (rollout.observations,)).squeeze(-1)


class MetaAgent:
    """One agent of the population, with its environment and value function, over its lifetime."""

    def __init__(self, rule: DiscoUpdateRule, settings: MetaSettings, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (settings.size, settings.size, 1)
        like = rule.meta_net.gate.weight.detach()
        self._settings = settings
        self.network = AgentNetwork(shape, ACTIONS, settings.torso, settings.lstm, settings.head)
        self.network.reset_parameters(generator)
        self.network.to(like)
        self.learner = init_learner(rule, self.network)
        self.value_function = ValueFunction(settings.size**2, settings, generator)
        self.value = self.value_function.initial_state(like)
        self._actor = Actor(Catch(settings.num_envs, settings.size, settings.size, seed), self.network, seed)

    def collect(self) -> tuple[list[Rollout], Rollout, float]:
        """Rollouts to learn from, one to validate with, and the mean return of episodes that ended in them."""
        returns, rollouts = [], []
        for states in [self._settings.unroll] * self._settings.inner_steps + [2 * self._settings.unroll]:
            rollouts.append(self._actor.rollout(self.learner.params, states))
            returns += self._actor.returns
        return rollouts[:-1], rollouts[-1], float(np.mean(returns))

    def meta_loss(self, rule: DiscoUpdateRule, rollouts: Sequence[Rollout], validation: Rollout) -> Tensor:
        """Learn from ``rollouts`` by the rule, and return the meta-loss of the learner that this gives.

        The learner and the value function are replaced; the learner has no graph any more.
        """
        learner, targets = self.learner, list[Targets]()
        for rollout in rollouts:
            with torch.no_grad():
                logits = functional_call(self.network, learner.params, (rollout.observations,))["logits"]
            self.value = self.value_function.update(self.value, rollout, logits)
            learner, target, _ = learner_step(
                rule, self.network, learner, rollout, self._settings.learning_rate, meta_training=True
            )
            targets.append(target)
        out = functional_call(self.network, learner.params, (validation.observations,))
        logits, actions = out["logits"][:-1], validation.actions[:-1]
        advantages, _, _ = self.value_function.outputs(self.value, validation, out["logits"].detach())
        log_pi = select(logits.log_softmax(-1), actions)
        predictions = entropy(out["y"]).mean() + entropy(select(out["z"], actions)).mean()
        loss = -(log_pi * advantages).mean()
        loss = loss - POLICY_ENTROPY * entropy(logits).mean() - PREDICTION_ENTROPY * predictions
        for target in targets:
            means = [target["pi"].mean(), target["y"].mean(), target["z"].mean()]
            kl = categorical_kl(target["target_out"]["logits"][:-1].detach(), target["pi"]).mean()
            penalty = TARGET_MEANS * torch.stack(means).square().sum() + TARGET_KL * kl
            loss = loss + penalty / len(targets)
        self.learner = detached(learner)
        return loss


def meta_train(
    rule: DiscoUpdateRule,
    steps: int,
    seed: int = 0,
    settings: MetaSettings | None = None,
    on_step: Callable[[int, float], None] = lambda step, mean_return: None,
) -> list[float]:
    """Train a rule's weights in place.

    Args:
        rule: the rule, for example a new one.
        steps: meta-steps.
        seed: of the agents and their environments.
        settings: of meta-training.
        on_step: called with the number of the meta-step and the mean return of the population.

    Returns:
        Mean return of the population at each meta-step.
    """
    settings = settings or MetaSettings()
    agents = [MetaAgent(rule, settings, seed * settings.population + i) for i in range(settings.population)]
    optimizer = torch.optim.Adam(rule.parameters(), lr=settings.meta_learning_rate)
    returns = []
    for step in range(steps):
        optimizer.zero_grad()
        of_agents = []
        for agent in agents:
            rollouts, validation, mean_return = agent.collect()
            (agent.meta_loss(rule, rollouts, validation) / len(agents)).backward()
            of_agents.append(mean_return)
        optimizer.step()
        returns.append(float(np.mean(of_agents)))
        on_step(step, returns[-1])
    return returns


def entropy(logits: Tensor) -> Tensor:
    """Entropy of categorical distributions, in nats; ``[..., K]`` -> ``[...]``."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def detached(state: LearnerState) -> LearnerState:
    """The same state without its graph."""

    def cut(params: Params) -> Params:
        return {name: x.detach() for name, x in params.items()}

    adam, meta = state.optimizer, state.meta
    h, c = meta["rnn_state"]
    return LearnerState(
        cut(state.params),
        AdamState(cut(adam.m), cut(adam.v), adam.count),
        MetaState(
            rnn_state=(h.detach(), c.detach()),
            adv_ema_state=meta["adv_ema_state"],
            td_ema_state=meta["td_ema_state"],
            target_params=cut(meta["target_params"]),
        ),
    )
