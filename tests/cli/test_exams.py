"""``discoenv exam`` and ``calibrate``: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from discoenv.exams import secrets
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting
from tests.cli.commands import fails, invoke
from tests.conftest import TOY, MakeVariant


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


def test_exams_by_hand_are_those_of_a_secret_and_not_of_a_public_number(
    workspace: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(secrets.VARIABLE)

    def r2(name: str) -> Any:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name))
        result = invoke("exam", workspace, "--dataset", "Line", "--sandbox", sandbox.name)
        assert "seed" not in result.output
        return json.loads(result.stdout)["results"]["Line"]["r2"]

    assert r2("mine") == r2("mine") != r2("another")
    with Host(sandbox) as host:
        spec = ExamSpec(Setting(get_domain("Toy"), "default", "Line", "tiny"), 0, 60.0)
        assert (host.run(workspace, spec).metrics or {})["r2"] != r2("mine")


def test_exam_reports_what_went_wrong_with_a_module(workspace: Path, sandbox: Sandbox) -> None:
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
