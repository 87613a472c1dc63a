"""Examines policies: plays evaluation episodes in environments that the learner has never touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discoenv.examiners.policy import PolicyExaminer

from .evaluation import make_episodes


class OnPolicyRLExaminer(PolicyExaminer):
    """Plays a dataset's game or moves its robot. Each seed and each learning rate may take TOTAL_TIMESTEPS steps."""

    handed_over = ("params", "moments")

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        steps = config["TOTAL_TIMESTEPS"] * config["NUM_SEEDS"] * config["NUM_LEARNING_RATES"]
        super().__init__(dataset, scale, config, episodes=make_episodes(config), allowed_steps=steps)
