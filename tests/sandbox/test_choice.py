"""Finding a sandbox by name, and what the doctor reports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from discoenv.errors import EntryPointError, SandboxUnavailable
from discoenv.sandbox import AUTO_ORDER, PROVIDERS, Check, Sandbox, checks, get_sandbox
from discoenv.sandbox.containers.docker import DockerSandbox
from discoenv.sandbox.containers.engine import Engine
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox.local.diagnosis import install_command, namespace_obstacle
from discoenv.sandbox.local.process import ProcessSandbox
from tests.conftest import Install


def test_names_find_their_provider() -> None:
    assert isinstance(get_sandbox("process"), ProcessSandbox)
    assert isinstance(get_sandbox("bubblewrap"), BubblewrapSandbox)


def test_a_sandbox_is_passed_through() -> None:
    mine = ProcessSandbox()
    assert get_sandbox(mine) is mine


class BrokenSandbox(ProcessSandbox):
    """A provider that is not installed."""

    name = "broken"

    @classmethod
    def check(cls) -> Check:
        return Check("broken", False, "it never works here", "type this")


@pytest.mark.parametrize("names", ["broken,process", "broken, process", ["broken", "process"], ("broken", "process")])
def test_the_first_of_several_that_works_is_taken(names: str | list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "broken", f"{__name__}:BrokenSandbox")
    assert get_sandbox(names).name == "process"
    assert get_sandbox("broken").name == "broken", "a single name is not tried out"
    for none in (["broken"], "broken,broken"):
        with pytest.raises(SandboxUnavailable, match="no sandbox works on this machine: broken: it never works here"):
            get_sandbox(none)
    with pytest.raises(ValueError, match="no sandbox named 'bubblewarp'"):
        get_sandbox("process,bubblewarp")


def test_auto_among_several_names_tries_all_that_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fail(cls: type[Sandbox]) -> Check:
        tried.append(cls)
        return Check("broken", False, "")

    for name in AUTO_ORDER:
        monkeypatch.setitem(PROVIDERS, name, f"{__name__}:BrokenSandbox")
    monkeypatch.setattr(BrokenSandbox, "check", classmethod(fail))
    assert get_sandbox("auto,process").name == "process"
    assert len(tried) == len(AUTO_ORDER) == 4


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'bubblewrap'"):
        get_sandbox("bublewrap")
    with pytest.raises(ValueError, match="known are auto"):
        get_sandbox("xyzzy")


PROVIDER = """
from discoenv.sandbox.base import Check
from discoenv.sandbox.local.process import ProcessSandbox

class Microvm(ProcessSandbox):
    name = "microvm"

    @classmethod
    def check(cls):
        return Check("microvm", False, "there is no hypervisor", "apt install one")
"""


def test_an_installed_package_adds_a_provider(install: Install) -> None:
    install("microvms", {"discoenv.sandboxes": {"microvm": "microvm_a:Microvm"}}, files={"microvm_a.py": PROVIDER})
    assert get_sandbox("microvm").name == "microvm"
    assert Check("microvm", False, "there is no hypervisor", "apt install one") in checks()
    with pytest.raises(ValueError, match="did you mean 'microvm'"):
        get_sandbox("micrvm")


def test_a_broken_provider_of_an_installed_package_breaks_no_other(install: Install) -> None:
    install("microvms", {"discoenv.sandboxes": {"microvm": "microvm_b:Microvm", "text": "microvm_b:__doc__"}}, files={
        "microvm_b.py": '"""Not a class."""',
    })  # fmt: skip
    with pytest.raises(EntryPointError, match=r"microvms 1\.2 cannot be imported.*update microvms, or uninstall it"):
        get_sandbox("microvm")
    with pytest.raises(EntryPointError, match=r"'Not a class\.', not a subclass of discoenv\.sandbox\.Sandbox"):
        get_sandbox("text")
    assert get_sandbox("process").name == "process"
    found = {check.name: check for check in checks()}
    assert not found["microvm"].works and "update microvms, or uninstall it" in found["microvm"].detail
    assert set(found) == {*PROVIDERS, "microvm", "text"}


def no_engine(*arguments: object) -> None:
    raise SandboxUnavailable("no engine listens: install one")


def test_auto_prefers_docker_if_it_has_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DockerSandbox, "check", classmethod(lambda cls: Check("docker", True, "has an image")))
    assert isinstance(get_sandbox("auto"), DockerSandbox)


def test_auto_never_picks_a_provider_without_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "process" not in AUTO_ORDER
    broken = classmethod(
        lambda cls: Check("bubblewrap", False, "bwrap is not installed", "sudo apt install bubblewrap")
    )
    monkeypatch.setattr(BubblewrapSandbox, "check", broken)
    monkeypatch.setattr(Engine, "__init__", no_engine)
    with pytest.raises(SandboxUnavailable) as caught:
        get_sandbox("auto")
    for part in ("bwrap is not installed", "sudo apt install", "discoenv doctor"):
        assert part in str(caught.value)


def test_auto_picks_what_works(sandbox: BubblewrapSandbox) -> None:
    assert get_sandbox().name in AUTO_ORDER


def test_every_provider_is_checked() -> None:
    assert {check.name for check in checks()} == set(PROVIDERS)
    assert all(check.fix for check in checks() if not check.works)


def test_a_missing_bwrap_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BubblewrapSandbox, "_working", None)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "bwrap" else which(name))
    check = BubblewrapSandbox.check()
    assert not check.works
    assert "bwrap is not installed" in check.detail
    assert "bubblewrap" in check.fix


@pytest.mark.parametrize("manager", ["apt-get", "dnf", "pacman", "zypper", "apk"])
def test_the_package_manager_is_found(monkeypatch: pytest.MonkeyPatch, manager: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == manager else None)
    assert install_command("bubblewrap").startswith(f"sudo {manager}")


@pytest.mark.parametrize(
    ("setting", "value", "fix"),
    [
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ],
)
def test_a_ban_on_namespaces_is_explained(tmp_path: Path, setting: str, value: str, fix: str) -> None:
    file = tmp_path / setting
    file.parent.mkdir()
    file.write_text(value + "\n")
    assert fix in namespace_obstacle(tmp_path)


def test_importing_loads_no_provider() -> None:
    code = "import sys, discoenv.sandbox; print([m for m in sys.modules if m.startswith('discoenv.sandbox.')])"
    repository = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['discoenv.sandbox.cpu_clock', 'discoenv.sandbox.base']"
