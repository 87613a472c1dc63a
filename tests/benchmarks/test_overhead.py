"""The overhead benchmark runs what it says: bare cold processes, and the exams of an episode."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import bare, overhead, report
from discoenv.episodes.evaluation import Evaluation
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Command, Limits, Mount, Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.conftest import MakeVariant


@pytest.fixture
def base(toy: Domain) -> Task:
    return overhead.base_task(toy.name, "tiny")


def test_exams_are_measured_in_turns_with_bare_processes(base: Task, sandbox: Sandbox) -> None:
    row = overhead.measure(base, sandbox, repeats=2)
    samples = row["samples"]
    assert [len(turn) for turn in samples["later"]] == [overhead.LATER] * 2
    assert len(samples["bare"]) == len(samples["first"]) == 2
    assert row["bare_s"] > row["bare_training_s"] > 0
    assert row["first_s"] > 0 and row["later_s"] > row["later_training_s"] > 0
    ratios = [statistics.median(turn) / bare for turn, bare in zip(samples["later"], samples["bare"], strict=True)]
    assert row["later/bare"] == statistics.median(ratios)
    assert row["pure_s"] is None and row["later/pure"] is None


def test_the_exams_of_an_episode_have_its_seeds_one_after_another(base: Task, sandbox: Sandbox) -> None:
    host = Host(sandbox)
    episode = overhead.OneByOne(base, host, seed=3, budget_scale=1.0)
    whole = Evaluation(base, host, seed=3, budget_scale=1.0)
    try:
        found = [result.seed for _, result in episode.exams(overhead.edited_modules(base))]
        assert found == whole.seeds("meta_train", base.meta_train[0])
        assert len(set(found)) == 1 + overhead.LATER
    finally:
        episode.close()
        whole.close()
        host.close()


def test_the_modules_of_an_episode_are_new(base: Task) -> None:
    texts = [*base_modules(base).values()]
    for _ in range(2):
        texts += overhead.edited_modules(base).values()
    assert len(set(texts)) == len(texts) == 3 * len(base.modules)


@pytest.mark.slow
def test_pure_training_is_what_twice_the_length_takes_longer(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    config = "all: {n: 128, noise: 0.1, held_out: 64, EPOCHS: 3}\ntiny: {}\nsmall: {}\n"
    domain = make_variant(
        change=lambda content: content.update(length={"key": "EPOCHS"}), files={"datasets/Line/config.yaml": config}
    )
    row = overhead.measure(overhead.base_task(domain.name, "small"), sandbox, repeats=2)
    samples = row["samples"]
    pairs = zip(samples["longer_training"], samples["bare_training"], strict=True)
    assert row["pure_s"] == statistics.median(longer - once for longer, once in pairs)
    assert len(samples["longer_training"]) == 2


def test_answers_are_training_where_learners_train_while_they_are_asked(
    base: Task, tmp_path: Path, make_variant: MakeVariant
) -> None:
    exams = overhead.Bare(base, tmp_path)
    try:
        result = exams.exam(0)
    finally:
        exams.close()
    assert result.training_s is not None and result.answering_s > 0
    assert overhead.training_s(base, result) == result.training_s
    make_variant(base.domain, change=lambda content: content.update(trains_when_asked=True))
    assert overhead.training_s(base, result) == result.training_s + result.answering_s


def test_a_longer_workspace_differs_in_the_length_of_training_only(tmp_path: Path) -> None:
    task = overhead.base_task("ComputerVisionClassification", "small")
    longer = overhead.longer_workspace(task, tmp_path / "longer")
    assert longer is not None
    config = task.resolve().config(task.meta_train[0], "small")
    found = yaml.safe_load((longer / task.meta_train[0] / "config.yaml").read_text())
    assert found == config | {"EPOCHS": 2 * config["EPOCHS"]}


def test_a_domain_without_a_length_has_no_longer_workspace(base: Task, tmp_path: Path) -> None:
    assert overhead.longer_workspace(base, tmp_path / "longer") is None


def test_a_bare_process_is_given_no_cache_of_compiled_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "somewhere")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "somewhere")
    environment = bare.environment_of_bare(Limits(cpus=2))
    assert "somewhere" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "2"


def test_a_bare_process_sees_only_what_a_learner_gets(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import os; print(os.environ['EXAM_DATA'], os.environ.get('WARM'), os.getcwd())")
    command = Command(
        ("python", "main.py"),
        cwd="/workspace",
        mounts=(Mount(tmp_path, "/workspace"),),
        env={"EXAM_DATA": "/workspace/data", "WARM": "yes"},
    )
    outcome = bare.BareSandbox().run(command, Limits())
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.split() == [str(tmp_path / "data"), "None", str(tmp_path)]
    assert outcome.usage.wall_s > 0 and outcome.usage.cpu_s > 0


def test_a_bare_process_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare, "_FAREWELL_S", 0.1)
    running = bare.BareProcess([sys.executable, "-c", "import time; time.sleep(600)"], str(tmp_path), {})
    assert running.poll()
    assert running.kill().reason == "killed"
    assert not running.poll()


def test_a_failed_exam_is_no_measurement(base: Task, tmp_path: Path) -> None:
    modules = base_modules(base) | {"model.py": "raise ValueError('no model')"}
    workspace = materialise(base, tmp_path / "workspace", modules=modules)
    with Host(bare.BareSandbox()) as host:
        result = host.run(workspace, ExamSpec(base.setting(base.meta_train[0]), 0, 60.0))
    with pytest.raises(RuntimeError, match="no model"):
        overhead.passed(result)


def test_bounds_depend_on_the_scale_and_on_what_the_domain_computes_with() -> None:
    def row(domain: str, scale: str, pure: float | None = None) -> report.Figures:
        return {"domain": domain, "scale": scale, "later/bare": 0.55, "later/pure": pure}

    rows = [
        row("OnPolicyRL", "tiny"),
        row("ComputerVisionClassification", "tiny"),
        row("GreenhouseGasPrediction", "tiny"),
        row("OnPolicyRL", "small", 1.1),
        row("BayesianOptimisation", "small"),
    ]
    found = overhead.bounds({"rows": rows})
    assert [(bound.name.split(",")[0], bound.bound, bound.held) for bound in found] == [
        ("OnPolicyRL", 0.5, False),
        ("ComputerVisionClassification", 0.6, True),
        ("OnPolicyRL", 1.15, True),
    ]
