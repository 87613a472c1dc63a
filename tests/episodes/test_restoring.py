"""Episodes are saved, forked and restored: what follows is what would have followed, and nothing is measured twice."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.errors import RecordError, RunError, SecretError
from discoenv.exams import secrets
from discoenv.exams.spec import Progress
from discoenv.sandbox.base import Sandbox
from discoenv.sandbox.local.process import ProcessSandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from discoenv.tools import ToolSession
from tests.conftest import POLYNOMIAL_FEATURES, TOY, MakeVariant

MakeEnv = Callable[..., DiscoGenEnv]
SQUARES = POLYNOMIAL_FEATURES.replace("range(6)", "range(3)")
CUBIC = POLYNOMIAL_FEATURES.replace("range(6)", "range(4)")


def edit(name: str, text: str, command: str = "run") -> dict[str, Any]:
    return {"edits": [{"path": name, "content": text}], "command": command}


@pytest.fixture
def wide(task: Task) -> Task:
    """Two datasets on a side, two exams each."""
    return task.model_copy(
        update={"meta_train": ("Line", "Steps"), "meta_test": ("Wave", "Noise"), "train_seeds": 2, "test_seeds": 2}
    )


@pytest.fixture
def actions(task: Task) -> list[Any]:
    """An episode: a run, a refused action, an edit, a run of one dataset, a submission."""
    model = base_modules(task)["model.py"]
    return [
        {"edits": [{"path": "model.py", "content": model}, {"path": "features.py", "content": SQUARES}]},
        "nonsense",
        edit("features.py", CUBIC, "edit"),
        {**edit("features.py", POLYNOMIAL_FEATURES), "datasets": ["Line"]},
        "submit",
    ]


class Counter:
    """Counts the exams that are really held."""

    def __init__(self) -> None:
        self.held: list[tuple[str, int]] = []

    def __call__(self, progress: Progress) -> None:
        if progress.result is None:
            self.held.append((progress.spec.dataset, progress.spec.number))


@pytest.fixture
def make_env(sandbox: Sandbox, wide: Task, tmp_path: Path) -> Iterator[MakeEnv]:
    """Environments of the wide task, closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(**arguments: Any) -> DiscoGenEnv:
            defaults: dict[str, Any] = {"task": wide, "sandbox": sandbox, "runs_dir": tmp_path / "runs", "max_steps": 6}
            return stack.enter_context(contextlib.closing(DiscoGenEnv(**(defaults | arguments))))

        yield make


def seen(step: tuple[Any, ...]) -> dict[str, Any]:
    """What does not depend on the clock, of what ``step``, ``reset`` or ``restore`` returned."""
    observation, *_, info = step
    scores = {
        side: {name: [exam["metrics"] for exam in score["exams"]] for name, score in info.get(side, {}).items()}
        for side in ("meta_train", "meta_test")
    }
    rest = {key: info.get(key) for key in ("changed", "refused", "score", "reward_parts", "task_id")}
    state = {key: observation[key] for key in ("files", "score", "steps_left")}
    return {**state, **rest, **scores, "reward": step[1] if len(step) > 2 else None}


def play(env: DiscoGenEnv, actions: list[Any]) -> list[dict[str, Any]]:
    return [seen(env.step(action)) for action in actions]


_played: list[dict[str, Any]] = []


@pytest.fixture
def whole(make_env: MakeEnv, actions: list[Any]) -> list[dict[str, Any]]:
    """The uninterrupted episode, played once."""
    if not _played:
        env = make_env(runs_dir=None)
        env.reset(seed=3)
        _played.extend(play(env, actions))
    return _played


def test_a_fork_after_step_3_earns_what_the_uninterrupted_episode_earns(
    make_env: MakeEnv, actions: list[Any], whole: list[dict[str, Any]]
) -> None:
    env = make_env()
    env.reset(seed=3)
    assert play(env, actions[:3]) == whole[:3]
    last = env.observe()
    with contextlib.closing(env.fork()) as fork:
        assert fork.run_directory != env.run_directory
        forked, info = fork.observe()
        assert {**forked, "score": float(forked["score"])} == {**last[0], "score": float(last[0]["score"])}
        assert info["workspace"] != last[1]["workspace"]
        assert play(fork, actions[3:]) == whole[3:]
    assert play(env, actions[3:]) == whole[3:], "the fork has changed nothing"
    assert whole[-1]["reward"] > 1


def test_actions_that_cost_nothing_and_their_edits_are_repeated(
    make_env: MakeEnv, actions: list[Any], tmp_path: Path
) -> None:
    env = make_env()
    env.reset(seed=3)
    env.step(actions[0])
    env.step(edit("features.py", CUBIC))
    env.step("history")
    last = env.step(edit("features.py", SQUARES))
    assert env.observe()[0]["steps_left"] == 4
    assert last[-1]["same_as"] == 1
    env.save(tmp_path / "saved")
    other = make_env()
    other.restore(tmp_path / "saved")
    with contextlib.closing(env.fork()) as fork:
        for each in (other, fork):
            assert each.observe()[0]["files"] == last[0]["files"]
            assert [(run.number, run.step) for run, _ in each.history.runs] == [(1, 1), (2, 2), (3, 2)]
            assert [files["features.py"] for _, files in each.history.runs] == [SQUARES, CUBIC, SQUARES]
        ends = [play(each, ["run", "submit"]) for each in (env, other, fork)]
    assert ends[0] == ends[1] == ends[2]


def test_siblings_differ_by_their_actions_alone(make_env: MakeEnv, actions: list[Any]) -> None:
    env = make_env(runs_dir=None)
    env.reset(seed=3)
    env.step(actions[0])
    rewards = []
    for features in (CUBIC, POLYNOMIAL_FEATURES, CUBIC):
        with contextlib.closing(env.fork()) as fork:
            rewards.append(fork.step(edit("features.py", features, "submit"))[1])
    assert rewards[0] == rewards[2] != rewards[1]
    assert env.observe()[0]["steps_left"] == 5


def test_a_fork_outlives_the_environment_it_came_from(sandbox: Sandbox, wide: Task, actions: list[Any]) -> None:
    env = DiscoGenEnv(task=wide, sandbox=sandbox, runs_dir=None)
    env.reset(seed=3)
    env.step(actions[0])
    fork = env.fork()
    env.close()
    env.close()
    assert "meta_train" in fork.step(edit("features.py", CUBIC))[-1]
    fork.close()


def test_finished_exams_are_not_repeated_in_a_fork(make_env: MakeEnv, actions: list[Any]) -> None:
    count = Counter()
    env = make_env(on_progress=count)
    env.reset(seed=3)
    env.step(actions[0])
    assert len(count.held) == 4
    with contextlib.closing(env.fork()) as fork:
        fork.step("run")
    assert len(count.held) == 4


@pytest.mark.parametrize(("step", "runs"), [(0, True), (3, False), (4, True)])
def test_a_saved_episode_goes_on_in_another_environment(
    make_env: MakeEnv, actions: list[Any], whole: list[dict[str, Any]], tmp_path: Path, step: int, runs: bool
) -> None:
    env = make_env(**({} if runs else {"runs_dir": None}))
    last: tuple[Any, ...] = env.reset(seed=3)
    for action in actions[:step]:
        last = env.step(action)
    assert env.save(tmp_path / "saved") == tmp_path / "saved"
    env.close()
    count = Counter()
    other = make_env(on_progress=count)
    restored = other.restore(tmp_path / "saved")
    assert seen(restored) == {**seen(last), "reward": None}
    assert restored[0]["text"] == last[0]["text"]
    assert restored[1]["compute_spent_s"] == last[-1]["compute_spent_s"]
    assert play(other, actions[step:]) == whole[step:]
    assert len(count.held) == {0: 10, 3: 6, 4: 4}[step]


def test_gymnasiums_make_returns_what_can_restore(
    sandbox: Sandbox, wide: Task, make_env: MakeEnv, actions: list[Any], whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    env = make_env()
    env.reset(seed=3)
    play(env, actions[:3])
    env.save(tmp_path / "saved")
    made = gymnasium.make("DiscoGen-v0", sandbox=sandbox, runs_dir=None)
    made.restore(tmp_path / "saved")  # type: ignore[attr-defined]
    assert [seen(made.step(action)) for action in actions[3:]] == whole[3:]
    made.close()
    wrapped = gymnasium.wrappers.OrderEnforcing(gymnasium.make("DiscoGen-v0", sandbox=sandbox, runs_dir=None))
    observation, _ = wrapped.reset(options={"restore": tmp_path / "saved"})
    assert observation["steps_left"] == 3
    assert [seen(wrapped.step(action)) for action in actions[3:]] == whole[3:]
    wrapped.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from discoenv.tasks import registry
registry.BUILTIN = Path({toy!r})
from discoenv.env import DiscoGenEnv
import json
left = {exams}
def count(progress):
    global left
    if progress.result is not None:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
env = DiscoGenEnv(
    task=json.loads({task!r}), sandbox={sandbox!r}, runs_dir={runs!r}, max_steps=6, on_progress=count
)
env.reset(seed=3)
print(env.run_directory, flush=True)
for action in json.loads({actions!r}):
    env.step(action)
"""


@pytest.mark.parametrize(("exams", "recorded"), [(2, 0), (5, 3), (8, 4)])
def test_a_killed_episode_is_resumed_from_its_run_directory(
    make_env: MakeEnv,
    actions: list[Any],
    whole: list[dict[str, Any]],
    wide: Task,
    sandbox: Sandbox,
    tmp_path: Path,
    exams: int,
    recorded: int,
) -> None:
    """SIGKILL when so many exams have ended: the first run has 4, the second 2, the submission 4."""
    program = KILLED.format(
        toy=str(TOY),
        task=wide.model_dump_json(),
        sandbox=sandbox.name,
        runs=str(tmp_path / "killed"),
        actions=json.dumps(actions),
        exams=exams,
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    count = Counter()
    env = make_env(on_progress=count)
    env.restore(killed.stdout.strip())
    assert env.observe()[0]["steps_left"] == 6 - recorded
    assert play(env, actions[recorded:]) == whole[recorded:]
    assert len(count.held) == 10 - exams, "those that had ended are not repeated"


def test_any_step_of_a_finished_episode_can_be_gone_on_from(
    make_env: MakeEnv, actions: list[Any], whole: list[dict[str, Any]]
) -> None:
    env = make_env()
    env.reset(seed=3)
    play(env, actions)
    finished = env.run_directory
    assert finished is not None
    assert len(lines_of(finished)) == 10
    with pytest.raises(RunError, match=r"ended with step 5 \(reward 1.*an earlier step to go on from: 0 to 4"):
        env.restore(finished)
    with pytest.raises(RunError, match=r"there is no step 9; recorded are 0 to 5"):
        env.restore(finished, step=9)
    assert env.run_directory == finished, "a failed restore changes nothing"
    spent = []
    for step in range(5):
        count = Counter()
        with contextlib.closing(make_env(on_progress=count)) as other:
            other.restore(finished, step=step)
            assert play(other, actions[step:]) == whole[step:]
            assert count.held == [], "all is known"
            spent.append(other.observe()[1]["compute_spent_s"])
    assert spent == pytest.approx([env.observe()[1]["compute_spent_s"]] * 5), "what is used again is charged again"


def test_the_record_of_a_restored_episode_is_whole(make_env: MakeEnv, actions: list[Any], tmp_path: Path) -> None:
    env = make_env()
    env.reset(seed=3)
    play(env, actions[:3])
    before = env.run_directory
    assert before is not None
    (before / "calls.jsonl").write_text('{"event": "tool_call", "step": 3}\n{"event": "tool_call", "step": 4}\n')
    other = make_env(runs_dir=tmp_path / "others")
    other.restore(before)
    play(other, actions[3:])
    assert other.run_directory is not None
    first, second = EpisodeRecord.load(before), EpisodeRecord.load(other.run_directory)
    assert second.events[:4] == first.events
    assert [event.step for event in second.events] == [0, 1, 2, 3, 4, 5]
    assert second.setup.origin is not None
    assert (second.setup.origin.run, second.setup.origin.step) == (before.name, 3)
    assert first.setup.origin is None
    assert second.result is not None
    assert second.modules(3) == first.modules()
    assert (other.run_directory / "calls.jsonl").read_text() == '{"event": "tool_call", "step": 3}\n'
    third = make_env()
    third.restore(other.run_directory, step=4)
    assert third.observe()[0]["steps_left"] == 2


def test_a_tool_session_goes_on_with_its_runs(make_env: MakeEnv, actions: list[Any], tmp_path: Path) -> None:
    session = ToolSession(make_env(), seed=3)
    session.write({"model.py": actions[0]["edits"][0]["content"]})
    session.run()
    session.write({"features.py": CUBIC})
    session.run()
    session.env.unwrapped.save(tmp_path / "saved")  # type: ignore[attr-defined]
    other = ToolSession(make_env(), options={"restore": tmp_path / "saved"})
    assert other.runs == session.runs
    assert (other.introduction, other.task_text) == (session.introduction, session.task_text)
    assert other.steps_left == session.steps_left
    assert (other.submit(2).ok, session.submit(2).ok) == (True, True)
    assert other.reward == session.reward > 0


# ---- what is not taken from a run directory


def copied(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    return to


_finished: list[Path] = []


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "exams.jsonl").read_text().splitlines()]


@pytest.fixture
def cut(make_env: MakeEnv, actions: list[Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of an episode whose last line was lost: all of its exams are finished."""
    if not _finished:  # played once
        env = make_env(runs_dir=tmp_path_factory.mktemp("finished"))
        env.reset(seed=3)
        play(env, actions)
        assert env.run_directory is not None
        _finished.append(env.run_directory)
    run = copied(_finished[0], tmp_path / "cut")
    (run / "result.json").unlink()
    lines = (run / "episode.jsonl").read_text().splitlines(keepends=True)
    (run / "episode.jsonl").write_text("".join(lines[:-1]))
    return run


@pytest.mark.parametrize("change", ["metric", "side", "dataset", "number", "modules", "seal", "no seal", "deep"])
def test_a_result_that_was_tampered_with_is_measured_anew(
    make_env: MakeEnv, actions: list[Any], whole: list[dict[str, Any]], cut: Path, change: str
) -> None:
    lines = lines_of(cut)
    for line in lines[-4:]:
        result = line["result"]
        if change == "metric":
            result["metrics"]["r2"] = 1.0
        elif change == "side":
            line["side"] = "meta_train"
        elif change == "dataset":
            result["dataset"] = "Wave" if result["dataset"] == "Noise" else "Noise"
        elif change == "number":
            result["number"] = 1 - result["number"]
        elif change == "modules":
            line["modules"] = lines[0]["modules"]
        elif change == "seal":
            line["seal"] = "0" * 64
        elif change == "no seal":
            del line["seal"]
        else:
            line["result"] = result | {"deep": json.loads("[" * 500 + "]" * 500)}
    (cut / "exams.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    count = Counter()
    env = make_env(on_progress=count)
    env.restore(cut)
    assert play(env, actions[4:]) == whole[4:]
    assert len(count.held) == 4, "what has the wrong seal is held anew"


def test_results_count_only_where_they_were_measured(
    make_env: MakeEnv,
    actions: list[Any],
    whole: list[dict[str, Any]],
    cut: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ProcessSandbox, "_warned", False)
    known = Counter()
    env = make_env(on_progress=known)
    env.restore(cut)
    env.step("submit")
    assert known.held == []
    other = Counter()
    with pytest.warns(UserWarning, match="does not isolate"):
        env = make_env(on_progress=other, sandbox="process")
        env.restore(cut)
        assert env.step("submit")[1] == whole[-1]["reward"]
    assert len(other.held) == 4, "measured in another sandbox"


def test_without_the_secret_there_is_nothing_to_go_on_with(make_env: MakeEnv, cut: Path) -> None:
    env = make_env(secret=secrets.new())
    with pytest.raises(SecretError, match=r"exams come from another secret, whose SHA-256 is [0-9a-f]{64}\. Make"):
        env.restore(cut)
    setup = json.loads((cut / "episode.json").read_text())
    (cut / "episode.json").write_text(json.dumps(setup | {"secret": None}))
    with pytest.raises(RunError, match="recorded with an older protocol"):
        make_env().restore(cut)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 60}, "allows 60 actions, and this environment 6: make it with max_steps=60"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"budget_scale": float("nan")}, "budget_scale is nan"),
        ({"device": "NVIDIA H200"}, "trained on NVIDIA H200, here it would be cpu"),
        ({"reward_fn": "a:b"}, "rewards come from a:b, this environment's from the objective: make it with the same"),
        ({"task_id": "Toy-0"}, "the task was Toy-0, and is Toy-.* because the domain Toy has changed"),
        ({"packs": ["/somewhere"]}, "names packs of domains, whose code would be run"),
    ],
)
def test_an_environment_that_would_earn_other_rewards_says_what_to_change(
    make_env: MakeEnv, cut: Path, changes: dict[str, Any], message: str
) -> None:
    setup = json.loads((cut / "episode.json").read_text())
    (cut / "episode.json").write_text(json.dumps(setup | changes))
    env = make_env()
    with pytest.raises(RunError, match=message):
        env.restore(cut)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.observe()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("features.py", "import os\n", "modules of the task: features.py, line 1: 'os' cannot be imported here"),
        ("features.py", "x" * 70_000, "the limit is 65536"),
        ("other.py", "", "holds features.py, model.py, other.py, but those of the task are features.py, model.py"),
        ("features.py", b"\xff", "not UTF-8, so this is no module"),
    ],
)
def test_modules_of_a_run_are_checked_as_edits_are(
    make_env: MakeEnv, make_variant: MakeVariant, actions: list[Any], name: str, text: str | bytes, message: str
) -> None:
    make_variant("Toy", change=lambda content: content.update(imports=["numpy"]))
    env = make_env()
    env.reset(seed=3)
    env.step(actions[0])
    assert env.run_directory is not None
    (env.run_directory / "files" / "step_001" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError, match=message):
        make_env().restore(env.run_directory)


def test_an_episode_that_the_machine_failed_goes_on_before_the_failure(
    make_env: MakeEnv, actions: list[Any], whole: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env()
    env.reset(seed=3)
    play(env, actions[:4])
    with monkeypatch.context() as patch:

        def fail(*arguments: object, **more: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("discoenv.episodes.evaluation.materialise", fail)
        assert "infra_error" in env.step("submit")[-1]
    assert env.run_directory is not None
    other = make_env()
    other.restore(env.run_directory)
    assert play(other, actions[4:]) == whole[4:]


def test_saving_and_forking_need_an_episode_and_a_place(make_env: MakeEnv, actions: list[Any], tmp_path: Path) -> None:
    env = make_env()
    for method in (env.fork, env.observe, lambda: env.save(tmp_path / "saved")):
        with pytest.raises(gymnasium.error.ResetNeeded):
            method()
    env.reset(seed=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for path in (tmp_path / "full", tmp_path / "full" / "file", tmp_path / "full" / "file" / "below"):
        with pytest.raises(RecordError, match="no run can be recorded there"):
            env.save(path)
    play(env, ["submit"])
    with pytest.raises(gymnasium.error.ResetNeeded, match="fork it before its last step"):
        env.fork()
    assert env.save(tmp_path / "over").is_dir()
    with pytest.raises(ValueError, match="leave those out"):
        env.reset(seed=0, options={"restore": tmp_path / "over"})


def test_later_resets_of_a_fork_are_those_of_its_origin(sandbox: Sandbox, make_env: MakeEnv) -> None:
    env = make_env(task=None, domain="Toy", scale="tiny")
    env.reset(seed=5)
    with contextlib.closing(env.fork()) as fork:
        ids = [each.reset()[1]["task_id"] for each in (env, fork)]
    assert ids[0] == ids[1]
    assert np.isfinite(float(env.observe()[0]["score"]))
