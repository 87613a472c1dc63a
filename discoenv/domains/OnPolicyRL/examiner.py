"""Examines policies: plays evaluation episodes in environments that the learner has never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner, env_steps

from .evaluation import BoolArray, Episodes, FloatArray

Policy = Callable[[FloatArray, BoolArray], np.ndarray[Any, Any]]


class OnPolicyRLExaminer(Examiner):
    """Plays EVALUATION_EPISODES episodes in parallel, of at most EVALUATION_STEPS steps each.

    The metrics are ``return_mean`` and ``return_std`` (mean and standard deviation over episodes of the undiscounted
    return), ``episode_length_mean`` (steps), and ``env_steps``, the number of environment steps taken in training. An
    episode that has not ended by then counts with its return so far.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._episodes = Episodes(config)
        self._allowed_steps = config["TOTAL_TIMESTEPS"] * config["NUM_SEEDS"] * config["NUM_LEARNING_RATES"]

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Ask ``env_steps()``, and then once per time step ``act(obs, done)`` for the actions of all environments.

        Raises:
            RuleBroken: training took more environment steps than the configuration allows.
        """
        steps = env_steps(learner, allowed=self._allowed_steps)
        count, action_dim = self._episodes.count, self._episodes.action_dim
        if action_dim is None:
            answer = Array((count,), "int", low=int(self._episodes.low), high=int(self._episodes.high))
        else:
            answer = Array((count, action_dim), "float")
        metrics = self._play(lambda obs, first: learner.ask("act", obs, first, returns=answer), seed)
        return {**metrics, "env_steps": float(steps)}

    def floor(self, seed: int) -> dict[str, float]:
        """Actions drawn uniformly from the action space, without training."""
        episodes, generator = self._episodes, self.generator(seed, "floor")

        def policy(obs: FloatArray, first: BoolArray) -> np.ndarray[Any, Any]:
            if episodes.action_dim is None:
                return generator.integers(int(episodes.low), int(episodes.high), episodes.count, endpoint=True)
            return generator.uniform(episodes.low, episodes.high, (episodes.count, episodes.action_dim))

        return {**self._play(policy, seed), "env_steps": 0.0}

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
