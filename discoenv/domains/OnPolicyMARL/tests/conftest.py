"""What the tests of OnPolicyMARL share."""

from __future__ import annotations

from typing import Any

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN

DOMAIN = Domain(BUILTIN / "OnPolicyMARL")
BACKENDS = ("default", "recurrent", "centralised")
SPREAD = DOMAIN.config("Particles/Spread", "tiny")
#: A battle in which agents die, trained for a moment.
BATTLE = {
    **DOMAIN.config("Skirmish/2s3z_vs_2s4z", "tiny"),
    **{"ENV_NAME": "2m", "NUM_ENVS": 4, "NUM_STEPS": 8, "TOTAL_TIMESTEPS": 64, "NUM_MINIBATCHES": 2},
    **{"HSIZE": 8, "EVALUATION_EPISODES": 4, "EVALUATION_STEPS": 30},
}


def actor_critic(code: Any, config: Any) -> Any:
    """The network of a configuration."""
    env = code.make_env.make_env(config)
    return code.networks.ActorCritic(env.num_actions, config, code.activation.activation)
