"""The environment: the state machine of an episode. What an exam, a reward or a record is stands elsewhere."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from discoenv import objectives
from discoenv.discogen.config import read_task
from discoenv.episodes import feedback
from discoenv.episodes.action import Action, apply_edits, parse_action, shown
from discoenv.episodes.evaluation import Evaluator, Progress
from discoenv.episodes.record import EventRecord, IntegrityRecord, SetupRecord, StepRecord, score_records
from discoenv.episodes.recorder import Recorder, name_of
from discoenv.errors import ActionError, InfraError
from discoenv.exams.examiner_client import ExaminerPool
from discoenv.machine import devices, scratch
from discoenv.machine.cores import Cores
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines
from discoenv.scoring.scores import Score
from discoenv.spaces import action_space, observation_space
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, load_pack
from discoenv.tasks.sampling import sample_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import initial_modules

Observation = dict[str, Any]
Info = dict[str, Any]


class DiscoGenEnv(gymnasium.Env[Observation, Any]):
    """Machine-learning algorithm discovery: edit modules, train, and be rewarded on datasets never seen before.

    An observation is a dict: ``text`` (str, what an LLM should read), ``files`` (the editable files, name to text),
    ``score`` (float64[], mean normalised score of the last ``run`` over the meta-train datasets that it ran; 0 before
    the first) and ``steps_left`` (int64[]). For actions see :mod:`discoenv.spaces`.

    The reward is 0 until the episode ends. It ends ``terminated`` by ``submit``, or ``truncated`` when ``max_steps`` or
    ``compute_budget_s`` are spent; either way the current files are trained and scored on the meta-test datasets. If
    the machine fails twice at the same exam, it ends ``truncated`` with ``info["infra_error"]`` and reward 0: discard
    such an episode, it says nothing about the agent.

    Args:
        packs: folders of further domains (see :mod:`discoenv.tasks.registry`).
        domain: name of a domain, or several to draw from; None stands for all. Ignored if ``task`` is given.
        task: a :class:`Task`; a dict or the path of a YAML file, in its form or in DiscoGen's; or the name of a
            DiscoBench task. What the latter two leave open is as in sampled tasks, with the first ``objective``. None
            samples a task at each reset.
        scale: scale of sampled tasks: ``tiny``, ``small`` or ``full``.
        sandbox: name of a provider (``auto``, ``bubblewrap``, ``process``, …) or a provider.
        objective: objective of sampled tasks, or several to draw from (see :mod:`discoenv.objectives`).
        max_steps: actions per episode.
        p_edit, p_data, p_base: how tasks are sampled (see :func:`discoenv.tasks.sampling.sample_task`).
        train_seeds, test_seeds: exams per meta-train and meta-test dataset in sampled tasks.
        budget_scale: compute budget of one exam, as a multiple of the baseline's seconds.
        paired: for objectives that compare costs, measure the baseline anew right after each exam.
        compute_budget_s: seconds of learners' running time over all ``run`` commands of an episode; None: unlimited.
        max_file_bytes: largest module, in bytes of UTF-8.
        device: ``cpu``; ``gpu``: each exam leases a GPU; ``auto``: as ``gpu`` for tasks at scale ``full`` and for
            datasets that need one, if the machine has one.
        gpu_sharers: exams that may share a GPU, also of other processes, while no costs are measured.
        exam_slots: exams that run at once, those of one step and those of other processes; None: one per usable core.
            Where costs are compared, an exam runs alone on the machine. Or an :class:`Cores`, which environments
            may share (see :mod:`discoenv.machine.cores`).
        examiners: examiner processes, which environments may share and then close; None: of its own, kept warm over
            episodes.
        runs_dir: where run directories are written; None keeps no record.
        reward_fn: replaces the objective's reward.
        on_progress: called at the start and the end of each exam, by the thread that called :meth:`step`.
        render_mode: None or ``ansi`` (``render()`` returns the last text).

    Raises:
        UnknownName, TaskError: at construction or reset, if the task or the way to sample it is wrong.
        SandboxUnavailable: the provider does not work on this machine.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        domain: str | Sequence[str] | None = None,
        task: Task | Mapping[str, Any] | str | Path | None = None,
        *,
        packs: Sequence[str | Path] = (),
        scale: Scale = "small",
        sandbox: str | Sandbox = "auto",
        objective: str | Sequence[str] = "performance",
        max_steps: int = 10,
        p_edit: float = 0.3,
        p_data: tuple[float, float, float] = (0.4, 0.4, 0.2),
        p_base: float = 0.0,
        train_seeds: int = 1,
        test_seeds: int = 2,
        budget_scale: float = 3.0,
        paired: bool = False,
        compute_budget_s: float | None = None,
        max_file_bytes: int = 64 << 10,
        device: devices.DeviceChoice = "auto",
        gpu_sharers: int = 1,
        exam_slots: int | Cores | None = None,
        examiners: ExaminerPool | None = None,
        runs_dir: str | Path | None = "runs",
        reward_fn: objectives.RewardFunction | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}; an episode needs at least 1 action")
        if budget_scale <= 0:
            raise ValueError(f"budget_scale is {budget_scale}; it must be positive")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; known are None and 'ansi'")
        self.render_mode = render_mode
        self.max_steps = max_steps
        self.action_space = action_space()
        self.observation_space = observation_space(max_steps)
        self._packs = [str(Path(pack).resolve()) for pack in packs]
        for pack in self._packs:
            load_pack(pack)
        self._domains = [domain] if isinstance(domain, str) else domain
        for name in self._domains or []:
            get_domain(name)
        self._objectives = [objective] if isinstance(objective, str) else list(objective)
        for name in self._objectives:
            objectives.get(name)
        self._sampling: dict[str, Any] = {
            "scale": scale,
            "p_edit": p_edit,
            "p_data": p_data,
            "p_base": p_base,
            "train_seeds": train_seeds,
            "test_seeds": test_seeds,
        }
        self._devices = {
            prefer: devices.choose(device, prefer_gpu=prefer, sharers=gpu_sharers) for prefer in (False, True)
        }
        self._task = None if task is None else self._parsed(task)
        self._sandbox = get_sandbox(sandbox)
        self._owns_sandbox = isinstance(sandbox, str)
        self._budget_scale = budget_scale
        self._paired = paired
        self._compute_budget_s = compute_budget_s
        self.max_file_bytes = max_file_bytes
        self._exam_slots = exam_slots if isinstance(exam_slots, Cores) else Cores(exam_slots)
        self._examiners = examiners or ExaminerPool()
        self._owns_examiners = examiners is None
        self._runs_dir = None if runs_dir is None else Path(runs_dir)
        self._reward_fn = reward_fn
        self._on_progress = on_progress
        self._evaluator: Evaluator | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._recorder: Recorder | None = None
        self._ended = True
        scratch.reap()

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observation, Info]:
        """Start an episode. ``options={"task": ...}`` sets the task of this episode only.

        With a ``seed``, the task, its files and all exams are the same every time.
        """
        super().reset(seed=seed)
        begin = time.monotonic()
        unknown = sorted(str(key) for key in options or {} if key != "task")
        if unknown:
            raise ValueError(f"options: unknown key {', '.join(unknown)}; known is 'task'")
        self._end_episode()
        chosen = (options or {}).get("task")
        self.task = self._parsed(chosen) if chosen is not None else self._task or self._sample()
        episode_seed = int(self.np_random.integers(2**63))
        self._evaluator = Evaluator(
            self.task,
            self._sandbox,
            seed=episode_seed,
            budget_scale=self._budget_scale,
            costs=objectives.get(self.task.objective).measured,
            paired=self._paired,
            device=self._device(self.task.resolve(), self.task.scale, (*self.task.meta_train, *self.task.meta_test)),
            on_progress=self._on_progress,
            slots=self._exam_slots,
            examiners=self._examiners,
        )
        self._finalizer = weakref.finalize(self, self._evaluator.close)
        self._files = initial_modules(self.task)
        self._score = 0.0
        self._steps = 0
        budgets = {dataset: self._evaluator.budget_s(dataset) for dataset in self.task.meta_train}
        self._text = feedback.introduction(
            self.task, max_steps=self.max_steps, budgets=budgets, max_file_bytes=self.max_file_bytes
        )
        self._recorder = self._record(episode_seed)
        info = self._info(begin)
        if self._recorder:
            self._recorder.event(EventRecord(event="reset", text=self._text, info=info))
        self._ended = False
        return self._observation(), info.to_json()

    def step(self, action: Any) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Apply an action; see the class. An action that cannot be taken changes nothing, says why, and counts."""
        if self._ended or self._evaluator is None:
            raise gymnasium.error.ResetNeeded("the episode is over (or was never started): call reset() first")
        begin = time.monotonic()
        self._steps += 1
        parsed, outcome = self._apply(action)
        reward, terminated, truncated = 0.0, False, False
        try:
            if outcome.get("changed"):
                self._evaluator.place(self._files)
            if parsed is not None and parsed.command == "run":
                outcome |= self._run(self._evaluator, parsed.datasets)
            terminated = parsed is not None and parsed.command == "submit"
            truncated = not terminated and self._spent(self._evaluator)
            if terminated or truncated:
                reward, details = self._submit(self._evaluator)
                outcome |= details
        except InfraError as error:
            reward, terminated, truncated = 0.0, False, True
            outcome["infra_error"] = str(error)
            self._text = f"The machine failed, and the episode ends without a score: {error}\n"
        info = self._info(begin, **outcome)
        self._write_step(parsed, action, reward, terminated, truncated, info)
        if terminated or truncated:
            self._ended = True
        observation = self._observation()
        return observation, reward, terminated, truncated, info.to_json()

    def render(self) -> str | None:
        """The text of the last observation, if ``render_mode="ansi"``."""
        return self._text if self.render_mode == "ansi" else None

    @property
    def run_directory(self) -> Path | None:
        """Where the present or last episode is recorded; None without a record."""
        return self._recorder.directory if self._recorder else None

    def close(self) -> None:
        """End the episode, its processes and its temporary files. Run directories stay. Safe to call again."""
        self._end_episode()
        if self._owns_examiners:
            self._examiners.close()
        if self._owns_sandbox:
            self._sandbox.close()

    def _parsed(self, task: Task | Mapping[str, Any] | str | Path) -> Task:
        defaults = {key: self._sampling[key] for key in ("scale", "train_seeds", "test_seeds")}
        parsed = read_task(task, {**defaults, "eval_type": self._objectives[0]})
        parsed.resolve()
        objectives.get(parsed.objective)
        return parsed

    def _sample(self) -> Task:
        """A task whose datasets all have baselines."""

        def usable(domain: Domain, backend: str, dataset: str) -> bool:
            scale = self._sampling["scale"]
            device = self._device(domain, scale, (dataset,)).name
            return baselines.has_entry(domain, backend=backend, dataset=dataset, scale=scale, device=device)

        return sample_task(
            self.np_random,
            domains=self._domains,
            objectives=self._objectives,
            usable=usable,
            gpu=self._devices[True] is not devices.CPU,
            **self._sampling,
        )

    def _device(self, domain: Domain, scale: str, datasets: Iterable[str]) -> devices.Device:
        return self._devices[domain.wants_gpu(scale, datasets)]

    def _apply(self, action: Any) -> tuple[Action | None, Info]:
        """Parse an action and apply its edits; (None, …) if it was refused."""
        try:
            parsed = parse_action(action)
            self._check_datasets(parsed)
            files = apply_edits(self._files, parsed.edits, self.max_file_bytes)
        except ActionError as error:
            self._text = feedback.refused(str(error))
            return None, {"refused": str(error)}
        changed = sorted(name for name, text in files.items() if text != self._files[name])
        self._files = files
        self._text = feedback.edited(changed)
        return parsed, {"changed": tuple(changed)}

    def _check_datasets(self, action: Action) -> None:
        known = self.task.meta_train
        for name in action.datasets:
            if name not in known:
                raise ActionError(f"{shown(name)} is not a meta-train dataset; they are {', '.join(known)}")

    def _run(self, evaluator: Evaluator, datasets: Sequence[str]) -> Info:
        scores = evaluator.evaluate(self._files, "meta_train", datasets)
        self._save_artifacts(scores, "meta_train")
        self._score = float(np.mean([score.normalised for score in scores]))
        left = self.max_steps - self._steps
        reward = self._reward(scores)
        total = len(self.task.meta_train)
        part = f" over {len(scores)} of {total} datasets" if len(scores) < total else ""
        self._text = feedback.report(scores, title=f"Meta-train scores (mean normalised {self._score:.3f}{part})")
        self._text += feedback.objective(self.task, reward)
        self._text += f"\n{left} actions left.\n"
        return {"meta_train": score_records(scores), "score": self._score, "meta_train_reward": reward.value}

    def _submit(self, evaluator: Evaluator) -> tuple[float, Info]:
        scores = evaluator.evaluate(self._files, "meta_test")
        self._save_artifacts(scores, "meta_test")
        reward = self._reward(scores)
        text = feedback.report(scores, title=f"Meta-test scores (reward {reward.value:.3f})")
        self._text = f"{self._text}\n{text}{feedback.objective(self.task, reward)}"
        return reward.value, {"meta_test": score_records(scores), "reward_parts": dict(reward.parts)}

    def _reward(self, scores: Sequence[Score]) -> objectives.Reward:
        return (self._reward_fn or objectives.get(self.task.objective).reward)(self.task, scores, self._files)

    def _spent(self, evaluator: Evaluator) -> bool:
        over = self._compute_budget_s is not None and evaluator.spent_s >= self._compute_budget_s
        return over or self._steps >= self.max_steps

    def _observation(self) -> Observation:
        return {
            "text": self._text,
            "files": dict(self._files),
            "score": np.array(self._score, dtype=np.float64),
            "steps_left": np.array(self.max_steps - self._steps, dtype=np.int64),
        }

    def _info(self, begin: float, **outcome: Any) -> StepRecord:
        assert self._evaluator is not None
        integrity = self._evaluator.domain.specification.integrity
        return StepRecord(
            task=self.task.model_dump(mode="json"),
            task_id=self.task.task_id,
            workspace=str(self._evaluator.workspace),
            run_directory=str(self.run_directory) if self._recorder else None,
            integrity=IntegrityRecord(
                level=integrity.level if self._sandbox.isolated else "self-reported",
                sandbox=self._sandbox.name,
                notes=tuple(integrity.notes),
            ),
            device=self._evaluator.device.name,
            compute_spent_s=self._evaluator.spent_s,
            duration_s=time.monotonic() - begin,
            **outcome,
        )

    def _record(self, episode_seed: int) -> Recorder | None:
        if self._runs_dir is None:
            return None
        assert self._evaluator is not None
        setup = SetupRecord(
            episode_seed=episode_seed,
            task_id=self.task.task_id,
            sandbox=self._sandbox.name,
            device=self._evaluator.device.name,
            budget_scale=self._budget_scale,
            max_steps=self.max_steps,
            compute_budget_s=self._compute_budget_s,
            packs=tuple(self._packs),
            reward_fn=name_of(self._reward_fn),
        )
        recorder = Recorder(self._runs_dir, self.task, setup)
        recorder.modules(0, self._files)
        return recorder

    def _save_artifacts(self, scores: Sequence[Score], side: str) -> None:
        """Record what examiners saved for pictures."""
        for result in (result for score in scores for result in score.results):
            if self._recorder is not None:
                self._recorder.artifacts(self._steps, side, result.dataset, result.seed, result.artifacts)

    def _write_step(
        self, parsed: Action | None, action: Any, reward: float, terminated: bool, truncated: bool, info: StepRecord
    ) -> None:
        if self._recorder is None:
            return
        self._recorder.modules(self._steps, self._files)
        step = EventRecord(
            event="step",
            step=self._steps,
            action=parsed.record() if parsed else shown(action, 10_000),
            text=self._text,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            info=info,
        )
        self._recorder.event(step)

    def _end_episode(self) -> None:
        self._ended = True
        if self._finalizer is not None:
            self._finalizer()
        self._finalizer = self._evaluator = None
