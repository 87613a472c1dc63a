"""The exams of one call: beside each other in slots, with the scores that they have one after another."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from discoenv.episodes.evaluation import Evaluation
from discoenv.errors import InfraError, SandboxError
from discoenv.exams.host import Host
from discoenv.exams.spec import Progress
from discoenv.machine.cores import Cores
from discoenv.machine.devices import CPU, Device
from discoenv.sandbox.base import Check, Command, Limits, Running, Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task

DATASETS = ("Line", "Steps", "Noise")
ENDLESS = "import time\n\n\nclass Model:\n    def fit(self, phi, y, rng):\n        time.sleep(1000)\n"

MakeEvaluation = Callable[..., Evaluation]


class WatchedSandbox(Sandbox):
    """Counts the learners that run at once, and lets none begin before ``together`` of them are there.

    Those of ``failing`` datasets do not start, as often as that says.
    """

    name: ClassVar[str] = "watched"

    def __init__(self, inner: Sandbox, together: int = 1, failing: dict[str, int] | None = None) -> None:
        self.inner = inner
        self.failing = failing or {}
        self.now = self.most = 0
        self.started: list[str] = []
        self.running = threading.Event()
        self.limits: list[Limits] = []
        self._together = together
        self._lock = threading.Lock()
        self._all_here = threading.Barrier(together)

    @classmethod
    def check(cls) -> Check:
        return Check(cls.name, works=True, detail="")

    def start(self, command: Command, limits: Limits) -> Running:
        dataset = command.cwd.rpartition("/")[2]
        with self._lock:
            self.started.append(dataset)
            self.limits.append(limits)
            if self.failing.get(dataset, 0) > 0:
                self.failing[dataset] -= 1
                raise SandboxError(f"no space for {dataset}")
            self.now += 1
            self.most = max(self.most, self.now)
        self._all_here.wait(60)
        try:
            running = self.inner.start(command, limits)
        except SandboxError:  # everything was closed meanwhile
            with self._lock:
                self.now -= 1
            raise
        if self.now == self._together:
            self.running.set()
        kill, ended = running.kill, threading.Event()

        def counted_kill() -> Any:
            with self._lock:
                if not ended.is_set():
                    ended.set()
                    self.now -= 1
            return kill()

        running.kill = counted_kill  # type: ignore[method-assign]
        return running


@pytest.fixture
def several(task: Task) -> Task:
    """Six meta-train exams: three datasets, two seeds."""
    return task.model_copy(update={"meta_train": DATASETS, "train_seeds": 2})


@pytest.fixture
def make_evaluation(several: Task, sandbox: Sandbox, tmp_path: Path) -> Iterator[MakeEvaluation]:
    """Evaluations of the task with several exams, closed after the test."""
    made: list[Evaluation] = []

    def make(count: int = 3, provider: Sandbox = sandbox, **arguments: Any) -> Evaluation:
        host = Host(provider, exams_at_once=Cores(count, tmp_path / "slots", pin=True))
        made.append(Evaluation(several, host, seed=1, budget_scale=3.0, **arguments))
        return made[-1]

    yield make
    for evaluation in made:
        evaluation.close()
        evaluation._host.close()


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.fixture
def at_rest(several: Task, sandbox: Sandbox, good: dict[str, str]) -> set[int]:
    """Our processes between exams, with what the sandbox keeps from its first one on."""
    with Host(sandbox) as host:
        evaluation = Evaluation(several, host, seed=1, budget_scale=3.0)
        evaluation.examine(good, "meta_train", ("Line",))
        evaluation.close()
    return children()


def folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"discoenv-*-{os.getpid()}-*"))


def measured(evaluation: Evaluation, modules: dict[str, str]) -> list[Any]:
    """What must not depend on when exams ran."""
    return [
        (score.dataset, score.normalised, [(r.dataset, r.seed, r.status, r.metrics, r.stdout) for r in score.results])
        for score in evaluation.examine(modules, "meta_train")
    ]


def test_exams_run_at_once_in_the_slots_and_score_the_same_bits(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str]
) -> None:
    alone, beside = WatchedSandbox(sandbox), WatchedSandbox(sandbox, together=3)
    one_by_one = measured(make_evaluation(1, alone), good)
    evaluation = make_evaluation(3, beside)
    assert measured(evaluation, good) == one_by_one
    assert (alone.most, beside.most, beside.now) == (1, 3, 0)
    assert [each[0] for each in one_by_one] == list(DATASETS)
    assert len(beside.started) == 6
    results = [result for score in evaluation.examine(good, "meta_train") for result in score.results]
    assert len(beside.started) == 6  # known by now
    assert evaluation.spent_s == pytest.approx(sum(result.spent_s for result in results))


@pytest.mark.parametrize("how", ["costs", "paired"])
def test_exams_whose_costs_are_compared_run_one_at_a_time_on_one_core(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str], how: str
) -> None:
    watched = WatchedSandbox(sandbox)
    evaluation = make_evaluation(3, watched, **{how: True})
    scores = evaluation.examine(good, "meta_train", ("Line", "Steps"))
    assert watched.most == 1
    assert [score.cost_entry is not None for score in scores] == [True, True]
    seeds = 2 if how == "paired" else 3  # the baseline's exams follow those that they are compared with
    assert watched.started == ["Line"] * (2 + seeds) + ["Steps"] * (2 + seeds)
    assert {limits.cores for limits in watched.limits} == {(max(os.sched_getaffinity(0)),)}


def test_learners_stay_on_their_slot_s_core(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str]
) -> None:
    told = "import json\nimport os\n\nprint(json.dumps(sorted(os.sched_getaffinity(0))))\n"
    mine = os.sched_getaffinity(0)
    watched = WatchedSandbox(sandbox, together=len(mine))
    evaluation = make_evaluation(len(mine), watched)
    datasets = DATASETS[: len(mine)]
    scores = evaluation.examine(good | {"features.py": told + good["features.py"]}, "meta_train", datasets)
    seen = [json.loads(result.stdout.splitlines()[0]) for score in scores for result in score.results]
    assert all(len(cores) == 1 for cores in seen)
    assert {core for cores in seen for core in cores} <= mine
    assert {limits.cores for limits in watched.limits} == {tuple(cores) for cores in seen}


def test_progress_is_reported_in_the_caller_s_thread_at_the_start_and_end_of_each(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str]
) -> None:
    seen: list[Progress] = []
    threads = set()

    def on_progress(progress: Progress) -> None:
        threads.add(threading.current_thread())
        seen.append(progress)

    evaluation = make_evaluation(3, on_progress=on_progress)
    evaluation.examine(good, "meta_train", ("Line", "Steps"))
    assert threads == {threading.current_thread()}
    numbers = [progress.number for progress in seen if progress.result is None]
    assert sorted(numbers) == [1, 2, 3, 4]
    for number in numbers:
        begin, end = (progress for progress in seen if progress.number == number)
        assert (begin.spec, begin.total, begin.result) == (end.spec, 4, None)
        assert end.result is not None
        assert (end.result.dataset, end.result.seed) == (end.spec.dataset, end.spec.seed)
    seen.clear()
    evaluation.examine(good, "meta_train", ("Line",))
    assert [(progress.number, progress.result is None) for progress in seen] == [(1, False), (2, False)]


def test_each_exam_may_fail_once(make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str]) -> None:
    watched = WatchedSandbox(sandbox, failing=dict.fromkeys(DATASETS, 1))
    scores = make_evaluation(3, watched).examine(good, "meta_train")
    assert [result.status for score in scores for result in score.results] == ["ok"] * 6
    assert len(watched.started) == 9


def test_an_exam_that_fails_twice_ends_the_others(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str], at_rest: set[int]
) -> None:
    watched = WatchedSandbox(sandbox, failing={"Steps": 9})
    evaluation = make_evaluation(3, watched)
    with pytest.raises(InfraError, match="no space for Steps"):
        evaluation.examine(good | {"model.py": ENDLESS}, "meta_train")
    assert watched.now == 0
    evaluation._host._examiners.close()
    assert children() <= at_rest
    watched.failing.clear()
    scores = evaluation.examine(good, "meta_train")
    assert [result.status for score in scores for result in score.results] == ["ok"] * 6


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_all_learners(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str], at_rest: set[int]
) -> None:
    watched = WatchedSandbox(sandbox, together=3)
    evaluation = make_evaluation(3, watched)

    def interrupt() -> None:
        watched.running.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        evaluation.examine(good | {"model.py": ENDLESS}, "meta_train")
    assert (watched.most, watched.now, len(watched.started)) == (3, 0, 3)
    evaluation._host._examiners.close()
    assert children() <= at_rest
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("discoenv-exam")]
    evaluation.close()
    assert folders() == []


def test_closing_from_another_thread_ends_all_learners(
    make_evaluation: MakeEvaluation, sandbox: Sandbox, good: dict[str, str], at_rest: set[int]
) -> None:
    watched = WatchedSandbox(sandbox, together=3)
    evaluation = make_evaluation(3, watched)

    def close() -> None:
        watched.running.wait(60)
        evaluation.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(InfraError):
        evaluation.examine(good | {"model.py": ENDLESS}, "meta_train")
    closing.join(60)
    assert (watched.now, len(watched.started)) == (0, 3)
    assert children() <= at_rest
    assert folders() == []


def test_only_datasets_that_want_a_gpu_are_trained_and_compared_on_it(
    several: Task, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Domain, "wants_gpu", lambda self, dataset, scale: dataset == "Steps")
    asked: list[tuple[str, str]] = []
    shipped = baselines.entry

    def entry(setting: Setting, device: str) -> Any:
        asked.append((setting.dataset, device))
        return shipped(setting)

    monkeypatch.setattr(baselines, "entry", entry)
    with Host(sandbox, device="cpu") as host:
        monkeypatch.setattr(host, "device", lambda gpu: Device("Fake 80GB", None) if gpu else CPU)
        evaluation = Evaluation(several, host, seed=1, budget_scale=3.0)
        specs = [spec for dataset in DATASETS for spec in evaluation._specs("meta_train", dataset)]
        evaluation.close()
    assert [(spec.dataset, spec.gpu) for spec in specs[::2]] == [("Line", False), ("Steps", True), ("Noise", False)]
    assert asked == [("Line", "cpu"), ("Steps", "Fake 80GB"), ("Noise", "cpu"), ("Wave", "cpu")]
    assert evaluation.device == "Fake 80GB"
