"""``discoenv doctor``: what works, what is missing, and an installation that asks no questions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from discoenv.cli import doctor
from discoenv.sandbox.base import Check, Sandbox
from discoenv.tasks.domain import Domain
from tests.cli.commands import invoke
from tests.conftest import TOY, MakeVariant


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
    monkeypatch.setattr(doctor, "checks", lambda: checks)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "apt install bubblewrap" in " ".join(result.stdout.split())


def test_doctor_names_what_a_domain_needs(make_variant: MakeVariant) -> None:
    make_variant("Toy", change=lambda c: c["requirements"].append("no-such-package>=2"))
    output = invoke("doctor").stdout
    assert "needs no-such-package" in output
    assert "discoenv[sklearn]" in output.replace("\n", "")


def test_doctor_tries_a_learner_s_imports_in_the_sandbox(
    make_variant: MakeVariant, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    main = (TOY / "Toy/templates/default/main.py").read_text()
    make_variant("Toy", files={"templates/default/main.py": f"import only_here\n{main}"})
    output = " ".join(invoke("doctor").stdout.replace("│", " ").split())
    assert "only_here cannot" in output
    assert "pip install" in output


def test_doctor_names_packages_without_bytecode(
    toy: Domain, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "bytecode" not in invoke("doctor").stdout
    (tmp_path / "numpy").mkdir()
    monkeypatch.setattr(doctor, "_package", lambda name: tmp_path / name if name == "numpy" else None)
    output = " ".join(invoke("doctor").stdout.replace("│", " ").split())
    assert "numpy without compiled" in output
    assert "compileall" in output


def test_quiet_doctor_says_nothing_if_all_is_well(toy: Domain) -> None:
    assert invoke("doctor", "--quiet").output == ""


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
    monkeypatch.setattr(doctor, "checks", lambda: next(answers))
    result = invoke("doctor", "--fix", "--quiet")
    assert result.exit_code == 0
    assert log.read_text().splitlines() == [
        "apt-get install -y bubblewrap",
        "apt-get update",
        "apt-get install -y bubblewrap",
    ]
