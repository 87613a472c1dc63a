"""Examines policies learned from recordings: plays episodes towards the exam's goal, in worlds that it alone steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner, ProtocolError, RuleBroken, State

from .evaluation import Act, Played
from .published import Published
from .recordings import Recording
from .simulated import Simulated
from .worlds import Floats

#: By how much two answers to the same observation may differ.
TOLERANCE = 1e-3
#: Share of the steps in which observations are shown a second time, in another order.
AGAIN = 0.2
#: Episodes that are saved for pictures.
_SAVED = 32


class OfflineRLExaminer(Examiner):
    """Asks for ``act(obs)`` at each step of EVALUATION_EPISODES episodes that are played side by side.

    The exam's seed fixes a goal, by which the recordings are rewarded, the states in which episodes begin, and the
    world's chance. The order of episodes is another one at each step, and some observations are shown again in yet
    another order: what is answered must be a function of the observation.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self.source: Simulated | Published = (
            Published(config["SET"], config) if config["WORLD"] == "ogbench" else Simulated(dataset, config)
        )

    @property
    def recording(self) -> Recording:
        """The trajectories of the dataset, the first TRAJECTORIES of them."""
        return self.source.recording

    def goal(self, seed: int) -> Floats:
        """The goal of an exam."""
        return self.source.goal(self.generator(seed, "goal"))

    @property
    def answering_config(self) -> Mapping[str, Any]:
        """The configuration, with ACTION_DIM, the length of an action."""
        return {**self.config, "ACTION_DIM": self.source.action_dim}

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """The recordings, rewarded for the exam's goal."""
        observations, actions = self.recording
        rewards, terminals = self.source.rewards(self.goal(seed))
        return {"observations": observations, "actions": actions, "rewards": rewards, "terminals": terminals}

    def check_state(self, state: State) -> None:
        """An actor of at most MAX_PARAMETERS numbers, how observations are normalised, and the gradient steps.

        The number of steps is the learner's own, so it finds mistakes, not lies; the compute budget bounds a liar.
        """
        state.require_keys("actor", "normalisation", "gradient_steps")
        state["actor"].require_at_most(size=self.config["MAX_PARAMETERS"], of="parameters of the actor")
        numbers = np.empty(self.source.observation_dim, np.float32)
        state["normalisation"].require_like({"normalisation/mean": numbers, "normalisation/scale": numbers})
        steps = state.arrays.get("gradient_steps")
        if steps is None or steps.shape != () or steps.dtype.kind not in "iu":
            raise ProtocolError("state 'gradient_steps' must be an integer: the gradient steps of training")
        if steps > self.config["GRADIENT_STEPS"]:
            raise RuleBroken(
                f"training took {int(steps):,} gradient steps; the configuration allows "
                f"{self.config['GRADIENT_STEPS']:,}: main.py calls update that often"
            )

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Play the episodes."""
        draw, count = self.generator(seed, "questions"), self.config["EVALUATION_EPISODES"]
        shape = Array((count, self.source.action_dim), "float")

        def ask(obs: np.ndarray[Any, Any]) -> Floats:
            order = draw.permutation(count)
            answer = np.empty((count, self.source.action_dim))
            answer[order] = learner.ask("act", obs[order], returns=shape)
            return answer

        def act(obs: np.ndarray[Any, np.dtype[np.float32]]) -> Floats:
            answer = ask(obs)
            if draw.random() < AGAIN and (np.abs(ask(obs) - answer) > TOLERANCE).any():
                raise RuleBroken(
                    "act() answered the same observation in another way when it was shown again: an action must depend "
                    "on its observation alone, and be neither random nor learned from what was shown before"
                )
            return answer

        played = self.episodes(act, seed)
        self._keep_pictures(played, seed)
        return metrics(played) | {"gradient_steps": float(learner.state.arrays["gradient_steps"])}

    def _keep_pictures(self, played: Played, seed: int) -> None:
        """Some episodes, at most 200 steps of each, and the scores of all."""
        thin = max(1, played.observations.shape[1] // 200)
        self.save_artifact("episodes", played.observations[:_SAVED, ::thin, :16])
        self.save_artifact("success", played.success[:_SAVED])
        self.save_artifact("scores", played.scores.astype(np.float32))
        self.save_artifact("goal", self.goal(seed))
        self.save_artifact("world", np.array(self.config["WORLD"]))

    def episodes(self, act: Act, seed: int) -> Played:
        """The episodes of an exam, played by any policy."""
        return self.source.episodes(act, self.goal(seed), *(self.generator(seed, of) for of in ("starts", "chance")))

    def floor(self, seed: int) -> dict[str, float]:
        """The better of random actions and of behaviour cloning in a tenth of the gradient steps."""
        from .cloning import clone

        draw = self.generator(seed, "floor")
        steps = max(1, self.config["GRADIENT_STEPS"] // 10)
        cloned = clone(self.recording, self.config, steps, int(draw.integers(2**31)))
        random = lambda obs: draw.uniform(-1.0, 1.0, (len(obs), self.source.action_dim))  # noqa: E731
        found = [metrics(self.episodes(act, seed)) for act in (cloned, random)]
        return max(found, key=lambda each: each["score"]) | {"gradient_steps": 0.0}


def metrics(played: Played) -> dict[str, float]:
    """Means over episodes."""
    return {
        "score": float(played.scores.mean()),
        "score_std": float(played.scores.std()),
        "success": float(played.success.mean()),
        "episode_length_mean": float(played.lengths.mean()),
    }
