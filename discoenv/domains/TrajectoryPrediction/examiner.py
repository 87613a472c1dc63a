"""Examines models of motion: shows history, neighbours and map of held-out scenes, and compares with what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner, RuleBroken, State

from . import published, scenes
from .references import constant_velocity
from .roads import Booleans, Floats
from .scenes import Scenes

#: Metres beyond which the end of the best mode is a miss.
MISS = 2.0
#: Coordinates that can be answered lie within this, in metres.
FARTHEST = 1e4
#: Fewest and most scenes of a question, if a learner answers; and the part of them that has been shown before.
LEAST_QUESTION, MOST_QUESTION = 12, 24
AGAIN = 0.25
#: By how much two answers to the same scene may differ: metres, and a share of the farthest coordinate.
TOLERANCE, SHARE = 0.02, 0.01
#: Metres by which the positions of every other scene that is shown again are moved, so that it cannot be recognised by
#: its bytes; and by how much, in metres, half of those answers may differ at most.
TOUCH, TOUCHED_TOLERANCE = 0.002, 0.1
_RULE = "they must depend on that scene alone, and be neither random nor learned from what was shown before"
#: The parts of an exam's scenes, and what their numbers are called in the configuration.
_PARTS = {"train": "TRAIN_SCENES", "validation": "VALIDATION_SCENES", "test": "EXAM_SCENES"}
#: Scenes of the exam that are saved for pictures.
_SAVED = 12
_GIVEN = ("agents", "agents_mask", "lanes", "lanes_mask", "future", "future_mask")


class TrajectoryPredictionExaminer(Examiner):
    """Asks for ``predict(agents, agents_mask, lanes, lanes_mask)`` of all held-out scenes.

    All scenes are drawn from the exam's seed. The offline sets are simulated anew: the held-out scenes lie on road
    graphs that no other part has, and all scenes of one world are of the same moment, so that none shows the future of
    another. Of published ones it draws which are held out, and turns and moves each a little.

    A learner is asked about few scenes at a time, in random order. A part of them it has seen before, in other company,
    and its witness is asked about some of them alone: what is said of a scene may not depend on others. The metrics:
    see :func:`metrics`.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._drawn: tuple[int, dict[str, Scenes]] = -1, {}

    def part(self, seed: int, name: str) -> Scenes:
        """The scenes of one part, ``train``, ``validation`` or ``test``."""
        if self._drawn[0] != seed:
            self._drawn = seed, {}
        parts = self._drawn[1]
        if name not in parts:
            config, draw = self.config, self.generator(seed, f"scenes, {name}")
            count, kind = config[_PARTS[name]], config["SCENES"]
            if kind in scenes.DISTRIBUTIONS:
                parts[name] = scenes.draw(kind, count, config["AGENTS"], config["LANES"], draw)
            else:
                halves = self.generator(seed, "halves")
                parts[name] = published.part(kind, self.data, name, count, config, halves, draw)
            self._check_shapes(parts[name])
        return parts[name]

    def prepare_questions(self, seed: int, stage: int) -> None:
        """Draw the scenes that will be asked about."""
        self.part(seed, "test")

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """Scenes with their futures, to train on and for validation."""
        parts = {name: self.part(seed, name) for name in ("train", "validation")}
        return {f"{name}_{each}": getattr(scene, each) for name, scene in parts.items() for each in _GIVEN}

    def check_state(self, state: State) -> None:
        """The numbers of a network, at most MAX_PARAMETERS of them, and at most MAX_QUERIES anchors."""
        state.require_keys("model", "modes")
        state["model"].require_at_most(size=self.config["MAX_PARAMETERS"], of="parameters and buffers")
        modes, times = state["modes"], self.config["FUTURE"]
        modes.require_at_most(size=self.config["MAX_QUERIES"] * times * 2, of="numbers in anchors")
        queries = max(1, modes.size // (times * 2))
        modes.require_like({"modes/anchors": np.empty((queries, times, 2), np.float32)})

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Show all held-out scenes; to a learner, some of them several times."""
        test = self.part(seed, "test")
        if learner.code is None:
            trajectories, probabilities = self._questions(learner, test, self.generator(seed, "questions"))
        else:  # our own code says of each scene what it would say of it alone
            batch = self.config["EXAM_BATCH"]
            parts = [self._ask(learner, test.take(slice(k, k + batch))) for k in range(0, len(test), batch)]
            trajectories, probabilities = (np.concatenate(each) for each in zip(*parts, strict=True))
        self._keep_pictures(test, trajectories, probabilities)
        found = metrics(trajectories, probabilities, test.future, test.future_mask)
        return found | {"parameter_count": float(learner.state["model"].size)}

    def floor(self, seed: int) -> dict[str, float]:
        """Constant velocity: one of the modes, with probability 1; the others are the same."""
        test = self.part(seed, "test")
        trajectories = constant_velocity(test.agents, test.agents_mask, self.config["FUTURE"])
        repeated = np.repeat(trajectories[:, None], self.config["MODES"], axis=1)
        probabilities = np.zeros(repeated.shape[:2])
        probabilities[:, 0] = 1.0
        return metrics(repeated, probabilities, test.future, test.future_mask) | {"parameter_count": 0.0}

    def _check_shapes(self, part: Scenes) -> None:
        config = self.config
        agents = (config["AGENTS"], config["HISTORY"], 2)
        lanes = (config["LANES"], config["LANE_POINTS"], 2)
        for name, shape in (("agents", agents), ("lanes", lanes), ("future", (config["FUTURE"], 2))):
            if getattr(part, name).shape[1:] != shape:
                raise ValueError(
                    f"config.yaml of {self.dataset}: {name} are {getattr(part, name).shape[1:]}, not {shape}: change "
                    "AGENTS, HISTORY, LANES, LANE_POINTS or FUTURE"
                )

    def _questions(self, learner: Learner, test: Scenes, draw: np.random.Generator) -> tuple[Floats, Floats]:
        """What was said of each scene when it was first shown."""
        count, modes, times = len(test), self.config["MODES"], self.config["FUTURE"]
        trajectories, probabilities = np.zeros((count, modes, times, 2)), np.zeros((count, modes))
        order = draw.permutation(count)
        touched: list[float] = []
        shown = 0
        while shown < count:
            size = int(draw.integers(LEAST_QUESTION, MOST_QUESTION, endpoint=True))
            again = order[draw.choice(shown, min(shown, int(AGAIN * size)), replace=False)]
            new = order[shown : min(count, shown + size - len(again))]
            asked = test.take(np.concatenate([new, again]))
            touch = len(new) + len(again) // 2
            asked = _touched(asked, touch, draw)
            mixed = draw.permutation(len(asked))
            said, chances = (np.empty((len(asked), modes, *rest)) for rest in ((times, 2), ()))
            said[mixed], chances[mixed] = self._ask(learner, asked.take(mixed))
            trajectories[new], probabilities[new] = said[: len(new)], chances[: len(new)]
            exact, moved = slice(len(new), touch), slice(touch, None)
            differ = _differences(
                said[exact], chances[exact], trajectories[again], probabilities[again], touch - len(new)
            )
            if (differ > 1.0).any():
                raise RuleBroken(f"the answer to a scene changed when it was shown again among other scenes: {_RULE}")
            rest = again[touch - len(new) :]
            touched += np.abs(said[moved] - trajectories[rest]).max(axis=(1, 2, 3), initial=0.0).tolist()
            shown += len(new)
        if touched and np.median(touched) > TOUCHED_TOLERANCE:
            raise RuleBroken(
                "the answers to scenes changed when they were shown again, among others and with positions moved by up "
                f"to {1000 * TOUCH:.0f} mm: {_RULE}"
            )
        if learner.witness is not None:
            self._compare(learner.witness, test, trajectories, probabilities, draw)
        return trajectories, probabilities

    def _compare(
        self, witness: Learner, test: Scenes, trajectories: Floats, probabilities: Floats, draw: np.random.Generator
    ) -> None:
        """Ask a second learner about a part of the scenes: it has not seen the others, and must say the same."""
        rows = draw.choice(len(test), max(1, int(AGAIN * len(test))), replace=False)
        for part in np.split(rows, range(MOST_QUESTION, len(rows), MOST_QUESTION)):
            said, chances = self._ask(witness, test.take(part))
            if (_differences(said, chances, trajectories[part], probabilities[part], len(part)) > 1.0).any():
                raise RuleBroken(f"a learner that was shown other scenes says something else of the same one: {_RULE}")

    def _ask(self, learner: Learner, asked: Scenes) -> tuple[Floats, Floats]:
        """Exactly MODES trajectories float64[B, MODES, FUTURE, 2] and probabilities float64[B, MODES], of sum 1."""
        count, modes, times = len(asked), self.config["MODES"], self.config["FUTURE"]
        trajectories, probabilities = learner.ask(
            "predict",
            *asked.shown.values(),
            returns=(
                Array((count, modes, times, 2), "float", low=-FARTHEST, high=FARTHEST),
                Array((count, modes), "float", low=0.0, high=1.0 + 1e-3),
            ),
        )
        total = probabilities.sum(axis=1, keepdims=True)
        if (np.abs(total - 1.0) > 1e-2).any():
            raise RuleBroken(
                f"the probabilities of a scene have the sum {total.flat[np.abs(total - 1.0).argmax()]:.3g}; it must be "
                "1: divide them by their sum"
            )
        return trajectories, probabilities / total

    def _keep_pictures(self, test: Scenes, trajectories: Floats, probabilities: Floats) -> None:
        """The worst scenes, and as many others."""
        error = displacement(trajectories, test.future, test.future_mask)[0]
        worst = np.argsort(-error, kind="stable")[: _SAVED // 2]
        others = np.setdiff1d(np.arange(len(test)), worst)[: _SAVED - len(worst)]
        rows = np.concatenate([worst, others])
        for name in _GIVEN:
            array = getattr(test, name)[rows]
            self.save_artifact(name, array.astype(np.float32) if array.dtype.kind == "f" else array)
        self.save_artifact("trajectories", trajectories[rows].astype(np.float32))
        self.save_artifact("probabilities", probabilities[rows].astype(np.float32))
        self.save_artifact("errors", error.astype(np.float32))


def _touched(asked: Scenes, first: int, draw: np.random.Generator) -> Scenes:
    """Scenes, those from ``first`` on with all that was seen of road users moved by up to ``TOUCH``."""
    agents = asked.agents.copy()
    moved = draw.uniform(-TOUCH, TOUCH, agents[first:].shape).astype(np.float32)
    agents[first:] += moved * asked.agents_mask[first:, ..., None]
    return Scenes(**{**vars(asked), "agents": agents})


def _differences(said: Floats, chances: Floats, before: Floats, chances_before: Floats, count: int) -> Floats:
    """By how much the first ``count`` answers differ, in units of what they may; float64[count]."""
    before, chances_before = before[:count], chances_before[:count]
    allowed = TOLERANCE + SHARE * np.abs(before).max(axis=(1, 2, 3), initial=0.0)
    apart = np.abs(said - before).max(axis=(1, 2, 3), initial=0.0) / allowed
    worst: Floats = np.maximum(apart, np.abs(chances - chances_before).max(axis=1, initial=0.0) / TOLERANCE)
    return worst


def displacement(trajectories: Floats, future: Floats, known: Booleans) -> tuple[Floats, Floats, Floats]:
    """Errors of modes float[B, K, T, 2] at the known times bool[B, T] of futures float[B, T, 2], metres.

    Returns:
        Least mean distance over time of any mode, float64[B]; least distance at the last known time, float64[B]; and
        the number of the mode with the latter, int64[B].
    """
    distance = np.linalg.norm(trajectories - future[:, None].astype(np.float64), axis=-1)
    mean = (distance * known[:, None]).sum(axis=-1) / known.sum(axis=-1)[:, None]
    last = known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    final = distance[np.arange(len(distance)), :, last]
    best = final.argmin(axis=1)
    return mean.min(axis=1), final.min(axis=1), best


def metrics(trajectories: Floats, probabilities: Floats, future: Floats, known: Booleans) -> dict[str, float]:
    """How good modes are.

    Args:
        trajectories: float[B, K, T, 2], metres.
        probabilities: float[B, K], of sum 1.
        future: float[B, T, 2], what happened.
        known: bool[B, T], at which times that is known; at least one of each scene.

    Returns:
        Means over scenes: ``minADE`` (least mean distance of a mode over the known times), ``minFDE`` (least distance
        at the last of them), ``miss_rate`` (share with minFDE above ``MISS``), ``brier_minFDE`` (minFDE + (1 - p)² with
        the probability p of the mode that comes nearest in the end).
    """
    mean, final, best = displacement(trajectories, future, known)
    p = probabilities[np.arange(len(best)), best]
    return {
        "minADE": float(mean.mean()),
        "minFDE": float(final.mean()),
        "miss_rate": float((final > MISS).mean()),
        "brier_minFDE": float((final + (1.0 - p) ** 2).mean()),
    }
