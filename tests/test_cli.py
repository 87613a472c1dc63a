"""The ``discoenv`` command: results on stdout, everything else on stderr, and errors that a user can mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from discoenv import objectives
from discoenv.cli.main import app, main
from discoenv.env import DiscoGenEnv
from discoenv.sandbox.base import Check, Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.conftest import POLYNOMIAL_FEATURES, TOY, MakeVariant


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs the command as a user does; expects exit code 1, nothing on stdout, and a message without a traceback."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    stdout, stderr = capsys.readouterr()
    assert caught.value.code == 1
    assert stdout == ""
    assert stderr.startswith("error: ")
    return stderr.removeprefix("error: ")


@pytest.fixture
def workspace(task: Task, tmp_path: Path) -> Path:
    """A workspace of two datasets, whose modules are the base ones."""
    wide = task.model_copy(update={"meta_train": ("Line", "Steps")})
    return materialise(wide, tmp_path / "workspace", modules=base_modules(task))


# ---- exam


def test_exam_prints_json_and_nothing_else(workspace: Path, sandbox: Sandbox) -> None:
    result = invoke("exam", workspace, "--sandbox", sandbox.name)
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["errors"] == {}
    assert printed["results"].keys() == {"Line", "Steps"}
    assert printed["results"]["Line"].keys() == {"r2", "mse", "seconds"}
    assert printed["results"]["Line"]["r2"] > 0.9
    assert "Line …" in result.stderr


def test_exam_can_be_limited_to_a_dataset_and_repeated_by_seed(workspace: Path, sandbox: Sandbox) -> None:
    def r2(seed: int) -> Any:
        result = invoke("exam", workspace, "--dataset", "Line", "--seed", seed, "--sandbox", sandbox.name)
        return json.loads(result.stdout)["results"]["Line"]["r2"]

    assert r2(3) == r2(3) != r2(4)


def test_exam_tells_what_went_wrong_with_a_module(workspace: Path, sandbox: Sandbox) -> None:
    (workspace / "discovered" / "model.py").write_text("raise ValueError('boom [/bold]')\n")
    printed = json.loads(invoke("exam", workspace, "--dataset", "Line", "--sandbox", sandbox.name).stdout)
    assert printed["results"] == {}
    assert printed["errors"]["Line"].startswith("error: ValueError: boom [/bold]\nTraceback")


def test_exam_has_a_budget(workspace: Path, sandbox: Sandbox) -> None:
    (workspace / "discovered" / "model.py").write_text("while True: pass\n")
    command = ["exam", workspace, "--dataset", "Line", "--budget", "0.5", "--sandbox", sandbox.name]
    assert json.loads(invoke(*command).stdout)["errors"]["Line"].startswith("timeout: the compute budget was spent")


def test_run_main_does_the_same_in_any_directory(workspace: Path, tmp_path: Path) -> None:
    program = f"""
import runpy, sys
from pathlib import Path
from discoenv.tasks import registry
registry.BUILTIN = Path({str(TOY)!r})
sys.argv = ["run_main.py", *sys.argv[1:]]
runpy.run_path({str(workspace / "run_main.py")!r}, run_name="__main__")
"""
    command = [sys.executable, "-c", program, "--dataset", "Line"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["Line"]["r2"] > 0.9
    command[-1] = "Lien"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no dataset is called 'Lien'")


# ---- errors


def test_errors_are_one_message_with_exit_code_1(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cannot be read as a task's YAML file" in fails(capsys, "exam", tmp_path)
    assert "no dataset is called 'Lien' in" in fails(capsys, "exam", workspace, "--dataset", "Lien")
    assert "there is no sandbox named 'buble'" in fails(capsys, "exam", workspace, "--sandbox", "buble")
    assert "did you mean 'Toy'" in fails(capsys, "calibrate", "Tyo")
    assert "no scale is called 'big'" in fails(capsys, "calibrate", "Toy", "--scale", "big")
    assert "no backend is called 'jax' in Toy" in fails(capsys, "calibrate", "Toy", "--backend", "jax")
    assert "task.yaml is missing, so this is not a run directory" in fails(capsys, "replay", tmp_path)


def test_an_error_message_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], toy: Domain) -> None:
    """Neither wrapped at 80 columns nor read as markup."""
    folder = (
        tmp_path / "[bold]a folder[" / "] with a [rather] long name, which would not fit into one line of a terminal"
    )
    folder.mkdir(parents=True)
    assert fails(capsys, "exam", folder) == (
        f"{folder}/task.yaml: cannot be read as a task's YAML file (No such file or directory)\n"
    )


def test_wrong_usage_is_told(toy: Domain) -> None:
    for arguments in (["exma"], ["exam", "--sed", "1"], ["exam", "--seed", "-1"], ["calibrate", "Toy", "--seeds", "0"]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "Usage:" in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["exam", "--help"], ["replay", "--help"], ["calibrate", "--help"]])
def test_help_is_there(arguments: list[str]) -> None:
    assert "Usage:" in invoke(*arguments).stdout


# ---- doctor


def test_doctor_shows_sandboxes_and_domains(toy: Domain, sandbox: Sandbox) -> None:
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    assert sandbox.name in result.stdout
    assert "Toy" in result.stdout
    assert "4 datasets" in result.stdout


def test_doctor_fails_if_no_sandbox_isolates_and_says_what_to_type(
    toy: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [Check("bubblewrap", False, "bwrap is not there", "apt install bubblewrap"), Check("process", True, "")]
    monkeypatch.setattr(main, "checks", lambda: checks)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "apt install bubblewrap" in " ".join(result.stdout.split())


def test_doctor_names_what_a_domain_needs(make_variant: MakeVariant) -> None:
    make_variant("Toy", change=lambda c: c["requirements"].append("no-such-package>=2"))
    output = invoke("doctor").stdout
    assert "needs no-such-package" in output
    assert "discoenv[sklearn]" in output.replace("\n", "")


def test_quiet_doctor_says_nothing_if_all_is_well(toy: Domain) -> None:
    assert invoke("doctor", "--quiet").output == ""


# ---- calibrate and replay


def test_calibrate_local_writes_to_the_users_cache_and_nowhere_else(
    make_variant: MakeVariant, sandbox: Sandbox, tmp_path: Path
) -> None:
    domain = make_variant("Toy", files={"baselines.json": None})
    options = ["--dataset", "Line", "--scale", "tiny", "--seeds", "1", "--local", "--sandbox", sandbox.name]
    result = invoke("calibrate", "Toy", *options)
    assert result.exit_code == 0, result.output
    assert "Toy default Line tiny on cpu: floor" in result.stdout
    assert not (domain.directory / "baselines.json").exists()
    path = baselines.local_path(domain)
    assert path.is_relative_to(tmp_path / "cache")
    assert list(json.loads(path.read_text())) == ["default:Line:tiny"]
    assert baselines.has_entry(Setting(domain, "default", "Line", "tiny"))


def test_calibrate_writes_to_the_domain_and_keeps_its_other_entries(
    make_variant: MakeVariant, sandbox: Sandbox, tmp_path: Path
) -> None:
    domain = make_variant("Toy")
    path = domain.directory / "baselines.json"
    before = json.loads(path.read_text())
    options = ["--dataset", "Line", "--scale", "tiny", "--seeds", "1", "--sandbox", sandbox.name]
    assert invoke("calibrate", "Toy", *options).exit_code == 0
    after = json.loads(path.read_text())
    assert after.keys() == before.keys()
    assert len(after["default:Line:tiny"]["seeds"]) == 1
    assert after["default:Wave:tiny"] == before["default:Wave:tiny"]
    assert not (tmp_path / "cache" / "discoenv" / "baselines").exists()


def test_calibrate_shows_why_a_base_module_failed(
    make_variant: MakeVariant, toy: Domain, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = toy.module_source("model", backend="default").replace("RIDGE * np", "RIDGE[0] * np")
    make_variant("Toy", files={"templates/default/model.py": broken})
    error = fails(capsys, "calibrate", "Toy", "--dataset", "Line", "--scale", "tiny", "--sandbox", sandbox.name)
    assert "Toy, Line, default, tiny, seed 0: TypeError: 'float' object is not subscriptable" in error
    assert "gram = phi.T @ phi + RIDGE[0] * np.eye(phi.shape[1])" in error


def test_replay_gives_the_recorded_reward(task: Task, sandbox: Sandbox, tmp_path: Path) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path)
    _, info = env.reset(seed=11)
    modules = base_modules(task) | {"features.py": POLYNOMIAL_FEATURES}
    edits = [{"path": name, "content": text} for name, text in modules.items()]
    _, reward, *_ = env.step({"edits": edits, "command": "submit"})
    env.close()
    result = invoke("replay", info["run_directory"])
    assert result.exit_code == 0, result.output
    assert f"reward: recorded {reward:.6f}, again {reward:.6f}" in result.stdout
    assert "Wave" in result.stdout


def shortest(task: Task, scores: Any, modules: Any) -> objectives.Reward:
    """A reward function of a user."""
    return objectives.Reward(-float(sum(len(text) for text in modules.values())), {})


def test_replay_takes_the_users_reward_function(
    task: Task, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path, reward_fn=shortest)
    _, info = env.reset(seed=11)
    _, reward, *_ = env.step("submit")
    env.close()
    run, name = info["run_directory"], f"{__name__}:shortest"
    result = invoke("replay", run)
    assert f"recorded {reward:.6f}, again 0.000000" in result.stdout
    assert f"The recorded reward was made by {name}," in " ".join(result.stderr.split())
    result = invoke("replay", run, "--reward-fn", name)
    assert f"recorded {reward:.6f}, again {reward:.6f}" in result.stdout
    assert "made by" not in result.stderr
    for wrong, message in (("nowhere:f", "No module named 'nowhere'"), ("math:pi", "is float, which cannot be called")):
        assert f"--reward-fn {wrong}: {message}" in fails(capsys, "replay", run, "--reward-fn", wrong)


def test_replay_scores_a_run_that_was_cut_off(task: Task, sandbox: Sandbox, tmp_path: Path) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path)
    _, info = env.reset(seed=11)
    env.close()
    with (Path(info["run_directory"]) / "episode.jsonl").open("a") as file:
        file.write('{"event": "st')
    result = invoke("replay", info["run_directory"])
    assert "reward: recorded not finished, again 0.000000" in result.stdout


def test_gc_removes_what_killed_processes_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Domain) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    (tmp_path / f"discoenv-{namespace}-{os.getpid()}-1-orphan").mkdir()
    result = invoke("gc")
    assert result.exit_code == 0
    assert "removed 1" in result.stdout
    assert not list(tmp_path.glob("discoenv-*"))


# ---- doctor --fix


@pytest.mark.parametrize("root", [True, False], ids=["as root", "with sudo"])
def test_doctor_installs_bubblewrap_without_asking_and_with_fresh_lists(
    root: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Domain
) -> None:
    log = tmp_path / "log"
    programs = {
        "apt-get": f"""echo "apt-get $*" >> {log}
            [ "$1" = update ] && touch {tmp_path}/lists
            test -e {tmp_path}/lists""",
        "sudo": '[ "$1" = -n ] && exit 0\nexec "$@"\n',
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    broken = [
        Check("docker", False, "no engine", "sudo something else"),
        Check("bubblewrap", False, "bwrap is missing", "sudo apt-get install bubblewrap"),
    ]
    answers = iter([broken, [Check("bubblewrap", True, "works")]])
    monkeypatch.setattr(main, "checks", lambda: next(answers))
    result = invoke("doctor", "--fix", "--quiet")
    assert result.exit_code == 0
    assert log.read_text().splitlines() == [
        "apt-get install -y bubblewrap",
        "apt-get update",
        "apt-get install -y bubblewrap",
    ]
