"""The example of docs/domain_in_a_day.md: a pack in a package of its own, which passes all checks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from discoenv.cli.main import Commands
from discoenv.errors import DomainError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import new_domain, registry
from discoenv.tasks.domain import Domain
from discoenv.testing import check_domain
from tests.cli.commands import fails, invoke

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "examples/bandit-pack"
FOLDER = PACK / "bandit_pack/domains/Bandits"
GUIDE = (ROOT / "docs/domain_in_a_day.md").read_text(encoding="utf-8")


@pytest.fixture
def bandits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Domain]:
    """The domain of the example, known in this test alone."""
    monkeypatch.setattr(registry, "_registered", {})
    assert registry.load_pack(PACK) == ["bandit_pack/Bandits"]
    yield registry.get_domain("bandit_pack/Bandits")


@pytest.mark.slow
def test_the_example_passes_all_checks_without_a_warning(bandits: Domain, sandbox: Sandbox) -> None:
    checks = check_domain(bandits, sandbox=sandbox.name, strict=True)
    assert {check.state for check in checks} == {"passed"}


@pytest.mark.slow
def test_the_tests_of_the_example_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--override-ini", "addopts=", str(PACK)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_example_is_as_the_command_makes_it(tmp_path: Path) -> None:
    domains = new_domain.new_pack(tmp_path / "bandit-pack")
    assert domains == tmp_path / "bandit-pack/bandit_pack/domains"
    for name in ("pyproject.toml", "bandit_pack/__init__.py"):
        assert (tmp_path / "bandit-pack" / name).read_text() == (PACK / name).read_text()
    assert new_domain.new_pack(tmp_path / "bandit-pack") == domains  # again: nothing is changed


@pytest.mark.slow
def test_its_wheel_brings_the_domain(tmp_path: Path) -> None:
    pytest.importorskip("pip", reason="this environment has no pip, which builds the wheel")
    source = shutil.copytree(PACK, tmp_path / "source")  # building leaves files behind
    options = ["--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], check=True, cwd=tmp_path, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "bandit_pack/domains/Bandits/templates/default/main.py" in names
    assert "bandit_pack/domains/Bandits/baselines.json" in names
    assert not [name for name in names if "/tests/" in name or "__pycache__" in name]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import json, discoenv; print(json.dumps([name for name in discoenv.get_domains() if '/' in name]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)]), registry.VARIABLE: ""},
    )
    assert json.loads(done.stdout) == ["bandit_pack/Bandits"]


def test_a_new_pack_is_made_with_a_domain_that_works(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})  # `validate` makes the pack known
    result = invoke("new-domain", "FlowMatching", "--pack", tmp_path / "flow-pack")
    assert result.exit_code == 0, result.output
    assert "pip install -e " in result.stdout
    assert "DISCOENV_PACKS" not in result.stdout
    made = tmp_path / "flow-pack/flow_pack/domains/FlowMatching"
    assert "noisy" not in (made / "__init__.py").read_text()  # nothing of the template stays
    assert "discoenv calibrate flow_pack/FlowMatching --ladder" in result.stdout
    result = invoke("validate", made, "--no-exams", "--sandbox", sandbox.name)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Bandits", "'Bandits' is no name of a pack: it is in lower case"),
        ("bandit_pack", "is no name of a pack"),
        ("taken", "it exists and is no pack, which would have taken/domains"),
        ("file", "it exists and is no pack"),
        ("absent/pack", "there is no such folder; make it first: mkdir -p "),
    ],
)
def test_packs_that_cannot_be_are_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/work.txt").touch()
    (tmp_path / "file").touch()
    with pytest.raises(DomainError, match=message):
        new_domain.new_pack(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_a_domain_goes_to_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "new-domain", "Flow", "--pack", tmp_path / "a", "--into", tmp_path)
    assert message == "--pack and --into both say where the domain goes: give one of them\n"


@pytest.mark.usefixtures("bandits")
def test_the_command_that_shows_the_example_works() -> None:
    (task,) = re.findall(r"^discoenv show (\S+)$", (PACK / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    result = invoke("show", task)
    assert result.exit_code == 0, result.output
    assert "Multi-armed bandits" in result.stdout
    (played,) = re.findall(r"--tasks (\S+)", GUIDE)
    assert played == task


def test_the_guide_is_about_the_example(bandits: Domain, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(GUIDE.split()) <= 1500
    named = set(re.findall(r"^discoenv ([a-z-]+)", GUIDE, flags=re.MULTILINE))
    assert {"new-domain", "validate", "calibrate", "study", "audit"} <= named <= set(Commands.deferred)
    (configuration,) = re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert yaml.safe_load(configuration) == yaml.safe_load((FOLDER / "datasets/Coins10/config.yaml").read_text())
    (shown,) = re.findall(r"```py\n(.*?)```", GUIDE, flags=re.DOTALL)
    base = (FOLDER / "templates/default/index.py").read_text()
    assert [line for line in shown.splitlines() if '"""' not in line and line not in base] == []
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    exec(code, {})
    printed = float(capsys.readouterr().out.splitlines()[-1])
    assert re.findall(r"# (0\.\d+); the base", code) == [f"{printed:.2f}"]
