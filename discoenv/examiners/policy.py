"""Evaluation episodes of reinforcement learning: environments that only an examiner steps, and policies that it asks.

Needs JAX, so only the examiners of such domains import it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from discoenv.examiners import jax_export
from discoenv.exams.examiner import Array, Examiner, Learner, env_steps

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
Policy = Callable[[FloatArray, BoolArray], np.ndarray[Any, Any]]

#: Keys of a configuration that say how episodes are made, see :class:`Episodes`.
SETTINGS: Final = ("EVALUATION_EPISODES", "EVALUATION_RANDOM_STEPS")


class Simulator(NamedTuple):
    """One environment, not vectorised, as pure functions; a new episode begins by itself in the step that ends one.

    Attributes:
        reset: ``reset(key) -> (obs, state)``.
        step: ``step(key, state, action) -> (obs, state, reward, terminated, truncated, info)``.
        sample: ``sample(key, n)``: n actions, uniformly distributed over all that are allowed.
        action_dim: length A of the action vector if the action space is continuous; None if it is discrete.
        low, high: bounds, inclusive, of a discrete action, or of the elements of a vector, float or float[A].
    """

    reset: Callable[[jax.Array], tuple[jax.Array, Any]]
    step: Callable[[jax.Array, Any, jax.Array], tuple[Any, ...]]
    sample: Callable[[jax.Array, int], jax.Array]
    action_dim: int | None
    low: Any
    high: Any


class _Progress(NamedTuple):
    """State of the episodes: the environments' own, and per environment what its first episode came to so far."""

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    finished: jax.Array


class Episodes:
    """Parallel environments, of each of which the first episode is measured, one compiled step at a time.

    Compiled code is kept, so that an instance is worth reusing. What is traced for the first one is exported, so that
    later processes need not even import the simulator.

    Args:
        make: the environment, called with ``settings`` if it was not exported before; let it import the simulator.
        settings: everything that the environment depends on, as JSON values, and:

            * EVALUATION_EPISODES, the number N of environments;
            * EVALUATION_RANDOM_STEPS: each episode starts after 0 to that many uniformly random actions, so that
              deterministic games do not give N times the same episode, and a memorised sequence of actions is of no use
              (random starts, as in Mnih et al. 2015). What they earn does not count.
        folder, packages, also: where ``make`` and what it needs are defined, see :func:`jax_export.load`.

    Attributes:
        count: N.
        action_dim, low, high: as of the :class:`Simulator`; the bounds are arrays.
    """

    def __init__(
        self,
        make: Callable[[Mapping[str, Any]], Simulator],
        settings: Mapping[str, Any],
        *,
        folder: Path,
        packages: tuple[str, ...],
        also: tuple[Path, ...] = (),
    ) -> None:
        also = (Path(__file__), *also)
        programs = jax_export.load(
            functools.partial(define, make), settings, folder=folder, packages=packages, also=also
        )
        self.count = int(settings["EVALUATION_EPISODES"])
        self.action_dim: int | None = programs.facts["action_dim"]
        self.low, self.high = np.asarray(programs.facts["low"]), np.asarray(programs.facts["high"])
        self._reset, self._step = programs.functions["reset"], programs.functions["step"]

    def start(self, seed: int) -> tuple[FloatArray, BoolArray]:
        """Begin new episodes; ``seed``, below 2**31, fixes their randomness.

        Returns:
            obs: float32[N, D], flattened.
            first: bool[N], whether it is the first observation of an episode; here always.
        """
        self._time = 0
        self._progress, self._step_key, obs = self._reset(np.int32(seed))
        return np.asarray(obs), np.ones(self.count, bool)

    def step(self, action: np.ndarray[Any, Any]) -> tuple[FloatArray, BoolArray, bool]:
        """Take one step in each environment; one that has finished goes on with its next, unmeasured episode.

        Args:
            action: int[N], or float[N, A] (clipped to the bounds of the action space).

        Returns:
            obs and first as in :meth:`start`, and whether the measured episodes of all environments have ended.
        """
        if self.action_dim is None:
            action = action.astype(np.int32)
        else:
            action = np.clip(action, self.low, self.high).astype(np.float32)
        stepped = self._step(self._progress, self._step_key, np.int32(self._time), action)
        self._progress, obs, first, finished = stepped
        self._time += 1
        return np.asarray(obs), np.asarray(first), bool(finished)

    def results(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Undiscounted return float64[N] and length int64[N] of each first episode, up to now if it has not ended."""
        progress = _Progress(*self._progress)
        return (
            np.asarray(progress.episode_return).astype(np.float64),
            np.asarray(progress.episode_length).astype(np.int64),
        )


def define(make: Callable[[Mapping[str, Any]], Simulator], settings: Mapping[str, Any]) -> jax_export.Definition:
    """The programs ``reset(seed)`` and ``step(progress, key, time, action)``, and what goes with them.

    ``progress`` is a tuple of the fields of :class:`_Progress`, its ``env_state`` the list of the state's leaves.
    """
    simulator = make(settings)
    count, random_steps = (settings[name] for name in SETTINGS)
    reset_all, step_all = jax.vmap(simulator.reset), jax.vmap(simulator.step)

    def begin(key: jax.Array) -> tuple[jax.Array, Any]:
        reset_key, count_key, steps_key = jax.random.split(key, 3)
        start: tuple[jax.Array, Any] = reset_all(jax.random.split(reset_key, count))
        random_counts = jax.random.randint(count_key, (count,), 0, random_steps + 1)

        def random_step(carry: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            time, key = inputs
            action_key, step_key = jax.random.split(key)
            actions = simulator.sample(action_key, count)
            stepped = step_all(jax.random.split(step_key, count), carry[1], actions)
            moves = time < random_counts

            def choose(new: jax.Array, old: jax.Array) -> jax.Array:
                return jnp.where(moves.reshape(-1, *[1] * (new.ndim - 1)), new, old)

            return jax.tree.map(choose, (stepped[0], stepped[1]), carry), None

        if random_steps:  # a loop over nothing would be compiled as well
            inputs = jnp.arange(random_steps), jax.random.split(steps_key, random_steps)
            start, _ = jax.lax.scan(random_step, start, inputs)
        return start

    def reset(seed: jax.Array) -> tuple[tuple[Any, ...], jax.Array, jax.Array]:
        key, step_key = jax.random.split(jax.random.key(seed))
        obs, env_state = begin(key)
        zeros = jnp.zeros(count)
        progress = _Progress(jax.tree.leaves(env_state), zeros, zeros.astype(int), zeros.astype(bool))
        return tuple(progress), step_key, _flat(obs)

    key = jax.random.key(0)
    structure = jax.tree.structure(jax.eval_shape(begin, key)[1])

    def step(
        progress: tuple[Any, ...], key: jax.Array, time: jax.Array, action: jax.Array
    ) -> tuple[tuple[Any, ...], jax.Array, jax.Array, jax.Array]:
        leaves, episode_return, episode_length, finished = progress
        keys = jax.random.split(jax.random.fold_in(key, time), count)
        env_state = jax.tree.unflatten(structure, leaves)
        obs, env_state, reward, terminated, truncated, _ = step_all(keys, env_state, action)
        first = terminated | truncated
        after = _Progress(
            jax.tree.leaves(env_state),
            episode_return + reward * ~finished,
            episode_length + ~finished,
            finished | first,
        )
        return tuple(after), _flat(obs), first, after.finished.all()

    progress, *_ = jax.eval_shape(reset, np.int32(0))
    dim = simulator.action_dim
    action = np.zeros(count, np.int32) if dim is None else np.zeros((count, dim), np.float32)
    return jax_export.Definition(
        {"reset": (reset, (np.int32(0),)), "step": (step, (progress, key, np.int32(0), action))},
        {
            "action_dim": dim,
            "low": np.asarray(simulator.low).tolist(),
            "high": np.asarray(simulator.high).tolist(),
        },
    )


def _flat(obs: jax.Array) -> jax.Array:
    return obs.reshape(obs.shape[0], -1).astype(jnp.float32)


class PolicyExaminer(Examiner):
    """Plays EVALUATION_EPISODES episodes in parallel, of at most EVALUATION_STEPS steps each.

    The metrics are ``return_mean`` and ``return_std`` (mean and standard deviation over episodes of the undiscounted
    return), ``episode_length_mean`` (steps), and ``env_steps``, the number of environment steps taken in training. An
    episode that has not ended by then counts with its return so far.

    Args:
        dataset, scale, config: as of every examiner.
        episodes: the environments.
        allowed_steps: environment steps that training may take in all.
    """

    def __init__(
        self, dataset: str, scale: str, config: Mapping[str, Any], *, episodes: Episodes, allowed_steps: int
    ) -> None:
        super().__init__(dataset, scale, config)
        self._episodes = episodes
        self._allowed_steps = allowed_steps

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
        """Metrics, as of :meth:`examine`, of discrete actions drawn uniformly, or of continuous actions that are zero.

        Random torques cost energy and throw robots over. Motors that are off, which a network's almost are before
        training, earn more: with random torques for a floor, not to learn would look like learning.
        """
        episodes, generator = self._episodes, self.generator(seed, "floor")

        def policy(obs: FloatArray, first: BoolArray) -> np.ndarray[Any, Any]:
            if episodes.action_dim is None:
                return generator.integers(int(episodes.low), int(episodes.high), episodes.count, endpoint=True)
            return np.zeros((episodes.count, episodes.action_dim))  # step() clips them to the bounds

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
