"""The environments that policies are examined in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from discoenv.examiners import policy
from discoenv.kits import rl_jax
from discoenv.kits.rl_jax import environments

#: What the environments depend on: a name that gymnax knows, the steps after which an episode is truncated, and what
#: :class:`policy.Episodes` says.
_SETTINGS = ("ENV_NAME", "TIME_LIMIT", *policy.SETTINGS)


def make_episodes(config: Mapping[str, Any]) -> policy.Episodes:
    """Evaluation episodes of a dataset, given its configuration."""
    settings = {name: config[name] for name in _SETTINGS}
    kit = Path(rl_jax.__file__).parent
    return policy.Episodes(make, settings, folder=Path(__file__).parent, also=(kit,), packages=("gymnax",))


def make(settings: Mapping[str, Any]) -> policy.Simulator:
    """One environment."""
    env, params = environments.make("gymnax", settings["ENV_NAME"], time_limit=settings["TIME_LIMIT"])
    actions = int(env.action_space(params).n)
    return policy.Simulator(
        reset=lambda key: env.reset(key, params),
        step=lambda key, state, action: env.step(key, state, action, params),
        sample=lambda key, count: jax.random.randint(key, (count,), 0, actions),
        action_dim=None,
        low=0,
        high=actions - 1,
    )
