"""What all commands share: errors are one message that says what to do, usage is checked, help is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from discoenv.tasks.domain import Domain
from tests.cli.commands import fails, invoke


def test_errors_are_one_message_with_exit_code_1(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cannot be read as a task's YAML file" in fails(capsys, "exam", tmp_path)
    assert "no dataset is called 'Lien' in" in fails(capsys, "exam", workspace, "--dataset", "Lien")
    assert "there is no sandbox named 'buble'" in fails(capsys, "exam", workspace, "--sandbox", "buble")
    assert "did you mean 'Toy'" in fails(capsys, "calibrate", "Tyo")
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


def test_wrong_usage_is_reported(toy: Domain) -> None:
    for arguments in (["exma"], ["exam", "--sed", "1"], ["exam", "--seed", "-1"], ["calibrate", "Toy", "--seeds", "0"]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "Usage:" in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "choices"),
    [
        (["calibrate", "Toy", "--scale", "tiny", "--scale"], ["tiny", "small", "full"]),
        (["audit", "Toy", "--scale"], ["tiny", "small", "full"]),
        (["bench", "run", "--scale"], ["tiny", "small", "full"]),
        (["mcp", "--scale"], ["tiny", "small", "full"]),
        (["count-tasks", "--scale"], ["tiny", "small", "full"]),
        (["exam", "--device"], ["auto", "cpu", "gpu"]),
        (["replay", "somewhere", "--device"], ["auto", "cpu", "gpu"]),
        (["image", "list", "--engine"], ["docker", "podman"]),
        (["image", "build", "--engine"], ["docker", "podman", "apptainer"]),
    ],
    ids=" ".join,
)
def test_a_value_that_is_no_choice_is_named_with_the_choices(
    toy: Domain, monkeypatch: pytest.MonkeyPatch, arguments: list[str], choices: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = invoke(*arguments, "lien")
    assert result.exit_code == 2
    assert f"'lien' is not one of {', '.join(map(repr, choices))}." in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["exam", "--help"], ["replay", "--help"], ["calibrate", "--help"]])
def test_help_is_there(arguments: list[str]) -> None:
    assert "Usage:" in invoke(*arguments).stdout
