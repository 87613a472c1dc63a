"""Examines policies: plays evaluation episodes in environments that the learner has never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner, env_steps

from .evaluation import BoolArray, Episodes, FloatArray

Policy = Callable[[FloatArray, BoolArray], np.ndarray[Any, Any]]


class OffPolicyRLExaminer(Examiner):
    """Plays EVALUATION_EPISODES episodes in parallel, of at most EVALUATION_STEPS steps each.

    The metrics are ``return_mean`` and ``return_std`` (mean and standard deviation over episodes of the undiscounted
    return), ``episode_length_mean`` (steps) and ``env_steps``, taken in training. An episode that has not ended by then
    counts with its return so far.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._episodes = Episodes(
            config["ENV_NAME"], config["TIME_LIMIT"], config["EVALUATION_EPISODES"], config["EVALUATION_RANDOM_STEPS"]
        )
        self._allowed_steps = config["TOTAL_TIMESTEPS"] * config["NUM_SEEDS"] * len(config["LR_FACTORS"])

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Ask ``env_steps()`` once, then ``act(obs, done)`` once per time step for the actions of all environments.

        Raises:
            RuleBroken: training took more than TOTAL_TIMESTEPS steps for each seed and learning rate.
        """
        steps = env_steps(learner, allowed=self._allowed_steps)
        answer = Array((self._episodes.count,), "int", low=0, high=self._episodes.action_dim - 1)
        played = self._play(lambda obs, first: learner.ask("act", obs, first, returns=answer), seed)
        return {**played, "env_steps": float(steps)}

    def floor(self, seed: int) -> dict[str, float]:
        """Actions drawn uniformly from the action space."""
        generator, shape = self.generator(seed, "floor"), (self._episodes.count,)
        played = self._play(lambda obs, first: generator.integers(self._episodes.action_dim, size=shape), seed)
        return {**played, "env_steps": 0.0}

    def _play(self, policy: Policy, seed: int) -> dict[str, float]:
        obs, first = self._episodes.start(int(self.generator(seed, "evaluation").integers(2**31)))
        for _ in range(self.config["EVALUATION_STEPS"]):
            obs, first, finished = self._episodes.step(policy(obs, first))
            if finished:
                break
        returns, lengths = self._episodes.results()
        return {
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "episode_length_mean": float(lengths.mean()),
        }
