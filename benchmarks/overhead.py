"""What an exam takes beyond the training that it contains, beside the same learner as a bare cold process.

Of each domain: all of its modules, on its first dataset. In exams they are the base modules with a comment that is new
in each episode, as an agent's are new: nothing that is kept of base modules or of other episodes may pass for theirs.
In turns, so that what else the machine does hits all alike, and as often as there are repeats:

* ``bare``: ``python main.py`` in a new process without a sandbox and without any cache of compiled programs, from its
  start to its end, questioned by an examiner that is warm (DiscoGen's process evaluates what it has trained too, and
  has nothing warm for that). ``bare training`` is the part of it before the first question; of learners that train
  while they are asked (``trains_when_asked`` in ``domain.yaml``), it includes their answers.
* ``first``: the first exam of a new episode, through the episode's :class:`Evaluation`: sandbox, training, questions,
  clean-up. Its examiner process is warm from earlier episodes, as it is in an environment that was used before. Like
  the bare process, it may use all cores: it takes no slot.
* ``later``: the second and third exam of that episode: the same modules and dataset, other seeds.
* ``pure``: the training alone, once imports, tracing, compilation and start-up are paid: what a bare process takes
  longer to train if the key of its configuration that sets the length of training is doubled, T(2N) − T(N), where T is
  ``bare training``. For domains that have such a key, and not at tiny scale, where starting up hides it. Where training
  gets dearer as it goes on (a replay buffer that fills first), this is more than the first N take.

Seconds are medians. ``later/bare`` is the median of the ratios within a turn; ``later/pure`` and ``training/pure`` (of
later exams what ``bare training`` is of the bare process) are ratios of medians: differences of two runs are noisy.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks import runner
from benchmarks.bare import BareSandbox
from benchmarks.report import Bound, Figures, Options, Table, log, number
from discoenv.episodes.evaluation import Evaluation
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.machine.cores import Cores
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Side, Task
from discoenv.tasks.workspace import base_modules, materialise

#: Exams per episode after the first.
LATER: Final = 2
#: By a domain's extra: how long a later exam may take at tiny scale, as a fraction of the bare process.
LATER_TO_BARE: Final = {"jax": 0.5, "rl": 0.5, "torch": 0.6}
LATER_TO_PURE: Final = 1.15
#: Nothing here is to run out of its compute budget, however busy the machine is.
_BUDGET_S: Final = 7200.0


def unpinned() -> Cores:
    """One exam at a time, on any core, as the bare process that it is compared with."""
    return Cores(1, pin=False)


def base_task(domain_name: str, scale: Scale) -> Task:
    """A task with the base modules of a domain and its first two datasets."""
    domain = get_domain(domain_name)
    first, second = domain.datasets[:2]
    return Task(
        domain=domain_name,
        modules=tuple(domain.modules),
        meta_train=(first,),
        meta_test=(second,),
        start="base",
        scale=scale,
        train_seeds=1 + LATER,
    )


class Bare:
    """Exams of a task's base modules in bare processes. ``longer`` trains twice as long; None if that cannot be set."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        self._host = Host(BareSandbox(), device="cpu", exams_at_once=unpinned())
        self._workspace = materialise(task, folder / "bare")
        self.longer = longer_workspace(task, folder / "longer") if task.scale != "tiny" else None

    def exam(self, seed: int) -> ExamResult:
        """One exam."""
        return passed(self._run(self._workspace, seed))

    def longer_training_s(self, seed: int) -> float:
        """Seconds of training twice as long. If it was over before the questions, their outcome does not matter."""
        assert self.longer is not None
        result = self._run(self.longer, seed)
        if trains_when_asked(self._task) or result.training_s is None:
            passed(result)
        return training_s(self._task, result)

    def close(self) -> None:
        """End what runs."""
        self._host.close()

    def _run(self, workspace: Path, seed: int) -> ExamResult:
        task = self._task
        return self._host.run(
            workspace, ExamSpec(task.setting(task.meta_train[0]), seed, _BUDGET_S, editable=task.modules)
        )


class OneByOne(Evaluation):
    """The exams of one episode, one at a time: each evaluation has the next of the episode's seeds only."""

    number = 0

    def seeds(self, side: Side, dataset: str, count: int | None = None) -> list[int]:
        """One seed."""
        return super().seeds(side, dataset, count)[self.number : self.number + 1]

    def budget_s(self, dataset: str) -> float:
        """Ample."""
        return _BUDGET_S

    def exams(self, modules: Mapping[str, str]) -> Iterator[tuple[float, ExamResult]]:
        """Wall seconds and result of each exam of ``modules``."""
        for count in range(self.task.train_seeds):
            self.number = count
            begin = time.perf_counter()
            (score,) = self.examine(modules, "meta_train")
            seconds = time.perf_counter() - begin
            yield seconds, passed(score.results[0])


def edited_modules(task: Task) -> dict[str, str]:
    """The base modules, edited: they do the same, but no such texts have been seen before."""
    return {name: f"{text}\n# Edition {uuid.uuid4().hex}.\n" for name, text in base_modules(task).items()}


def longer_workspace(task: Task, folder: Path) -> Path | None:
    """A workspace whose training is twice as long; None if the configuration has no key for that."""
    dataset = task.meta_train[0]
    length = task.resolve().specification.length
    if length is None:
        return None
    workspace = materialise(task, folder)
    path = workspace / dataset / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config[length.key] *= 2
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return workspace


def training_s(task: Task, result: ExamResult) -> float:
    """Seconds from the start of a learner to the end of its training."""
    assert result.training_s is not None
    return result.training_s + (result.answering_s if trains_when_asked(task) else 0.0)


def trains_when_asked(task: Task) -> bool:
    """Whether learners of the domain train while they are asked: experience after experience, for example."""
    return task.resolve().specification.trains_when_asked


def passed(result: ExamResult) -> ExamResult:
    """The result, if the exam was passed through to its end.

    Raises:
        RuntimeError: it was not.
    """
    if result.status != "ok":
        raise RuntimeError(f"{result.dataset}: {result.status}: {result.message}\n{result.traceback}")
    return result


def measure(task: Task, sandbox: Sandbox, repeats: int) -> Figures:
    """Medians in seconds, ratios, and the single measurements of one task."""
    samples: dict[str, list[Any]] = {name: [] for name in ("bare", "bare_training", "longer_training", "first")}
    later: list[list[float]] = []
    training: list[float] = []
    answering: list[float] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bare = stack.enter_context(contextlib.closing(Bare(task, folder)))
        host = stack.enter_context(Host(sandbox, device="cpu", exams_at_once=unpinned()))
        bare.exam(0)  # warms the examiner and the page cache
        for repeat in range(repeats):
            result = bare.exam(repeat)
            samples["bare"].append(result.wall_s)
            samples["bare_training"].append(training_s(task, result))
            if bare.longer is not None:
                samples["longer_training"].append(bare.longer_training_s(repeat))
            episode = OneByOne(task, host, seed=repeat, budget_scale=1.0)
            with contextlib.closing(episode):
                first, *others = episode.exams(edited_modules(task))
            samples["first"].append(first[0])
            later.append([seconds for seconds, _ in others])
            training += [training_s(task, result) for _, result in others]
            answering += [result.answering_s for _, result in others]
    return _figures(task, samples | {"later": later, "later_training": training, "later_answering": answering})


def _figures(task: Task, samples: dict[str, list[Any]]) -> Figures:
    """Medians and ratios of single measurements, with them."""
    later = list(itertools.chain.from_iterable(samples["later"]))
    figures: Figures = {
        "domain": task.domain,
        "dataset": task.meta_train[0],
        "scale": task.scale,
        "bare_s": statistics.median(samples["bare"]),
        "bare_training_s": statistics.median(samples["bare_training"]),
        "first_s": statistics.median(samples["first"]),
        "later_s": statistics.median(later),
        "later_training_s": statistics.median(samples["later_training"]),
        "later_answering_s": statistics.median(samples["later_answering"]),
        "first/bare": _ratio(samples["first"], samples["bare"]),
        "later/bare": _ratio([statistics.median(turn) for turn in samples["later"]], samples["bare"]),
        "later/bare_training": _ratio([statistics.median(turn) for turn in samples["later"]], samples["bare_training"]),
        "pure_s": None,
        "later/pure": None,
        "later_training/pure": None,
        "samples": samples,
    }
    if samples["longer_training"]:
        pairs = zip(samples["longer_training"], samples["bare_training"], strict=True)
        pure = statistics.median(longer - bare for longer, bare in pairs)
        figures["pure_s"] = pure
        if pure > 0:
            figures["later/pure"] = figures["later_s"] / pure
            figures["later_training/pure"] = figures["later_training_s"] / pure
    return figures


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def run(options: Options) -> Figures:
    """Measure every domain at every scale that is asked for."""
    sandbox = get_sandbox(options.sandbox)
    rows = []
    try:
        for scale in options.scales:
            for name in options.domains or get_domains():
                log(f"overhead: {name} at {scale}")
                rows.append(measure(base_task(name, scale), sandbox, options.repeats))
    finally:
        sandbox.close()
    return {"sandbox": sandbox.name, "repeats": options.repeats, "later_exams": options.repeats * LATER, "rows": rows}


def tables(figures: Figures) -> list[Table]:
    """One table per scale."""
    found = []
    for scale in dict.fromkeys(row["scale"] for row in figures["rows"]):
        keys = ["bare_s", "first_s", "later_s", "later/bare", "later/bare_training"]
        columns = ["domain", "dataset", "bare s", "first exam s", "later exams s", "later/bare", "later/bare training"]
        if scale != "tiny":
            keys += ["pure_s", "later/pure", "later_training/pure"]
            columns += ["pure s", "later/pure", "training/pure"]
        rows = [
            [row["domain"], row["dataset"], *(number(row[key]) for key in keys)]
            for row in figures["rows"]
            if row["scale"] == scale
        ]
        title = (
            f"Exams at {scale} in {figures['sandbox']}; medians of {figures['repeats']} turns "
            f"with {figures['later_exams'] // figures['repeats']} later exams each"
        )
        found.append(Table(title, columns, rows))
    return found


def bounds(figures: Figures) -> list[Bound]:
    """Of later exams: at tiny scale beside the bare process, at small scale beside pure training."""
    found = []
    for row in figures["rows"]:
        most = LATER_TO_BARE.get(get_domain(row["domain"]).specification.extra)
        if row["scale"] == "tiny" and most is not None:
            found.append(Bound(f"{row['domain']}, tiny: later exam / bare process", row["later/bare"], most))
        if row["scale"] == "small" and row["later/pure"] is not None:
            found.append(Bound(f"{row['domain']}, small: later exam / pure training", row["later/pure"], LATER_TO_PURE))
    return found


if __name__ == "__main__":
    runner.main("overhead")
