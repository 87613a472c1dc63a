"""The environments that policies are examined in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from discoenv.examiners import policy
from discoenv.kits import rl_jax
from discoenv.kits.rl_jax import environments

#: What the environments depend on; see ``environments.make`` and :class:`policy.Episodes`.
_SETTINGS = ("SUITE", "ENV_NAME", "PIPELINE", "CONTINUOUS", *policy.SETTINGS)


def make_episodes(config: Mapping[str, Any]) -> policy.Episodes:
    """Evaluation episodes of a dataset, given its configuration."""
    settings = {name: config[name] for name in _SETTINGS if name in config}
    kit = Path(rl_jax.__file__).parent
    return policy.Episodes(make, settings, folder=Path(__file__).parent, also=(kit,), packages=(config["SUITE"],))


def make(settings: Mapping[str, Any]) -> policy.Simulator:
    """One environment."""
    env, params = environments.make(settings["SUITE"], settings["ENV_NAME"], pipeline=settings.get("PIPELINE", ""))
    space = env.action_space(params)
    continuous = settings["CONTINUOUS"]
    return policy.Simulator(
        reset=lambda key: env.reset(key, params),
        step=lambda key, state, action: env.step(key, state, action, params),
        sample=lambda key, count: jax.vmap(space.sample)(jax.random.split(key, count)),
        action_dim=space.shape[0] if continuous else None,
        low=space.low if continuous else 0,
        high=space.high if continuous else int(space.n) - 1,
    )
