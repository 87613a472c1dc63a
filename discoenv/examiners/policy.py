"""Evaluation episodes of reinforcement learning: environments that only an examiner steps, and policies that it asks.

Needs JAX, so only the examiners of such domains import it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from discoenv.examiners import jax_export
from discoenv.exams.examiner import Array, Examiner, Learner, ProtocolError, RuleBroken, State, Tree

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
Policy = Callable[[FloatArray, BoolArray], np.ndarray[Any, Any]]
Rollout = Callable[..., tuple[Any, Any]]

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

    def rollout(self, start: Callable[[int], Any], act: Callable[..., Any], agents: int) -> Rollout:
        """All episodes as one compiled program.

        Args:
            start, act: a policy of that many agents, as pure functions: ``start(n)`` is the memory of n environments
                per agent, ``act(state, memory, obs, first, key)`` gives actions and the memory after them.
            agents: their number S; environments are shared among them, the first N / S being the first agent's.

        Returns:
            ``run(state, keys, seed) -> (returns, lengths)``, with a key uint32[2] for each of the time steps that are
            played at most, and the seed of :meth:`start`.
        """
        group = (agents, self.count // agents)
        low, high, continuous = self.low, self.high, self.action_dim is not None

        def run(state: Any, keys: jax.Array, seed: jax.Array) -> tuple[jax.Array, jax.Array]:
            progress, step_key, obs = self._reset(seed)
            most = len(keys)

            def goes_on(carry: Any) -> jax.Array:
                time, finished, *_ = carry
                return (time < most) & ~finished

            def step(carry: Any) -> Any:
                time, _, progress, obs, first, memory = carry
                action, memory = act(state, memory, obs.reshape(*group, -1), first.reshape(group), keys[time])
                action = action.reshape(-1, *action.shape[2:])
                action = jnp.clip(action, low, high).astype(jnp.float32) if continuous else action.astype(jnp.int32)
                progress, obs, first, finished = self._step(progress, step_key, time, action)
                return time + 1, finished, progress, obs, first, memory

            begin = (jnp.int32(0), jnp.bool_(False), progress, obs, jnp.ones(self.count, bool), start(group[1]))
            progress = _Progress(*jax.lax.while_loop(goes_on, step, begin)[2])
            return progress.episode_return, progress.episode_length

        compiled: Rollout = jax.jit(run)
        return compiled

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

    Attributes:
        handed_over: keys of a state whose arrays have a leading axis [NUM_SEEDS]; beside them it has ``env_steps``.

    Args:
        dataset, scale, config: as of every examiner.
        episodes: the environments.
        allowed_steps: environment steps that training may take in all.
    """

    handed_over: ClassVar[tuple[str, ...]] = ("params",)

    def __init__(
        self, dataset: str, scale: str, config: Mapping[str, Any], *, episodes: Episodes, allowed_steps: int
    ) -> None:
        super().__init__(dataset, scale, config)
        self._episodes = episodes
        self._allowed_steps = allowed_steps
        self._agents = int(config["NUM_SEEDS"])
        self._rollout: Rollout | None = None

    @property
    def answering_config(self) -> Mapping[str, Any]:
        """The configuration, with ACTION_DIM: number of discrete actions, or length of the action vector."""
        dim = self._episodes.action_dim
        return {**self.config, "ACTION_DIM": int(self._episodes.high) + 1 if dim is None else dim}

    def check_state(self, state: State) -> None:
        """Agents, and how many environment steps they took.

        The number is the learner's own, so it finds mistakes, not lies; what bounds a liar is the compute budget.
        """
        state.require_keys(*self.handed_over, "env_steps")
        require_env_steps(state, self._allowed_steps)

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Play the episodes: in one program if the agents' networks are ours, else one question per time step.

        The questions are ``start(n)`` for the memory of n environments per agent, and ``act(memory, obs, first, key)``
        for actions and the memory after them. The order of an agent's environments is another one at each step, so
        that all that is known of an environment is what is in its memory.
        """
        keys = self.generator(seed, "actions").integers(
            2**32, size=(self.config["EVALUATION_STEPS"], 2), dtype=np.uint32
        )
        played = self._asked(learner, keys, seed) if learner.code is None else self._rolled(learner, keys, seed)
        return {**played, "env_steps": float(learner.state.arrays["env_steps"])}

    def _rolled(self, learner: Learner, keys: np.ndarray[Any, Any], seed: int) -> dict[str, float]:
        if self._rollout is None:
            start, act = learner.code.make_policy(learner.code.get_config(self.answering_config))
            self._rollout = self._episodes.rollout(start, act, self._agents)
        state = {name: learner.state.tree[name] for name in self.handed_over}
        return summary(*learner.guarded(self._rollout, state, keys, self._episode_seed(seed)))

    def _asked(self, learner: Learner, keys: np.ndarray[Any, Any], seed: int) -> dict[str, float]:
        agents, episodes = self._agents, self._episodes
        group = (agents, episodes.count // agents)
        if episodes.action_dim is None:
            actions = Array(group, "int", low=int(episodes.low), high=int(episodes.high))
        else:
            actions = Array((*group, episodes.action_dim), "float")
        memory = learner.ask("start", group[1], returns=Tree(group))
        order, time = self.generator(seed, "order"), iter(keys)

        def policy(obs: FloatArray, first: BoolArray) -> np.ndarray[Any, Any]:
            nonlocal memory
            rows = np.arange(agents)[:, None], order.permuted(np.tile(np.arange(group[1]), (agents, 1)), axis=1)
            back = rows[0], rows[1].argsort(axis=1)
            question = (
                jax.tree.map(lambda x: x[rows], memory),
                obs.reshape(*group, -1)[rows],
                first.reshape(group)[rows],
            )
            action, after = learner.ask("act", *question, next(time), returns=(actions, Tree(group)))
            memory = jax.tree.map(lambda x: x[back], after)
            action = action[back]
            return np.asarray(action.reshape(-1, *action.shape[2:]))

        return self._play(policy, seed)

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
        obs, first = self._episodes.start(self._episode_seed(seed))
        for _ in range(self.config["EVALUATION_STEPS"]):
            obs, first, finished = self._episodes.step(policy(obs, first))
            if finished:
                break
        return summary(*self._episodes.results())

    def _episode_seed(self, seed: int) -> int:
        return int(self.generator(seed, "evaluation").integers(2**31))


def require_env_steps(state: State, allowed: int) -> None:
    """Refuse a state whose ``env_steps`` is no integer, or more than the environment steps that are allowed.

    Raises:
        ProtocolError, RuleBroken: it is so.
    """
    steps = state.arrays.get("env_steps")
    if steps is None or steps.shape != () or steps.dtype.kind not in "iu":
        raise ProtocolError("state 'env_steps' must be an integer: the number of environment steps of training")
    if steps > allowed:
        raise RuleBroken(
            f"training took {int(steps):,} environment steps; the configuration allows {allowed:,}: "
            "take fewer in train.py"
        )


def summary(returns: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> dict[str, float]:
    """Metrics of the returns float[N] and lengths int[N] of episodes."""
    returns = np.asarray(returns).astype(np.float64)
    return {
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "episode_length_mean": float(np.asarray(lengths).mean()),
    }
