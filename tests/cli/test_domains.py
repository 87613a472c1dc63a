"""``discoenv new-domain`` makes a domain that works; ``discoenv validate`` prints what is wrong and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.errors import DomainError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import new_domain, registry
from discoenv.tasks.domain import Domain
from tests.cli.commands import fails, invoke
from tests.conftest import MakeVariant


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that are loaded here are forgotten."""
    monkeypatch.setattr(registry, "_registered", {})


# ---- validate


def test_checks_are_printed_in_order(toy: Domain, sandbox: Sandbox) -> None:
    result = invoke("validate", "Toy", "--sandbox", sandbox.name)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "✓ names         2 modules, 4 datasets, 1 backend"
    names = [line.split("  ")[0] for line in lines if line[0] in "✓!✗"]
    assert names[-3:] == ["✓ imports", "✓ exams", "✓ stub exams"]
    assert lines[-2:] == ["16 checks: 0 failed, 2 with warnings.", "Next: discoenv audit Toy"]
    at = lines.index("! lists         discobench: it is missing, so the domain has no DiscoBench task and no example")
    assert lines[at + 1] == " " * 16 + "→ name other datasets in domain.yaml, or calibrate these"


def test_what_failed_is_printed_with_what_to_do(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    domain = make_variant(files={"description.md": "TODO", "datasets/Line/interval.py": "1 / 0\n"})
    result = invoke("validate", domain.directory, "--sandbox", sandbox.name, "--no-exams", "--no-baselines")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = lines.index("✗ texts         description.md: 1 word, too few for an agent")
    assert lines[at + 1 : at + 3] == [
        " " * 16 + "description.md: it is unfinished (TODO)",
        " " * 16 + "→ write what an agent needs to get it right at the first try",
    ]
    assert any(line.endswith("importing interval.py raises ZeroDivisionError: division by zero") for line in lines)
    assert lines[-1] == "12 checks: 2 failed, 1 with warnings."


def test_names_between_colons_are_printed_as_they_are(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    domain = make_variant(files={"baselines.json": None})
    result = invoke("validate", domain.directory, "--sandbox", sandbox.name, "--no-exams")
    assert result.exit_code == 1
    assert "default:Wave:tiny is missing" in result.stdout  # ":wave:" is an emoji of rich's


def test_warnings_fail_if_asked_to(toy: Domain, sandbox: Sandbox) -> None:
    arguments = ["validate", "Toy", "--sandbox", sandbox.name, "--no-exams"]
    assert invoke(*arguments).exit_code == 0
    result = invoke(*arguments, "--strict")
    assert result.exit_code == 1
    assert "✗ breadth       2 modules; a domain has four to seven, each with one role" in result.stdout


def test_checks_are_printed_as_json(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    make_variant(change=lambda content: content.update(version=2))
    result = invoke("validate", "Variant", "--sandbox", sandbox.name, "--no-exams", "--json")
    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    assert (printed["domain"], printed["ok"]) == ("Variant", False)
    (failed,) = [check for check in printed["checks"] if check["state"] == "failed"]
    assert failed["name"] == "baselines"
    assert len(failed["detail"].splitlines()) == 8
    assert failed["fix"].startswith("discoenv calibrate Variant")


def test_a_domain_that_cannot_be_read_is_a_failed_check(copy_of_toy: Callable[[str], Path]) -> None:
    folder = copy_of_toy("Toy")
    (folder / "domain.yaml").write_text("name: Toy\n")
    result = invoke("validate", folder)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"✗ domain.yaml   {folder}/domain.yaml: version: Field required\n")
    assert result.stdout.splitlines()[-1] == "1 checks: 1 failed, 0 with warnings."
    (folder / "domain.yaml").unlink()
    result = invoke("validate", folder, "--json")
    assert json.loads(result.stdout)["checks"][0]["name"] == "domain.yaml"


def test_no_code_is_run_before_the_files_are_right(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    make_variant(files={"templates/default/stray.py": ""})
    result = invoke("validate", "Variant", "--sandbox", sandbox.name)
    assert result.exit_code == 1
    assert "imports" not in result.stdout
    assert "No code of the domain was run: these come first." in result.stdout


def test_a_name_that_does_not_exist_is_an_error(toy: Domain, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no domain is called 'Toi'; did you mean 'Toy'" in fails(capsys, "validate", "Toi")


# ---- new-domain


def test_a_new_domain_of_a_pack_works(tmp_path: Path, sandbox: Sandbox) -> None:
    folder = tmp_path / "mine" / "domains"
    folder.mkdir(parents=True)
    result = invoke("new-domain", "FlowMatching", "--into", folder, "--title", "Flow matching: a first try")
    assert result.exit_code == 0, result.output
    assert "discoenv calibrate mine/FlowMatching --seeds 5" in result.stdout
    assert f"export DISCOENV_PACKS={folder}" in result.stdout
    made = folder / "FlowMatching"
    assert not list(made.rglob("__pycache__"))
    assert not any("Template" in path.read_text() for path in made.rglob("*.*"))
    result = invoke("validate", made, "--sandbox", sandbox.name)
    assert result.exit_code == 0, result.output
    domain = registry.get_domain("mine/FlowMatching")
    assert domain.specification.title == "Flow matching: a first try"


def test_the_title_is_the_name_in_words(tmp_path: Path) -> None:
    for name, title in {
        "OffPolicyRL": "Off policy RL",
        "Unlearning": "Unlearning",
        "MetaRLAgents2": "Meta RL agents2",
    }.items():
        folder = new_domain.new_domain(name, tmp_path)
        assert Domain(folder).specification.title == title


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flow", "'flow' is no name of a domain: it is in CamelCase"),
        ("Flow_Matching", "is no name of a domain"),
        ("Flow Matching", "is no name of a domain"),
        ("../Flow", "is no name of a domain"),
        ("Taken", "the name Taken is taken: "),
        ("TAKEN", "the name TAKEN is taken: "),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "Taken").mkdir()
    with pytest.raises(DomainError, match=message):
        new_domain.new_domain(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Taken"]


def test_folders_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "new-domain", "Flow", "--into", tmp_path / "absent")
    assert message == f"{tmp_path}/absent: there is no such folder; make it first: mkdir -p {tmp_path}/absent\n"
    installed = tmp_path / "site-packages" / "discoenv" / "domains"
    installed.mkdir(parents=True)
    monkeypatch.setattr(registry, "BUILTIN", installed)
    assert "name a folder of your own by --into" in fails(capsys, "new-domain", "Flow")
    (tmp_path / "site-packages" / "pyproject.toml").touch()  # now it is a checkout
    result = invoke("new-domain", "Flow")
    assert result.exit_code == 0
    assert "discoenv calibrate Flow --seeds 5" in result.stdout
    assert "DISCOENV_PACKS" not in result.stdout
    assert registry.get_domain("Flow").name == "Flow"
