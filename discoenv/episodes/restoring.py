"""Going on with a recorded episode: what is taken from its run directory, and what is not.

A run directory is a saved episode, whether :meth:`DiscoGenEnv.save` wrote it or a crashed process left it. It may come
from anywhere, so it is not trusted:

* The task, limits, texts, scores and modules are taken. They decide what the agent reads and edits, and no reward.
  Modules go through the same checks as edits.
* Seeds are not in it. They come from the secret, which the one who goes on must have.
* Results of exams, of both sides, are taken where they carry the right seal (see :mod:`discoenv.episodes.finished`).
  The others are held anew. So a reward is always made of what was measured by the one who has the secret.
* Packs are loaded with ``trust`` alone. The sandbox, the device and the functions that it names are never used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from discoenv import objectives
from discoenv.episodes import history as histories
from discoenv.episodes.episode import Episode, EpisodeLimits
from discoenv.episodes.record import EpisodeRecord, SetupRecord, trusted_packs
from discoenv.errors import RunError, SecretError
from discoenv.exams.host import Host
from discoenv.exams.secrets import VARIABLE, kept_at
from discoenv.exams.spec import Progress
from discoenv.tasks.registry import load_pack


def restored(
    directory: Path,
    *,
    step: int | None,
    trust: bool,
    host: Host,
    most_steps: int,
    reward_fn: objectives.SimpleRewardFunction | None = None,
    runs_dir: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Episode:
    """A new episode that goes on from a recorded one; close it.

    Args:
        directory: the run directory.
        step: actions after which to go on; None: after the last one that was recorded, but for one at which the machine
            failed.
        trust: load the packs of domains that the run names, whose code is then run.
        host: where its exams run.
        most_steps: actions that it may allow at most.
        reward_fn, runs_dir, on_progress: as of an :class:`Episode`.

    Raises:
        SecretError: its exams come from another secret than the host's.
        RunError: it is no run directory, the episode was over at that step, or exams or rewards would be others here.
            The message says what to change.
        TaskError: the task is not valid.
    """
    record = EpisodeRecord.load(directory)
    for pack in trusted_packs(record, trust=trust):
        load_pack(pack)
    domain = record.task.resolve()
    objectives.get(record.task.objective)
    limits = _limits(record.setup, directory)
    _require_same(record, host, None if reward_fn is None else objectives.function_name(reward_fn))
    if limits.max_steps > most_steps:
        raise RunError(
            f"{directory}: allows {limits.max_steps} actions, and this environment {most_steps}: make it with "
            f"max_steps={limits.max_steps}"
        )
    history = histories.load(record, step)
    return Episode(
        record.task,
        host,
        seed=record.setup.episode_seed,
        limits=limits,
        scoring=record.setup.scoring,
        reward_fn=reward_fn,
        runs_dir=runs_dir,
        on_progress=on_progress,
        history=histories.checked(history, record.task, limits.max_file_bytes, domain.importable),
    )


def _require_same(record: EpisodeRecord, host: Host, reward_fn: str | None) -> None:
    """Raise an error unless exams and rewards are those of the record."""
    setup, task, where = record.setup, record.task, record.directory
    if setup.secret is None:
        raise RunError(f"{where}: recorded with an older protocol, whose exams are held no more, so it cannot go on")
    if setup.secret != host.secret.commitment:
        raise SecretError(
            f"{where}: its exams come from another secret, whose SHA-256 is {setup.secret[:64]}. Make the environment "
            f"with secret=FILE, or let {VARIABLE} name the file that holds it; those of benchmarks are in "
            f"{kept_at('0' * 64).parent}"
        )
    if setup.task_id not in (None, task.task_id):
        raise RunError(
            f"{where}: the task was {setup.task_id}, and is {task.task_id} here, because the domain {task.domain} has "
            "changed since: restore it with the version of discoenv that recorded it"
        )
    wanted = any(task.setting(name).wants_gpu for name in (*task.meta_train, *task.meta_test))
    if setup.device != (device := host.device(wanted).name):
        raise RunError(f"{where}: trained on {setup.device}, here it would be {device}: choose device=, or the machine")
    if setup.reward_fn != reward_fn:
        raise RunError(
            f"{where}: its rewards come from {setup.reward_fn or 'the objective'}, this environment's from "
            f"{reward_fn or 'the objective'}: make it with the same reward_fn"
        )


def _limits(setup: SetupRecord, directory: Path) -> EpisodeLimits:
    """What bounded a recorded episode."""
    default = EpisodeLimits()
    if not math.isfinite(setup.budget_scale):
        raise RunError(f"{directory}: budget_scale is {setup.budget_scale}; expected a positive number")
    try:
        return EpisodeLimits(
            max_steps=default.max_steps if setup.max_steps is None else setup.max_steps,
            budget_scale=setup.budget_scale,
            compute_budget_s=setup.compute_budget_s,
            max_file_bytes=default.max_file_bytes if setup.max_file_bytes is None else setup.max_file_bytes,
            paired=setup.paired,
            max_seeds=default.max_seeds if setup.max_seeds is None else setup.max_seeds,
        )
    except ValueError as error:
        raise RunError(f"{directory}: {error}") from None
