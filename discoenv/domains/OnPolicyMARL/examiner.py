"""Examines teams: plays evaluation episodes in worlds that the learner has never touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jax
import numpy as np

from discoenv.examiners.policy import require_env_steps
from discoenv.exams.examiner import Array, Examiner, Learner, ProtocolError, RuleBroken, State, Tree

from .evaluation import Episodes, Moment, Results, Rollout

#: Of how many agents two learners may say something else, as a share; and by how much memories and vectors may differ
#: before that counts, as a share of 1 plus their size.
OTHERS: Final = 0.02
TOLERANCE: Final = 1e-4
#: One of so many of an answered question's agents are shown to the witness.
WITNESSED: Final = 4
_RULE: Final = "an agent's action and memory may depend on its own memory, observation and key alone"


class OnPolicyMARLExaminer(Examiner):
    """Plays EVALUATION_EPISODES episodes in parallel, of at most EVALUATION_STEPS steps each.

    The metrics are ``return_mean`` and ``return_std`` (mean and standard deviation over episodes of the team's
    undiscounted return), ``success_rate`` (share of episodes in which the team reached its aim),
    ``episode_length_mean`` (steps), and ``env_steps``, the number of environment steps taken in training. An episode
    that has not ended by then counts as it is. Each seed and each learning rate may take TOTAL_TIMESTEPS steps.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._episodes = Episodes(config)
        self._teams = int(config["NUM_SEEDS"])
        self._allowed_steps = config["TOTAL_TIMESTEPS"] * config["NUM_SEEDS"] * config["NUM_LEARNING_RATES"]
        self._rollout: Rollout | None = None

    @property
    def answering_config(self) -> Mapping[str, Any]:
        """The configuration, with ACTION_DIM and WORLD_DIM, the length of what centralised critics saw in training."""
        return {**self.config, "ACTION_DIM": self._episodes.actions, "WORLD_DIM": self._episodes.world_dim}

    def check_state(self, state: State) -> None:
        """Teams, and how many environment steps they took.

        The number is the learner's own, so it finds mistakes, not lies; what bounds a liar is the compute budget.
        """
        state.require_keys("params", "env_steps")
        require_env_steps(state, self._allowed_steps)

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Play the episodes: in one program if the networks are ours, else by questions.

        The questions are ``start(n)`` for the memory of n agents, and ``act(memory, obs, first, available, key)`` for
        actions and the memory after them. Each shows one agent of each episode, another one at each step, in random
        order: so what an agent does can depend on nothing but its own memory and observation.
        """
        episodes, steps = self._episodes, self.config["EVALUATION_STEPS"]
        shape = (steps, self._teams, episodes.count // self._teams, episodes.agents, 2)
        keys = self.generator(seed, "actions").integers(2**32, size=shape, dtype=np.uint32)
        if learner.code is None:
            results = self._asked(learner, keys, seed)
            scenes = episodes.scenes()
        else:
            if self._rollout is None:
                start, act = learner.code.make_policy(learner.code.get_config(self.answering_config))
                self._rollout = episodes.rollout(start, act, self._teams, steps)
            state = {"params": learner.state.tree["params"]}
            results, scenes = learner.guarded(self._rollout, state, keys, np.int32(self._episode_seed(seed)))
        self._save(results, np.asarray(scenes))
        return {**summary(results), "env_steps": float(learner.state.arrays["env_steps"])}

    def floor(self, seed: int) -> dict[str, float]:
        """Metrics, as of :meth:`examine`, of available actions drawn uniformly, or of torques that are zero."""
        episodes, generator = self._episodes, self.generator(seed, "floor")

        def policy(moment: Moment) -> np.ndarray[Any, Any]:
            if episodes.continuous:
                return np.zeros(moment.available.shape)
            chances = np.where(moment.available, generator.random(moment.available.shape), -1.0)
            return np.asarray(chances.argmax(axis=-1))

        moment = episodes.start(self._episode_seed(seed))
        for _ in range(self.config["EVALUATION_STEPS"]):
            moment, finished = episodes.step(policy(moment))
            if finished:
                break
        return {**summary(episodes.results()), "env_steps": 0.0}

    def _episode_seed(self, seed: int) -> int:
        return int(self.generator(seed, "evaluation").integers(2**31))

    def _asked(self, learner: Learner, keys: np.ndarray[Any, Any], seed: int) -> Results:
        episodes = self._episodes
        group = keys.shape[1:3]
        begin = learner.ask("start", group[1], returns=Tree(group))
        memory = jax.tree.map(lambda x: np.repeat(x[:, :, None], episodes.agents, axis=2), begin)
        order, differ = self.generator(seed, "order"), _Differences()
        moment = episodes.start(self._episode_seed(seed))
        for key in keys:
            shown = _Shown.of(moment, memory, key, group)
            # In question q, row r is about agent who[q, r] of episode where[q, r].
            who = order.permuted(np.tile(np.arange(episodes.agents), (*group, 1)), axis=-1)
            shape = (*group, episodes.actions) if episodes.continuous else group
            action = np.zeros((*group, episodes.agents, *shape[2:]), np.float64 if episodes.continuous else np.int64)
            witnessed = int(order.integers(episodes.agents))
            for number in range(episodes.agents):
                where = order.permuted(np.tile(np.arange(group[1]), (group[0], 1)), axis=-1)
                rows = np.arange(group[0])[:, None], where, np.take_along_axis(who[..., number], where, axis=1)
                said, after = self._ask(learner, shown, rows)
                action[rows] = said
                if number == witnessed and learner.witness is not None:
                    few = tuple(index[:, : max(1, group[1] // WITNESSED)] for index in np.broadcast_arrays(*rows))
                    differ.note(said, after, *self._ask(learner.witness, shown, few))
                memory = jax.tree.map(lambda old, new, rows=rows: _with(old, rows, new), memory, after)
            differ.check()
            moment, finished = episodes.step(action.reshape(episodes.count, episodes.agents, *action.shape[3:]))
            if finished:
                break
        return episodes.results()

    def _ask(self, learner: Learner, shown: _Shown, rows: tuple[Any, ...]) -> tuple[Any, Any]:
        """Actions int64[S, n], or float64[S, n, K], of the agents of these rows, and their memory."""
        episodes = self._episodes
        group = np.broadcast_shapes(*(index.shape for index in rows))
        available = shown.available[rows]
        if episodes.continuous:
            actions = Array((*group, episodes.actions), "float")
        else:
            actions = Array(group, "int", low=0, high=episodes.actions - 1)
        question = (shown.own[rows], shown.first[rows[0], rows[1]], available, shown.key[rows])
        memory = jax.tree.map(lambda x: x[rows], shown.memory)
        action, after = learner.ask("act", memory, *question, returns=(actions, Tree(group)))
        if jax.tree.map(np.shape, after) != jax.tree.map(np.shape, memory):
            raise ProtocolError("act() answered a memory of another structure, or of other shapes, than it was given")
        if not episodes.continuous and not np.take_along_axis(available, action[..., None], axis=-1).all():
            raise RuleBroken(
                "act() chose an action that is not available; in networks.py give such actions logits so low that they "
                "are neither drawn nor the mode"
            )
        return (np.clip(action, -1.0, 1.0) if episodes.continuous else action), after

    def _save(self, results: Results, scenes: np.ndarray[Any, Any]) -> None:
        """What pictures show: scenes of the first episodes, and all returns."""
        self.save_artifact("scenes", scenes.astype(np.float32))
        for name, values in results._asdict().items():
            self.save_artifact(name, np.asarray(values))


class _Shown:
    """What the agents of S teams see in n episodes each, and their memory: all arrays with the axes [S, n, A]."""

    def __init__(self, own: Any, available: Any, first: Any, key: Any, memory: Any) -> None:
        self.own, self.available, self.first, self.key, self.memory = own, available, first, key, memory

    @classmethod
    def of(cls, moment: Moment, memory: Any, key: Any, group: tuple[int, ...]) -> _Shown:
        own, available = (x.reshape(*group, *x.shape[1:]) for x in (moment.own, moment.available))
        return cls(own, available, moment.first.reshape(group), key, memory)


class _Differences:
    """How often the witness, which is shown few agents and never two of one world, says something else of them."""

    def __init__(self) -> None:
        self._said, self._other = 0, 0

    def note(self, said: Any, after: Any, again: Any, after_again: Any) -> None:
        """An answer, and what the witness answered for its first rows."""
        pairs = zip(jax.tree.leaves((said, after)), jax.tree.leaves((again, after_again)), strict=True)
        apart = np.zeros(again.shape[:2], bool)
        for one, other in pairs:
            near = np.isclose(one[:, : apart.shape[1]].astype(np.float64), other, rtol=TOLERANCE, atol=TOLERANCE)
            apart |= ~near.reshape(*apart.shape, -1).all(axis=-1)
        self._said, self._other = self._said + apart.size, self._other + int(apart.sum())

    def check(self) -> None:
        """End the exam if that was too often."""
        if self._other > max(2, OTHERS * self._said):
            raise RuleBroken(f"a learner that was shown other agents says something else of the same one: {_RULE}")


def _with(old: Any, rows: Any, new: Any) -> Any:
    """``old`` with other values in some rows."""
    old = old.astype(np.result_type(old, new))
    old[rows] = new
    return old


def summary(results: Results) -> dict[str, float]:
    """Metrics of the first episodes."""
    returns = np.asarray(results.returns).astype(np.float64)
    return {
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "success_rate": float(np.asarray(results.success).mean()),
        "episode_length_mean": float(np.asarray(results.lengths).mean()),
    }
