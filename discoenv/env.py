"""The environment: Gymnasium's interface to :class:`discoenv.episodes.episode.Episode`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, SupportsFloat, cast

import gymnasium
import numpy as np

from discoenv import arguments, objectives
from discoenv.episodes.episode import Episode, EpisodeLimits, Info
from discoenv.errors import ArgumentError
from discoenv.exams.host import Host
from discoenv.exams.secrets import Secret
from discoenv.exams.spec import Progress
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
            for one that needs another Python.
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
        self._owns_host = host is None
        self._reward_fn = reward_fn
        self._on_progress = on_progress or (lambda progress: None)
        self._episode: Episode | None = None
        scratch.reap()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be copied or pickled: an episode has processes, files and locks that cannot be two.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it has processes and files of its own. Make another "
            "one with the same arguments, gym.make(env.spec), and reset it with the same seed: it plays the same task "
            "in the same exams"
        )

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observation, Info]:
        """Start an episode. ``options={"task": ...}`` sets the task of this episode only.

        With a ``seed``, the task and its files are the same every time, on machines with the same packages, devices and
        calibrations: only tasks that can be played there are sampled. Exams are the same where the secret is, too.
        """
        super().reset(seed=seed)
        if options is not None:
            arguments.instance("options", options, Mapping)
        unknown = sorted(str(key) for key in options or {} if key != "task")
        if unknown:
            raise ValueError(f"options: unknown key {', '.join(unknown)}; known is 'task'")
        self._end_episode()
        chosen = (options or {}).get("task")
        self.task = self._parsed(chosen) if chosen is not None else self._task or self._sample()
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
        return self._observation(self._episode), self._episode.first_info

    def step(self, action: Any) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Apply an action; see the class. An action that cannot be taken changes nothing, says why, and counts."""
        if self._episode is None or self._episode.over:
            raise gymnasium.error.ResetNeeded("the episode is over (or was never started): call reset() first")
        reward, terminated, truncated, info = self._episode.act(action)
        return self._observation(self._episode), reward, terminated, truncated, info

    def render(self) -> str | None:
        """The text of the last observation, if ``render_mode="ansi"``."""
        return self._episode.text if self.render_mode == "ansi" and self._episode else None

    @property
    def run_directory(self) -> Path | None:
        """Where the present or last episode is recorded; None without a record."""
        return self._episode.run_directory if self._episode else None

    def close(self) -> None:
        """End the episode, its processes and its temporary files. Run directories stay. Safe to call again."""
        self._end_episode()
        if self._owns_host:
            self.host.close()

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

    def _sample(self) -> Task:
        """A task whose datasets all have baselines that can be told from their floors, and whose imports are there."""
        offers = offered.usable(self._scale, lambda setting: self.host.device(setting.wants_gpu).name)

        def usable(domain: Domain, backend: str, dataset: str) -> bool:
            found = self.host.sandbox.own_packages or not domain.missing_for_training(dataset)
            return found and offers(domain, backend, dataset)

        return sample_task(
            self.np_random,
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
