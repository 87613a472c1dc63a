"""Rehearsals: whether the exams of a scale start on this machine, what memory they take, and about how long they last.

Nobody should find out after an hour in a queue that the published network does not fit into a GPU. A rehearsal runs an
exam whole, with the configuration of its scale but for the length of training, which is a small share; and again with
twice that share. The difference is what training takes beyond start and compilation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.machine import scratch
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, TaskSide
from discoenv.tasks.workspace import lay_out

#: The share of a configuration's training that a rehearsal begins with.
SHARE: Final = 1e-3


@dataclass(frozen=True)
class Rehearsal:
    """What was found of one setting.

    Attributes:
        setting: what was rehearsed.
        trained: how much of the configuration's training the longer run did, from 0 to 1.
        result: of the longer run; of the shorter one, if that failed.
        starting_s: seconds of an exam besides training and answering in proportion to its length: start, compilation.
        whole_s: about how many seconds a whole exam takes, from both runs.
    """

    setting: Setting
    trained: float
    result: ExamResult
    starting_s: float
    whole_s: float

    @property
    def passed(self) -> bool:
        """Whether the exam came to its end."""
        return self.result.status == "ok"

    @property
    def memory_bytes(self) -> int:
        """The most memory that the learner's processes took, on the host and on its GPU."""
        return self.result.total_memory_bytes


def rehearse(host: Host, setting: Setting, *, budget_s: float, share: float = SHARE) -> Rehearsal:
    """Run two short exams of the base modules.

    Args:
        host: where they run.
        setting: what is rehearsed.
        budget_s: most seconds of each.
        share: of the training that the configuration asks for, 0 < share ≤ 0.5. It is rounded up to whole updates.

    Raises:
        InfraError: the machine failed.
        DatasetUnavailable: a package or data that the dataset requires is not here.
    """
    if not 0 < share <= 0.5:
        raise ValueError(f"share is {share}; it must be above 0 and at most 0.5")
    length = setting.domain.specification.length
    config = setting.domain.config(setting.dataset, setting.scale)
    if length is None or length.key not in config:
        result = _short_exam(host, setting, {}, budget_s)
        return Rehearsal(setting, 1.0, result, 0.0, result.wall_s)
    whole = int(config[length.key])
    short, long = (length.shortened(config, each) for each in (share, 2 * share))
    first = _short_exam(host, setting, {length.key: short}, budget_s)
    if first.status != "ok" or short == whole:
        return Rehearsal(setting, short / whole, first, 0.0, first.wall_s)
    long = min(whole, max(long, 2 * short))
    second = _short_exam(host, setting, {length.key: long}, budget_s)
    each = max(0.0, second.wall_s - first.wall_s) / (long - short)
    starting_s = max(0.0, first.wall_s - each * short)
    return Rehearsal(setting, long / whole, second, starting_s, starting_s + each * whole)


class _Changed(Domain):
    """A domain some of whose configurations' values are others."""

    def __init__(self, domain: Domain, changes: Mapping[str, Any]) -> None:
        vars(self).update(vars(domain))
        self._changes = dict(changes)

    def config(self, dataset: str, scale: str) -> dict[str, Any]:
        """The configuration, changed."""
        return {**super().config(dataset, scale), **self._changes}


def _short_exam(host: Host, setting: Setting, changes: Mapping[str, Any], budget_s: float) -> ExamResult:
    """An exam of the base modules whose configuration is changed, for the learner and for its examiner."""
    domain = _Changed(setting.domain, changes)
    side = TaskSide(
        domain=domain.name,
        modules=tuple(domain.modules),
        datasets=(setting.dataset,),
        backend=setting.backend,
        start="base",
        scale=setting.scale,
    )
    directory = scratch.make()
    try:
        workspace = lay_out(side, directory / "workspace")
        path = workspace / setting.dataset / "config.yaml"
        if changes:
            content = {**yaml.safe_load(path.read_text(encoding="utf-8")), **changes}
            path.write_text(yaml.safe_dump(content, sort_keys=True), encoding="utf-8")
        changed = Setting(domain, setting.backend, setting.dataset, setting.scale)
        gpu = setting.wants_gpu and host.has_gpu
        return host.run(workspace, ExamSpec(changed, 0, budget_s, gpu=gpu, editable=()))
    finally:
        scratch.remove(directory)
