"""Examiner of the domain: it keeps the arms, pays the rewards, and counts the regret."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

#: Standard deviation of the rewards of NoisyGains; all other rewards are 0 or 1.
NOISE: Final = 0.5


class BanditExaminer(Examiner):
    """Plays ``problems`` bandits of ``arms`` arms for ``horizon`` steps with the learner, all at once."""

    def training_data(self, seed: int) -> dict[str, Any]:
        """The sizes. A learner gets nothing to learn from but the rewards of its pulls."""
        return {key: self.config[key] for key in ("problems", "arms", "horizon")}

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Regret over all steps, and how often the best arm was pulled at the end."""
        means, rng = self.means(seed), self.generator(seed, "rewards")
        horizon, problems, arms = means.shape
        rows = np.arange(problems)
        lost, best = np.zeros(problems), []
        rewards = np.zeros(problems)
        for now in means:
            pulled = learner.ask("play", rewards, returns=Array((problems,), kind="int", low=0, high=arms - 1))
            rewards = self._rewards(now[rows, pulled], rng)
            lost += now.max(axis=1) - now[rows, pulled]
            best.append(np.mean(now[rows, pulled] >= now.max(axis=1)))
        return {
            "regret": float(lost.sum() / self._lost_at_random(means)),
            "best_arm": float(np.mean(best[-max(1, horizon // 10) :])),
        }

    def floor(self, seed: int) -> dict[str, float]:
        """Random arms, all the time."""
        means, rng = self.means(seed), self.generator(seed, "floor")
        pulled = rng.integers(means.shape[2], size=means.shape[:2])
        lost = means.max(axis=2) - np.take_along_axis(means, pulled[..., None], axis=2)[..., 0]
        return {"regret": float(lost.sum() / self._lost_at_random(means)), "best_arm": float(np.mean(lost <= 0))}

    def means(self, seed: int) -> FloatArray:
        """Mean reward of each arm at each step: float64[horizon, problems, arms], others in every exam."""
        rng = self.generator(seed, "means")
        horizon, problems, arms = (self.config[key] for key in ("horizon", "problems", "arms"))
        size = (problems, arms)
        match self.dataset:
            case "Coins10" | "ManyCoins":
                means = rng.uniform(size=size)
            case "CloseCoins":
                means = rng.uniform(0.3, 0.7, size=(problems, 1)) + np.where(np.arange(arms) == 0, 0.1, 0.0)
            case "RareClicks" | "ManyClicks":
                means = rng.beta(1, 15, size=size)
            case "NoisyGains":
                means = rng.normal(size=size)
            case "Switching":
                parts = rng.uniform(size=(self.config["parts"], *size))
                return rng.permuted(parts, axis=2)[np.arange(horizon) * self.config["parts"] // horizon]
            case "Drifting":
                steps = self.config["drift"] * rng.normal(size=(horizon, *size))
                return 0.5 + 0.5 * np.sin(rng.uniform(-np.pi, np.pi, size=size) + np.cumsum(steps, axis=0))
            case _:
                raise AssertionError(self.dataset)
        return np.broadcast_to(rng.permuted(means, axis=1), (horizon, *size))

    def _rewards(self, means: FloatArray, rng: np.random.Generator) -> FloatArray:
        if self.dataset == "NoisyGains":
            return means + NOISE * rng.normal(size=means.shape)
        return (rng.uniform(size=means.shape) < means).astype(np.float64)

    @staticmethod
    def _lost_at_random(means: FloatArray) -> float:
        return float((means.max(axis=2) - means.mean(axis=2)).sum())
