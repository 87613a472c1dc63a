"""Compiled programs: they spare later exams their compilation, and carry nothing to where it would count."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.episodes.evaluation import Evaluation
from discoenv.exams import compile_cache, runner
from discoenv.exams.examiner_client import Reply
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult, ExamStatus, verdict
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.kits import exam
from discoenv.kits.exam import messages
from discoenv.sandbox.base import Outcome, Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting, Side, Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.conftest import TOY, MakeVariant

NAME = "jit_step-" + "0123456789abcdef" * 4 + "-cache"

# As JAX would: puts a "compiled program" into the folder of the cache unless it is there.
COMPILE = f"""
import os
place = os.environ.get("JAX_COMPILATION_CACHE_DIR", "/proc/nowhere")
path = os.path.join(place, {NAME!r})
print("FOUND", open(path).read() if os.path.exists(path) else "nothing")
try:
    os.makedirs(place, exist_ok=True)
    open(path, "w").write("weights of " + os.environ["EXAM_SEED"])
except OSError as error:
    print("NOT WRITTEN")
"""

#: The start of JAX's warning.
COMPLAINT = "Error writing persistent compilation cache entry"

Play = Callable[..., list[ExamResult]]


@pytest.fixture
def compiling(make_variant: MakeVariant) -> Domain:
    """The toy domain as one that requires JAX; its base modules "compile" as well."""

    def change(content: dict[str, Any]) -> None:
        content["requirements"] = ["numpy", "jax>=0.9"]

    model = (TOY / "Toy/templates/default/model.py").read_text()
    return make_variant("Compiling", change=change, files={"templates/default/model.py": COMPILE + model})


@pytest.fixture
def episode(compiling: Domain, sandbox: Sandbox) -> Iterator[Callable[[], Play]]:
    """Begins episodes, each a function ``play(modules, side)`` that returns the results of its exams."""
    task = Task(
        domain="Compiling",
        modules=("model",),
        meta_train=("Line",),
        meta_test=("Wave",),
        scale="tiny",
        start="base",
        train_seeds=2,
        test_seeds=2,
    )
    host = Host(sandbox, exams_at_once=1)  # exams that run at the same time all compile
    opened: list[Evaluation] = []

    def begin(**options: Any) -> Play:
        results: list[ExamResult] = []

        def note(progress: Progress) -> None:
            if progress.result:
                results.append(progress.result)

        evaluation = Evaluation(task, host, seed=len(opened), budget_scale=1000.0, on_progress=note, **options)
        opened.append(evaluation)

        def play(edit: str = "", side: Side = "meta_train") -> list[ExamResult]:
            results.clear()
            modules = {name: text + edit for name, text in base_modules(task).items()}
            evaluation.examine(modules, side)
            assert [result.status for result in results] == ["ok", "ok"], results
            return list(results)

        return play

    begin.opened = opened  # type: ignore[attr-defined]
    yield begin
    for evaluation in opened:
        evaluation.close()
    host.close()


def found(results: list[ExamResult]) -> list[str]:
    return [line for result in results for line in result.stdout.splitlines() if line.startswith(("FOUND", "NOT"))]


def test_what_the_base_modules_compile_serves_all_later_exams(episode: Callable[[], Play], compiling: Domain) -> None:
    first, second = episode()()
    assert found([first]) == ["FOUND nothing"]
    written = compile_cache.of_base(Setting(compiling, "default", "Line", "tiny")) / NAME
    assert written.read_text().startswith("weights of")
    assert stat.S_IMODE(written.stat().st_mode) == 0o644
    there = [f"FOUND {written.read_text()}", "NOT WRITTEN"]
    assert found([second]) == there
    assert found(episode()()) == 2 * there
    assert found(episode()("\n# edited\n", "meta_train"))[0] == "FOUND nothing"  # it makes its own, which two exams use


def test_what_an_agent_compiles_stays_with_its_modules_and_dataset_in_its_episode(
    episode: Callable[[], Play], compiling: Domain
) -> None:
    play = episode()
    first, second = play("\n# edited\n")
    assert found([first]) == ["FOUND nothing"]
    assert found([second])[0].startswith("FOUND weights")
    assert found([second])[1] == "NOT WRITTEN"
    assert found(play("\n# edited again\n"))[0] == "FOUND nothing"
    (evaluation,) = episode.opened  # type: ignore[attr-defined]
    assert len(list((evaluation.directory / "programs").iterdir())) == 1  # those of other modules are gone
    assert found(play("\n# edited\n", "meta_test")) == 2 * ["FOUND nothing"]
    assert found(episode()("\n# edited\n"))[0] == "FOUND nothing"
    for dataset in ("Line", "Wave"):
        assert not compile_cache.of_base(Setting(compiling, "default", dataset, "tiny")).exists()


def test_a_sandbox_that_does_not_isolate_reaches_no_programs(
    compiling: Domain, tmp_path: Path, episode: Callable[[], Play]
) -> None:
    episode()()  # leaves programs of the base modules
    kept = compile_cache.of_base(Setting(compiling, "default", "Line", "tiny"))
    before = {path: path.read_bytes() for path in kept.rglob("*")}
    task = Task(
        domain="Compiling", modules=("model",), meta_train=("Line",), meta_test=("Wave",), scale="tiny", start="base"
    )
    workspace = materialise(task, tmp_path / "workspace", modules=base_modules(task))
    spec = ExamSpec(Setting(compiling, "default", "Line", "tiny"), 1, 100.0)
    with warnings.catch_warnings(), Host("process") as host:
        warnings.simplefilter("ignore")
        result = host.run(workspace, spec, programs=lambda spec: compile_cache.CompileCache(used=kept))
    assert found([result]) == ["FOUND nothing", "NOT WRITTEN"]
    assert {path: path.read_bytes() for path in kept.rglob("*")} == before


def test_a_cache_that_cannot_be_written_costs_no_score(
    episode: Callable[[], Play], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder can be made here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert found(episode()()) == 2 * ["FOUND nothing"]


def test_other_base_modules_have_another_folder(compiling: Domain) -> None:
    setting = Setting(compiling, "default", "Line", "tiny")
    before = compile_cache.of_base(setting)
    (compiling.directory / "templates/default/model.py").write_text("# another version\n")
    compile_cache._code.cache_clear()
    assert compile_cache.of_base(setting) != before


def test_nothing_of_the_episode_is_left(episode: Callable[[], Play], tmp_path: Path) -> None:
    play = episode()
    play("\n# edited\n")
    cache = tmp_path / "cache"
    assert not list(cache.rglob("*-cache"))


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"jit_x-cache": np.zeros(3, np.uint8)},
        {"../" + NAME: np.zeros(3, np.uint8)},
        {NAME: np.zeros(3, np.float32)},
        {NAME: "text"},
        {NAME: {"a": 1}},
        {NAME + "/x": np.zeros(3, np.uint8)},
    ],
)
def test_what_does_not_look_like_a_program_is_not_kept(sent: Mapping[str, Any], tmp_path: Path) -> None:
    compile_cache.keep(tmp_path / "kept", sent)
    assert list(tmp_path.iterdir()) == []


def test_too_much_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_cache, "_MOST_BYTES", 5)
    compile_cache.keep(tmp_path / "kept", {NAME: np.zeros(6, np.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_the_first_to_keep_wins(tmp_path: Path) -> None:
    for value in (1, 2):
        compile_cache.keep(tmp_path / "kept", {NAME: np.full(3, value, np.uint8)})
    assert (tmp_path / "kept" / NAME).read_bytes() == bytes([1, 1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("answer", ["{'programs': 3}", "{'answer': 1}", "['programs']", "{'programs': {'x': [1]}}"])
def test_a_learner_that_hands_over_nonsense_keeps_its_score(
    episode: Callable[[], Play], answer: str, compiling: Domain
) -> None:
    edit = f"""
import exam
def receive(connection, receive=exam.receive):
    question = receive(connection)
    if "call" not in question:
        messages.send(connection, {answer})
        raise SystemExit
    return question
exam.receive = receive
"""
    results = episode()(edit)
    assert all(result.metrics for result in results)
    assert found(results) == 2 * ["FOUND nothing"]


@pytest.mark.slow
def test_a_second_exam_of_a_real_domain_compiles_nothing(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    domain = get_domain("BayesianOptimisation")
    first, second = domain.datasets[:2]
    task = Task(
        domain=domain.name,
        modules=tuple(domain.modules),
        meta_train=(first,),
        meta_test=(second,),
        start="base",
        scale="tiny",
        train_seeds=1,
    )
    metrics: list[object] = []
    complaints: list[bool] = []  # by exam: whether a program was compiled that could not be written to what it sees

    def note(progress: Progress) -> None:
        if progress.result:
            metrics.append(progress.result.metrics)

    def noted(status: Reply, message: str, outcome: Outcome, **options: Any) -> tuple[ExamStatus, str, str]:
        complaints.append(COMPLAINT in outcome.stderr)
        return verdict(status, message, outcome, **options)

    told = compile_cache.environment() | {"PYTHONWARNINGS": f"always:{COMPLAINT}"}
    monkeypatch.setattr(compile_cache, "environment", lambda: told)
    monkeypatch.setattr(runner, "verdict", noted)
    kept = compile_cache.of_base(Setting(domain, "default", first, "tiny"))
    for turn in ("first", "second", "one is missing"):
        if turn == "one is missing":
            assert len(list(kept.iterdir())) >= 3
            next(kept.iterdir()).unlink()
        with Host(sandbox) as host:
            evaluation = Evaluation(task, host, seed=1, budget_scale=50.0, on_progress=note)
            with contextlib.closing(evaluation):
                evaluation.examine(base_modules(task), "meta_train")
    assert complaints == [False, False, True]
    assert metrics[0] == metrics[1] == metrics[2]
    assert os.environ["XDG_CACHE_HOME"] in str(kept)


def test_the_learners_file_hands_over_what_is_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))
    monkeypatch.setenv("EXAM_SOCKET", str(tmp_path / "socket"))
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / NAME).write_bytes(b"abc")
    (tmp_path / "programs" / "other").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen(1)
        learner = threading.Thread(target=exam.serve, args=(object(),))
        learner.start()
        connection, _ = listener.accept()
        with connection:
            assert messages.receive(connection) == {"ready": True}
            messages.send(connection, {"programs": True})
            sent = messages.receive(connection)["programs"]
        learner.join(120)
    assert {name: content.tobytes() for name, content in sent.items()} == {NAME: b"abc"}
