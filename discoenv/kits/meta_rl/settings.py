"""All numbers of meta-training, and the runs that were published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from .curation import Curation
from .modes import Mode, mode
from .rule_net import LPG


@dataclass(frozen=True)
class MetaGradient:
    """Outer loop by the gradient of what agents reach after some updates.

    Attributes:
        updates: K, updates of each agent between two steps of the rule.
        rate: of Adam.
        policy_entropy, policy_l2, prediction_entropy, target_l2: weights in the outer loss (beta 0, 2, 1 and 3).
        value_learns: the value function that gives advantages is trained. The published code does not train it, by
            mistake; False is there for comparison.
        detached: see :func:`~.agents.agent_update`.
    """

    updates: int = 5
    rate: float = 1e-4
    policy_entropy: float = 0.05
    policy_l2: float = 0.005
    prediction_entropy: float = 0.001
    target_l2: float = 0.001
    value_learns: bool = True
    detached: bool = True


@dataclass(frozen=True)
class EvolutionStrategy:
    """Outer loop by OpenAI-ES: pairs of candidates each train one agent for its whole lifetime.

    Attributes:
        rate, decay, min_rate: of Adam, per step.
        sigma: deviation of the candidates from their mean.
        init: the mean starts at zeros, as published, or at a random network.
    """

    rate: float = 0.01
    decay: float = 0.999
    min_rate: float = 1e-5
    sigma: float = 0.1
    init: Literal["zeros", "network"] = "zeros"


@dataclass(frozen=True)
class Settings:
    """Of meta-training.

    Attributes:
        env_mode: distribution of levels, see :func:`~.modes.mode`.
        lifetime: shortest and longest lifetime of agents, in updates; None: those of the mode.
        seed: of everything.
        train_steps: steps of the rule.
        num_agents: agents, or with an evolution strategy pairs of candidates.
        num_mini_batches: groups of agents, one after another: the result is the same, the memory less.
        env_workers: W, copies of the environment for each agent; episodes by which agents are judged are as many.
        rollout_steps: T, steps of each copy between two updates.
        rule: the network that is learned.
        outer: how it is learned.
        curation: how levels are chosen.
        alpha: weight of the critic in an agent's loss.
        discount, lambda_: of advantages.
        a2c_entropy: weight of the entropy in the loss of the A2C agents, from which regret is measured.
        log_episodes: episodes by which an agent is judged for the log at the end of its lifetime.
    """

    env_mode: str = "all_shortlife"
    lifetime: tuple[int, int] | None = None
    seed: int = 0
    train_steps: int = 30000
    num_agents: int = 512
    num_mini_batches: int = 16
    env_workers: int = 64
    rollout_steps: int = 20
    rule: LPG = field(default_factory=LPG)
    outer: MetaGradient | EvolutionStrategy = field(default_factory=MetaGradient)
    curation: Curation = field(default_factory=Curation)
    alpha: float = 0.5
    discount: float = 0.99
    lambda_: float = 0.95
    a2c_entropy: float = 0.01
    log_episodes: int = 4

    def __post_init__(self) -> None:
        for name in ("train_steps", "num_agents", "num_mini_batches", "env_workers", "rollout_steps", "log_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.num_agents % self.num_mini_batches:
            raise ValueError(
                f"{self.num_agents} agents cannot be divided into {self.num_mini_batches} equal mini-batches; "
                f"choose a divisor as num_mini_batches"
            )
        self.curation.check(self.num_agents)
        self.mode()

    def mode(self) -> Mode:
        """The distribution of levels and lifetimes.

        Raises:
            ValueError: there is no such mode, or no such lifetime.
        """
        chosen = mode(self.env_mode)
        return chosen if self.lifetime is None else chosen.living(*self.lifetime)


def as_dict(settings: Settings) -> dict[str, Any]:
    """The settings as JSON can hold them."""
    kind = "meta_gradient" if isinstance(settings.outer, MetaGradient) else "es"
    values = asdict(settings)
    return {**values, "outer": {"kind": kind, **values["outer"]}}


def from_dict(values: Mapping[str, Any]) -> Settings:
    """Settings from what :func:`as_dict` returned.

    Raises:
        TypeError: there are names that settings do not have.
    """
    outer = dict(values["outer"])
    kind = {"meta_gradient": MetaGradient, "es": EvolutionStrategy}[outer.pop("kind")]
    lifetime = values["lifetime"]
    return Settings(
        **{
            **values,
            "lifetime": None if lifetime is None else tuple(lifetime),
            "rule": LPG(**values["rule"]),
            "outer": kind(**outer),
            "curation": Curation(**values["curation"]),
        }
    )


#: The published runs; each is started by a command, see ``__main__.py``.
EXPERIMENTS: Final = {
    "lpg": Settings(train_steps=5000),
    "groove": Settings(train_steps=5000, curation=Curation("alg_regret")),
    "ta_lpg": Settings(
        train_steps=2500,
        num_mini_batches=8,
        env_mode="all_vrandlife",
        rule=LPG(conditioning="paper"),
        outer=EvolutionStrategy(),
    ),
}


def small(settings: Settings) -> Settings:
    """The same run at a size for two cores of a CPU: small levels, short lives, few agents, a narrow rule."""
    outer = settings.outer
    return replace(
        settings,
        env_mode="small",
        lifetime=(5, 50) if settings.env_mode.endswith("randlife") else (50, 50),
        train_steps=300,
        num_agents=16,
        num_mini_batches=1,
        env_workers=8,
        rule=replace(settings.rule, hidden=32),
        outer=replace(outer, rate=3e-3) if isinstance(outer, MetaGradient) else outer,
        curation=replace(settings.curation, size=64),
    )
