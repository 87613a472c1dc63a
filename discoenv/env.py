"""The environment: Gymnasium's interface to :class:`discoenv.episodes.episode.Episode`."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, SupportsFloat, cast

import gymnasium
import numpy as np
from gymnasium.utils import seeding

from discoenv import arguments, objectives
from discoenv.episodes.episode import Episode, EpisodeLimits, Info
from discoenv.episodes.history import History
from discoenv.episodes.restoring import restored
from discoenv.errors import ArgumentError
from discoenv.exams.host import Host
from discoenv.exams.secrets import Secret
from discoenv.exams.spec import Progress, RunningExam
from discoenv.machine import devices, scratch
from discoenv.machine.devices import Device, DeviceChoice
from discoenv.sandbox import SandboxChoice
from discoenv.scoring import offered, seeds
from discoenv.scoring.scores import Reference, Scoring
from discoenv.spaces import action_space, observation_space
from discoenv.tasks.domain import Domain
from discoenv.tasks.reading import read_task, require_agreement
from discoenv.tasks.registry import get_domain, load_packs
from discoenv.tasks.sampling import Sampling, sample_task
from discoenv.tasks.specification import SCALES, Scale
from discoenv.tasks.task import Side, Task
from discoenv.text import shown
from discoenv.time_limit import time_limits

Observation = dict[str, Any]


class DiscoGenEnv(gymnasium.Env[Observation, Any]):
    """Machine-learning algorithm discovery: edit modules, train, and be rewarded on datasets never seen before.

    An observation is a dict: ``text`` (str, what an LLM should read), ``files`` (the editable files, name to text),
    ``score`` (float64[], mean normalised score of the last ``run`` over the meta-train datasets that it ran; 0 before
    the first) and ``steps_left`` (int64[]). For actions see :mod:`discoenv.episodes.action`.

    The reward is 0 until the episode ends. It ends ``terminated`` by ``submit``, or ``truncated`` when ``max_steps`` or
    ``limits.compute_budget_s`` are spent; either way the current files are trained and scored on the meta-test
    datasets. By default the reward is the mean over exams of what they are worth: a failed one −1, a score n below the
    floor n/(1 − n), up to the baseline n, above it 1 + ln n; see :mod:`discoenv.objectives`. If the machine fails (at
    an exam: twice), the episode ends ``truncated`` with ``info["infra_error"]`` and reward 0: discard such an episode,
    it says nothing about the agent.

    Gymnasium's own limit on steps (``gym.make(..., max_episode_steps=N)``, ``TimeLimit``) counts as ``max_steps``, too:
    an episode that it cuts short is scored like any other.

    Args:
        domain: name of a domain, or several to draw from; None: all. Beside ``task``, the task must be of one of these.
        task: a :class:`Task`; a dict or the path of a YAML file, in its form or in DiscoGen's; or the name of a
            DiscoBench task. What it leaves out comes from ``scale``, the first ``objective``, and the seeds of
            ``sampling``; where it contradicts them, that is an error. None samples a task at each reset.
        packs: packs of further domains, see :func:`discoenv.load_pack`: a path or several, ``<path>=<interpreter>``
            for one that needs another Python, ``<path>=docker://<image>`` for one that needs an image.
        scale: scale of tasks: ``tiny``, ``small`` or ``full``; None: that of the task, else ``small``, and for domains
            of packs the one that they have.
        objective: objective of tasks, or several to draw from (see :mod:`discoenv.objectives`); None: that of the task,
            else ``performance``.
        max_steps: actions per episode; None: as in ``limits``, which by default allow 10.
        sampling: how tasks are sampled, a :class:`Sampling` or its fields.
        limits: what bounds an episode, an :class:`EpisodeLimits` or its fields.
        reference: what scores are compared with: ``shipped``, the baseline that the domain ships; or ``paired``, the
            base modules in the same exams, which takes out what the seed does to both, and costs the exams of the base
            modules, once per exam on this machine.
        transform: what exams are worth to the objective ``performance``: ``ordered``, as above; or ``linear``, the
            normalised score of a dataset clipped to [−1, 10], for which a failed exam counts as the floor, 0.
        host: where exams run. Environments may share it, and its creator closes it.
        sandbox, device, secret: without a ``host``, those of a host that is made for this environment (see
            :class:`Host`). By default exams come from this user's own secret.
        runs_dir: where run directories are written; None keeps no record.
        reward_fn: replaces the objective's reward; called with the task, the scores of a side's datasets and the text
            of each module by file name, it returns a number or a :class:`discoenv.objectives.Reward`.
        on_progress: called at the start and the end of each exam, by the thread that called :meth:`step`; of an exam
            whose result is known from an earlier step, at the end only.
        render_mode: None or ``ansi`` (``render()`` returns the last text).

    Raises:
        ArgumentError, UnknownName, TaskError: (each a ValueError) at construction or reset, if an argument, the task or
            the way to sample it is wrong.
        SandboxUnavailable: the sandbox or the device does not work on this machine.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        domain: str | Sequence[str] | None = None,
        task: Task | Mapping[str, Any] | str | Path | None = None,
        *,
        packs: str | Path | Sequence[str | Path] = (),
        scale: Scale | None = None,
        objective: str | Sequence[str] | None = None,
        max_steps: int | None = None,
        sampling: Sampling | Mapping[str, Any] = Sampling(),  # noqa: B008 - it cannot be changed
        limits: EpisodeLimits | Mapping[str, Any] = EpisodeLimits(),  # noqa: B008
        reference: Reference = "shipped",
        transform: objectives.Transform = "ordered",
        host: Host | None = None,
        sandbox: SandboxChoice = "auto",
        device: DeviceChoice = "auto",
        secret: Secret | str | Path | None = None,
        runs_dir: str | Path | None = "runs",
        reward_fn: objectives.SimpleRewardFunction | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ArgumentError(f"render_mode is {shown(render_mode)}; known are None and 'ansi'")
        self.render_mode = render_mode
        self._sampling, given = arguments.settings("sampling", sampling, Sampling)
        self.limits, _ = arguments.settings("limits", limits, EpisodeLimits)
        if max_steps is not None:
            self.limits = replace(self.limits, max_steps=max_steps)
        self.scoring = Scoring(reference, transform)
        self.action_space = action_space()
        self.observation_space = observation_space(self.limits.max_steps)
        load_packs(_paths(packs))
        self._domains = None if domain is None else arguments.names("domain", domain)
        for name in self._domains or ():
            get_domain(name)
        self._objectives = ("performance",) if objective is None else arguments.names("objective", objective)
        for name in self._objectives:
            objectives.get(name)
        self._scale = None if scale is None else cast(Scale, arguments.choice("scale", scale, SCALES))
        #: Fields that were asked for, and the values that the task may have there.
        self._asked: dict[str, Sequence[Any]] = {
            name: (value,) for name in given if (value := getattr(self._sampling, name)) != "auto"
        }
        self._asked |= {} if scale is None else {"scale": (scale,)}
        self._asked |= {} if objective is None else {"objective": self._objectives}
        if host is not None:
            arguments.instance("host", host, Host)
        self._device: Callable[[bool], Device] = (
            host.device if host else lambda gpu: devices.choose(device, prefer_gpu=gpu)
        )
        self._task = None if task is None else self._parsed(task)
        if self._task is not None:
            void = [f"sampling[{name!r}]" for name in given if name not in Task.model_fields]
            require_agreement(self._task, {} if self._domains is None else {"domain": self._domains}, void)
        self._runs_dir = None if runs_dir is None else arguments.writable("runs_dir", runs_dir)
        if reward_fn is not None:
            arguments.function("reward_fn", reward_fn, "task", "scores", "modules")
        if on_progress is not None:
            arguments.function("on_progress", on_progress, "progress")
        self.host = host or Host(sandbox, device=device, secret=secret)
        self._use = _HostUse(self.host if host is None else None)
        self._reward_fn = reward_fn
        self._on_progress = on_progress or (lambda progress: None)
        self._episode: Episode | None = None
        self._closed = False
        scratch.reap()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be copied or pickled: an episode has processes, files and locks that cannot be two.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it has processes and files of its own. Make another "
            "one with the same arguments, gym.make(env.spec), and reset it with the same seed: it plays the same task "
            "in the same exams. fork() copies its episode"
        )

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observation, Info]:
        """Start an episode. ``options={"task": ...}`` sets the task of this episode only.

        ``options={"restore": path}`` goes on from a saved one instead, as :meth:`restore` does, through any wrapper;
        with ``"trust": True`` beside it, packs of domains that the run names are loaded.

        With a ``seed``, the task and its files are the same every time, on machines with the same packages, devices and
        calibrations: only tasks that can be played there are sampled. Exams are the same where the secret is, too.
        """
        super().reset(seed=seed)
        if options is not None:
            arguments.instance("options", options, Mapping)
        options = options or {}
        unknown = sorted(str(key) for key in options if key not in ("task", "restore", "trust"))
        if unknown:
            raise ValueError(f"options: unknown key {', '.join(unknown)}; known are 'task', 'restore' and 'trust'")
        if options.get("restore") is not None:
            if seed is not None or options.get("task") is not None:
                raise ValueError("options: 'restore' goes on with a task and a seed: leave those out")
            return self.restore(options["restore"], trust=options.get("trust") is True)
        self._end_episode()
        chosen = options.get("task")
        self.task = self._parsed(chosen) if chosen is not None else self._task or self._sample(self.np_random)
        self._episode = Episode(
            self.task,
            self.host,
            seed=int(self.np_random.integers(2**63)),
            limits=replace(self.limits, max_steps=min([self.limits.max_steps, *time_limits(self)])),
            scoring=self.scoring,
            reward_fn=self._reward_fn,
            runs_dir=self._runs_dir,
            on_progress=self._on_progress,
        )
        return self.observe()

    def step(self, action: Any) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Apply an action; see the class. An action that cannot be taken changes nothing, says why, and counts."""
        if self._episode is None or self._episode.over:
            raise gymnasium.error.ResetNeeded("the episode is over (or was never started): call reset() first")
        reward, terminated, truncated, info = self._episode.act(action)
        return self._observation(self._episode), reward, terminated, truncated, info

    def stop_run(self) -> bool:
        """Stop the ``run`` that another thread carries out, within a second. Whether there was one to stop.

        :meth:`step` returns as usual, and the run counts as an action. Exams that had finished are not repeated in a
        later run of the same files.
        """
        return self._episode is not None and self._episode.stop_run()

    @property
    def running(self) -> list[RunningExam]:
        """The exams of the step that another thread takes, with the last lines of their output; none between steps."""
        return [] if self._episode is None else self._episode.running

    def task_of(self, seed: int) -> Task:
        """The task that ``reset(seed=seed)`` plays, without starting an episode.

        Raises:
            As :meth:`reset`, if no task can be sampled.
        """
        return self._task or self._sample(seeding.np_random(arguments.integer("seed", seed, least=0))[0])

    def save(self, path: str | Path) -> Path:
        """Save the episode as it is now, so that :meth:`restore` can go on from here, in another process, too.

        What is saved is a run directory: see docs/records.md. It holds no seed and no secret. An episode that is
        recorded is saved after each step anyway.

        Args:
            path: a folder that does not exist yet, or is empty.

        Returns:
            The folder.

        Raises:
            ResetNeeded: no episode was started.
            RecordError: the folder cannot be written, or is not empty.
            ArgumentError: ``path`` is no path.
        """
        arguments.path("path", path)
        self._begun().save(Path(path))
        return Path(path)

    def fork(self) -> DiscoGenEnv:
        """A second environment whose episode goes on from the present step: for searches in trees of actions.

        Both have the same observation now (see :meth:`observe`) and the same seeds ahead of them, so that equal actions
        earn equal rewards. Exams that were finished are not repeated. They do not disturb each other: the fork has its
        workspace and its run directory, with all that has happened so far. They share a host; one that belongs to the
        environment is closed with the last of them. Close the fork, too.

        Raises:
            ResetNeeded: there is no episode, or it is over.
            RecordError, InfraError: as for :meth:`reset`.

        Example:
            ::

                env.reset(seed=0)
                env.step(first)
                for action in candidates:
                    with contextlib.closing(env.fork()) as fork:
                        rewards.append(fork.step(action)[1])
        """
        episode = self._begun()
        if episode.over:
            raise gymnasium.error.ResetNeeded("the episode is over: fork it before its last step")
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._episode = episode.fork(self._runs_dir)
        made._np_random = copy.deepcopy(self._np_random)
        self._use.share()
        made._closed = False
        return made

    def restore(self, path: str | Path, *, step: int | None = None, trust: bool = False) -> tuple[Observation, Info]:
        """Go on from a saved episode, or from the run directory of one that was cut off, at any of its steps.

        The observation is the one of that step, and what follows is what would have followed: the same task, limits,
        seeds and budgets. Exams that were finished are not repeated, not even those of a step that a crash cut off.
        The episode gets a run directory with all that happened before; the other one stays as it is.

        Nothing in the folder can make a reward: results count only with a seal that takes the secret, and others are
        measured again (see :mod:`discoenv.episodes.restoring`).

        Args:
            path: a run directory.
            step: actions after which to go on; None: after the last one that was recorded (but for one at which the
                machine failed).
            trust: load the packs of domains that the run names, whose code is then run.

        Returns:
            The observation and info of that step.

        Raises:
            SecretError: its exams come from another secret than this environment's.
            RunError: it is no run directory, the episode was over at that step, or this environment differs from the
                run's in device, rewards or actions allowed. The message says what to change.
            ArgumentError: an argument is of the wrong kind.
        """
        episode = restored(
            arguments.path("path", path),
            step=None if step is None else arguments.integer("step", step, least=0),
            trust=arguments.flag("trust", trust),
            host=self.host,
            most_steps=self.limits.max_steps,
            reward_fn=self._reward_fn,
            runs_dir=self._runs_dir,
            on_progress=self._on_progress,
        )
        self._end_episode()
        self._episode, self.task = episode, episode.task
        return self.observe()

    def observe(self) -> tuple[Observation, Info]:
        """The observation and info of the last reset, step, :meth:`restore` or of the step that was forked.

        Raises:
            ResetNeeded: no episode was started.
        """
        episode = self._begun()
        return self._observation(episode), episode.info

    @property
    def history(self) -> History:
        """What has happened in the episode: each step, and the modules as they were after it.

        Raises:
            ResetNeeded: no episode was started.
        """
        return self._begun().history

    def render(self) -> str | None:
        """The text of the last observation, if ``render_mode="ansi"``."""
        return self._episode.text if self.render_mode == "ansi" and self._episode else None

    @property
    def run_directory(self) -> Path | None:
        """Where the present or last episode is recorded; None without a record."""
        return self._episode.run_directory if self._episode else None

    def leave(self) -> None:
        """End the episode where it is, from any thread: without a reward, unless it is over. It can be reset.

        A step that another thread carries out raises :class:`EpisodeLeft`.
        """
        self._end_episode()

    def close(self) -> None:
        """End the episode, its processes and its temporary files. Run directories stay. Safe to call again."""
        self._end_episode()
        if not self._closed:
            self._closed = True
            self._use.end()

    def _begun(self) -> Episode:
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("no episode was started: call reset() or restore() first")
        return self._episode

    def _parsed(self, task: Task | Mapping[str, Any] | str | Path) -> Task:
        """A task, with what it leaves out as it was asked for, and checked against that."""
        defaults: dict[str, Any] = {"objective": self._objectives[0]}
        defaults |= {name: getattr(self._sampling, name) for name in ("train_seeds", "test_seeds")}
        defaults |= {} if self._scale is None else {"scale": self._scale}
        if self._domains is not None and len(self._domains) == 1:
            defaults["domain"] = self._domains[0]
        parsed = read_task(task, defaults, seeds_of=self._seeds_of)
        require_agreement(parsed, {name: values for name, values in self._asked.items() if name in Task.model_fields})
        parsed.resolve()
        objectives.get(parsed.objective)
        return parsed

    def _sample(self, rng: np.random.Generator) -> Task:
        """A task whose datasets all have baselines that can be told from their floors, and whose imports are there."""
        offers = offered.usable(self._scale, lambda setting: self.host.device(setting.wants_gpu).name)

        def usable(domain: Domain, backend: str, dataset: str) -> bool:
            found = self.host.sandbox.own_packages or not domain.missing_for_training(dataset)
            return found and offers(domain, backend, dataset)

        return sample_task(
            rng,
            domains=self._domains,
            scale=self._scale,
            objectives=self._objectives,
            usable=usable,
            gpu=self.host.has_gpu,
            seeds_of=self._seeds_of,
            **asdict(self._sampling),
        )

    def _seeds_of(self, task: Task, side: Side) -> int:
        """The recommended number of exams per dataset of a side."""
        return seeds.of_side(task, side, lambda setting: self._device(setting.wants_gpu).name)

    def _observation(self, episode: Episode) -> Observation:
        return {
            "text": episode.text,
            "files": dict(episode.modules),
            "score": np.array(episode.score, dtype=np.float64),
            "steps_left": np.array(episode.steps_left, dtype=np.int64),
        }

    def _end_episode(self) -> None:
        """End what runs. The episode can be looked at, and cannot go on."""
        if self._episode is not None:
            self._episode.end()


def _paths(packs: Any) -> list[str | Path]:
    """The argument ``packs`` as a list.

    Raises:
        ArgumentError: it is neither a path nor several.
    """
    if isinstance(packs, str | Path):
        return [packs]
    if isinstance(packs, Sequence) and all(isinstance(each, str | Path) for each in packs):
        return list(packs)
    raise ArgumentError(f"packs is {shown(packs)}; it must be the path of a pack, or a list of such paths")


class _HostUse:
    """Counts the environments that use a host, and closes it after the last one. None: its creator closes it."""

    def __init__(self, host: Host | None) -> None:
        self._host = host
        self._users = 1
        self._lock = threading.Lock()

    def share(self) -> None:
        """One more uses it."""
        with self._lock:
            self._users += 1

    def end(self) -> None:
        """One uses it no more."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last and self._host is not None:
            self._host.close()
