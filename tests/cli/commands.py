"""The ``discoenv`` command within this process: as Typer's runner calls it, and as a user does."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from discoenv.cli.main import app, main


def invoke(*arguments: object) -> Result:
    """Run the command; its output, its exit code and its exception are in the result."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command as a user does; expects exit code 1, nothing on stdout, and a message without a traceback."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    stdout, stderr = capsys.readouterr()
    assert caught.value.code == 1
    assert stdout == ""
    assert stderr.startswith("error: ")
    return stderr.removeprefix("error: ")
