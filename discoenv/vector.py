"""Many episodes at once: a vector environment whose sub-environments train concurrently, each in its own sandboxes.

Threads suffice, because the work is done in other processes; Gymnasium's own vector environments step one after
another, or cut texts down to shared memory.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from discoenv import arguments
from discoenv.env import DiscoGenEnv, Observation
from discoenv.episodes.episode import Info
from discoenv.exams.host import Host
from discoenv.exams.secrets import Secret
from discoenv.exams.spec import Progress
from discoenv.machine.devices import DeviceChoice
from discoenv.sandbox import SandboxChoice

_Array = NDArray[Any]
VectorStep = tuple[Observation, _Array, _Array, _Array, Info]


class _Transition(NamedTuple):
    """What one sub-environment answers to a step."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: Info
    broken: bool = False


class DiscoGenVectorEnv(VectorEnv[Observation, Any, _Array]):
    """``num_envs`` :class:`DiscoGenEnv`, stepped at the same time; made by ``gym.make_vec("DiscoGen-v0", ...)``.

    They share a host, and each answers as it would alone with the same seed. Observations and infos are
    batched as Gymnasium does (:meth:`split` undoes it). :meth:`step` takes a batch of the action space, or simply a
    list of actions, one per sub-environment, in any form that :func:`discoenv.episodes.action.parse_action` takes.

    If a sub-environment raises, the others go on: its own episode ends ``truncated`` with reward 0, its last
    observation with the error as ``text``, and ``info["infra_error"]`` and ``info["traceback"]``. Its next step resets
    it (unless automatic resets are off), and reports the same again if that fails.

    Args:
        num_envs: number of sub-environments.
        autoreset_mode: Gymnasium's ``NextStep``, ``SameStep`` or ``Disabled``.
        host: where exams run, those of all sub-environments; its creator closes it.
        sandbox, device, secret: without a ``host``, those of a host that is made for this environment.
        on_progress: called with a sub-environment's index and what its exams do; never twice at once.
        max_episode_steps: Gymnasium's name of a limit on steps; it counts as ``max_steps`` where that is not smaller.
        further: all other arguments of :class:`DiscoGenEnv`.

    Raises:
        As :class:`DiscoGenEnv`; ``ValueError`` also if ``num_envs`` or ``autoreset_mode`` is wrong.
    """

    metadata = {  # noqa: RUF012 - as Gymnasium declares it
        **DiscoGenEnv.metadata,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        host: Host | None = None,
        sandbox: SandboxChoice = "auto",
        device: DeviceChoice = "auto",
        secret: Secret | str | Path | None = None,
        on_progress: Callable[[int, Progress], None] | None = None,
        max_episode_steps: int | None = None,
        **further: Any,
    ) -> None:
        num_envs = self.num_envs = arguments.integer(
            "num_envs", num_envs, least=1, why="at least 1 is needed, a whole number"
        )
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if on_progress is not None:
            arguments.function("on_progress", on_progress, "index", "progress")
        if host is not None:
            arguments.instance("host", host, Host)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.host = host or Host(sandbox, device=device, secret=secret)
        self._owns_host = host is None
        self._on_progress = on_progress
        self._progress_lock = threading.Lock()
        self.envs = [
            DiscoGenEnv(
                host=self.host,
                on_progress=self._progress_of(index),
                **further,
            )
            for index in range(num_envs)
        ]
        if max_episode_steps is not None:
            most = arguments.integer("max_episode_steps", max_episode_steps, least=1)
            for env in self.envs:
                env.limits = replace(env.limits, max_steps=min(most, env.limits.max_steps))
        self.render_mode = self.envs[0].render_mode
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observations: list[Observation] = []
        self._over = np.ones(num_envs, dtype=np.bool_)
        self._broken = np.zeros(num_envs, dtype=np.bool_)
        self._threads = ThreadPoolExecutor(num_envs, thread_name_prefix="discoenv-vector")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be copied or pickled, as each of its environments does.

        Raises:
            TypeError: always.
        """
        return DiscoGenEnv.__reduce_ex__(self, protocol)  # type: ignore[arg-type]

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Observation, Info]:
        """Start episodes.

        Args:
            seed: one per sub-environment; an integer ``s`` means ``s, s + 1, ...``; None: random ones.
            options: ``reset_mask``, bool[num_envs]: which to reset, the others go on; ``task``: the task of these
                episodes, or a list of one per sub-environment; ``restore``: the saved episode that they go on with, or
                such a list, see :meth:`DiscoGenEnv.restore`.

        Raises:
            ValueError: seeds or options do not fit.
            Exception: what the first sub-environment that could not be reset raised, with its index as a note. The
                others have been reset.
        """
        seeds = self._seeds(seed)
        mask, each_options = self._options(options)
        indices = [int(index) for index in np.flatnonzero(mask)]
        if not self._observations and len(indices) < self.num_envs:
            raise gymnasium.error.ResetNeeded("reset_mask: the first reset must be one of all sub-environments")

        def reset_one(index: int) -> tuple[Observation, Info] | Exception:
            try:
                return self.envs[index].reset(seed=seeds[index], options=each_options[index])
            except Exception as error:
                error.add_note(f"(sub-environment {index} of {self.num_envs})")
                return error

        results = self._concurrently(reset_one, indices)
        observations: list[Any] = [*self._observations] or [None] * self.num_envs
        infos: Info = {}
        errors = [result for result in results if isinstance(result, Exception)]
        for index, result in zip(indices, results, strict=True):
            self._over[index] = self._broken[index] = isinstance(result, Exception)
            if not isinstance(result, Exception):
                observations[index], info = result
                infos = self._add_info(infos, info, index)
        if all(observation is not None for observation in observations):
            self._observations = observations
        if errors:
            raise errors[0]
        return self._batch(), infos

    def step(self, actions: Any) -> VectorStep:
        """Apply an action in each sub-environment, all at the same time.

        Args:
            actions: a batch of :attr:`action_space`, or a list or tuple of ``num_envs`` actions. That of a
                sub-environment that this step resets is ignored.

        Returns:
            Batched observations, float64 rewards, bool terminations and truncations (each of shape [num_envs]), infos.

        Raises:
            TypeError, ValueError: ``actions`` is not a list or batch of ``num_envs`` actions.
            ResetNeeded: before the first reset, or if an episode is over and automatic resets are off.
        """
        each = self._each_action(actions)
        if not self._observations:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._over.any():
            over = ", ".join(map(str, np.flatnonzero(self._over)))
            raise gymnasium.error.ResetNeeded(
                f'the episodes of sub-environments {over} are over: call reset(options={{"reset_mask": ...}})'
            )
        steps = self._concurrently(lambda index: self._step_one(index, each[index]), range(self.num_envs))
        infos: Info = {}
        for index, step in enumerate(steps):
            infos = self._add_info(infos, step.info, index)
        self._observations = [step.observation for step in steps]
        self._broken[:] = [step.broken for step in steps]
        rewards = np.array([step.reward for step in steps], dtype=np.float64)
        terminations = np.array([step.terminated for step in steps], dtype=np.bool_)
        truncations = np.array([step.truncated for step in steps], dtype=np.bool_)
        self._over = terminations | truncations
        return self._batch(), rewards, terminations, truncations, infos

    def split(self, observations: Observation, infos: Info) -> list[tuple[Observation, Info]]:
        """Observation and info of each sub-environment, as :class:`DiscoGenEnv` gave them."""
        split = []
        for index, single in enumerate(iterate(self.observation_space, observations)):
            values = {
                key: np.asarray(value) if isinstance(value, np.generic) else value for key, value in single.items()
            }
            split.append((values, info_of(infos, index)))
        return split

    def render(self) -> tuple[str | None, ...]:  # type: ignore[override]
        """The last text of each sub-environment, if ``render_mode="ansi"``."""
        return tuple(env.render() for env in self.envs)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of each sub-environment, or get an attribute, one after another."""
        found = [env.get_wrapper_attr(name) for env in self.envs]
        return tuple(value(*args, **kwargs) if callable(value) else value for value in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of each sub-environment."""
        return tuple(env.get_wrapper_attr(name) for env in self.envs)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seed of each sub-environment."""
        return tuple(env.np_random_seed for env in self.envs)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generator of each sub-environment."""
        return tuple(env.np_random for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """End all episodes, their processes and threads, also those in the middle of a step."""
        for env in getattr(self, "envs", []):
            env.close()
        if hasattr(self, "_threads"):
            self._threads.shutdown(wait=True, cancel_futures=True)
        for env in getattr(self, "envs", []):  # a reset that was under way has made new processes
            env.close()
        if getattr(self, "_owns_host", False):
            self.host.close()

    def _step_one(self, index: int, action: Any) -> _Transition:
        env = self.envs[index]
        try:
            if self._broken[index] or (self._over[index] and self.autoreset_mode is AutoresetMode.NEXT_STEP):
                observation, info = env.reset()
                return _Transition(observation, 0.0, False, False, info)
            observation, reward, terminated, truncated, info = env.step(action)
        except Exception as error:
            return self._failure(index, self._observations[index], error)
        end = _Transition(observation, float(reward), terminated, truncated, info)
        if self.autoreset_mode is not AutoresetMode.SAME_STEP or not (terminated or truncated):
            return end
        final = {"final_obs": observation, "final_info": info}
        try:
            observation, info = env.reset()
        except Exception as error:
            failure = self._failure(index, observation, error)
            return end._replace(
                observation=failure.observation, info={**final, **failure.info}, truncated=True, broken=True
            )
        return end._replace(observation=observation, info={**final, **info})

    def _failure(self, index: int, observation: Observation, error: Exception) -> _Transition:
        """What a sub-environment that raised answers; its processes are ended."""
        with contextlib.suppress(Exception):
            self.envs[index].close()
        reason = f"{type(error).__name__}: {error}"
        text = f"The environment failed, and the episode ends without a score: {reason}\n"
        info = {"infra_error": reason, "traceback": "".join(traceback.format_exception(error))}
        return _Transition({**observation, "text": text}, 0.0, False, True, info, broken=True)

    def _concurrently(self, function: Callable[[int], Any], indices: Iterable[int]) -> list[Any]:
        """Results of ``function`` by index. If the wait is interrupted, everything is closed."""
        futures: list[Future[Any]] = [self._threads.submit(function, index) for index in indices]
        try:
            return [future.result() for future in futures]
        except BaseException:
            self.close()
            raise

    def _batch(self) -> Observation:
        space = self.single_observation_space
        batch: Observation = concatenate(space, self._observations, create_empty_array(space, self.num_envs))  # type: ignore[assignment]
        return batch

    def _each_action(self, actions: Any) -> list[Any]:
        if isinstance(actions, Mapping):
            try:
                actions = list(iterate(self.action_space, actions))
            except (TypeError, KeyError, ValueError) as error:
                raise ValueError(
                    f"actions: neither a list of {self.num_envs} actions nor a batch of action_space ({error!r})"
                ) from error
        if isinstance(actions, (str, bytes)) or not isinstance(actions, Iterable):
            raise TypeError(f"actions is {type(actions).__name__}; expected a list of {self.num_envs} actions")
        each = list(actions)
        if len(each) != self.num_envs:
            raise ValueError(f"there are {len(each)} actions for {self.num_envs} sub-environments")
        return each

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + index for index in range(self.num_envs)]
        seeds = [None if each is None else int(each) for each in seed]
        if len(seeds) != self.num_envs:
            raise ValueError(f"there are {len(seeds)} seeds for {self.num_envs} sub-environments")
        return seeds

    def _options(self, options: Mapping[str, Any] | None) -> tuple[_Array, list[dict[str, Any]]]:
        """The mask, and the options of each sub-environment."""
        rest = dict(options or {})
        mask = np.asarray(rest.pop("reset_mask", np.ones(self.num_envs, dtype=np.bool_)))
        if mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"reset_mask must be bool[{self.num_envs}] with at least one True, not {mask!r}")
        each = [dict(rest) for _ in range(self.num_envs)]
        for key, name in (("task", "tasks"), ("restore", "saved episodes")):
            values = rest.get(key)
            if not isinstance(values, (list, tuple)):
                continue
            if len(values) != self.num_envs:
                raise ValueError(f"options: there are {len(values)} {name} for {self.num_envs} sub-environments")
            for single, value in zip(each, values, strict=True):
                single[key] = value
        return mask, each

    def _progress_of(self, index: int) -> Callable[[Progress], None] | None:
        if self._on_progress is None:
            return None

        def report(progress: Progress) -> None:
            assert self._on_progress is not None
            with self._progress_lock:
                self._on_progress(index, progress)

        return report

    def _add_info(self, vector_infos: Info, env_info: Info, env_num: int) -> Info:
        """As Gymnasium's, but a key whose values differ in type becomes an array of objects instead of an error."""
        for key, value in env_info.items():
            mask = vector_infos.setdefault(f"_{key}", np.zeros(self.num_envs, dtype=np.bool_))
            known = vector_infos.get(key)
            if isinstance(value, dict) and key != "final_obs" and (known is None or isinstance(known, dict)):
                vector_infos[key] = self._add_info(known or {}, value, env_num)
            else:
                if isinstance(known, dict):
                    plain = [info_of(known, index) if mask[index] else None for index in range(self.num_envs)]
                    known = _objects(plain)
                vector_infos[key] = self._column(known, value)
                vector_infos[key][env_num] = value
            mask[env_num] = True
        return vector_infos

    def _column(self, known: _Array | None, value: Any) -> _Array:
        """The array ``known``, or one that can hold ``value`` too."""
        like = np.asarray(value) if isinstance(value, (bool, int, float, np.number, np.ndarray)) else None
        if known is None:
            known = (
                _objects([None] * self.num_envs) if like is None else np.zeros((self.num_envs, *like.shape), like.dtype)
            )
        if known.dtype != object and (like is None or like.dtype != known.dtype or like.shape != known.shape[1:]):
            known = _objects([each.item() if known.ndim == 1 else each for each in known])
        return known


def info_of(infos: Mapping[str, Any], index: int) -> Info:
    """The info of one sub-environment, out of a batch of them."""
    single: Info = {}
    for key, value in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        if f"_{key}" in infos and infos[f"_{key}"][index]:
            if isinstance(value, dict):
                single[key] = info_of(value, index)
            else:
                entry = value[index]
                single[key] = entry.item() if isinstance(entry, np.generic) else entry
    return single


def _objects(values: Sequence[Any]) -> _Array:
    """An array of any Python objects."""
    array = np.full(len(values), None, dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array
