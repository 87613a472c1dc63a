"""The environments that policies are examined in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from discoenv.examiners import policy

#: What the environments depend on: a name that gymnax knows, the steps after which an episode is truncated, and what
#: :class:`episodes.Episodes` says.
_SETTINGS = ("ENV_NAME", "TIME_LIMIT", *policy.SETTINGS)


def make_episodes(config: Mapping[str, Any]) -> policy.Episodes:
    """Evaluation episodes of a dataset, given its configuration."""
    settings = {name: config[name] for name in _SETTINGS}
    return policy.Episodes(make, settings, folder=Path(__file__).parent, packages=("gymnax",))


def make(settings: Mapping[str, Any]) -> policy.Simulator:
    """One environment."""
    import gymnax  # which takes longer than loading what has been exported

    env, params = gymnax.make(settings["ENV_NAME"])
    params = params.replace(max_steps_in_episode=settings["TIME_LIMIT"])
    actions = int(env.action_space(params).n)
    return policy.Simulator(
        reset=lambda key: env.reset(key, params),
        step=lambda key, state, action: env.step(key, state, action, params),
        sample=lambda key, count: jax.random.randint(key, (count,), 0, actions),
        action_dim=None,
        low=0,
        high=actions - 1,
    )
