"""Examines policies: plays evaluation episodes in environments that the learner has never touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discoenv.examiners.policy import PolicyExaminer

from .evaluation import make_episodes


class OffPolicyRLExaminer(PolicyExaminer):
    """Plays a dataset's game. Each seed and each learning rate may take TOTAL_TIMESTEPS steps in training."""

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        steps = config["TOTAL_TIMESTEPS"] * config["NUM_SEEDS"] * len(config["LR_FACTORS"])
        super().__init__(dataset, scale, config, episodes=make_episodes(config), allowed_steps=steps)
