"""What the tests of OnPolicyRL share."""

from __future__ import annotations

from typing import Any

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN

DOMAIN = Domain(BUILTIN / "OnPolicyRL")
MEMORIES = ("recurrent", "transformer")


def actor_critic(code: Any, config: Any) -> Any:
    """The network of a configuration."""
    env, params = code.make_env.make_env(config)
    action_dim = code.make_env.get_action_dim(env, params, config)
    return code.networks.ActorCritic(action_dim, config, code.activation.get_activation(config))
