"""A command imports what it uses, when it is invoked; the list of commands imports none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import get_args

import pytest

from discoenv.cli import options
from discoenv.cli.main import Commands
from discoenv.machine.devices import DeviceChoice
from discoenv.tasks.specification import SCALES
from tests.cli.commands import invoke

#: What takes long to import. Typer needs pydantic for options that have values, and rich for help and errors.
HEAVY = {"numpy", "gymnasium", "jax", "torch", "yaml", "pydantic", "rich", "docker", "packaging"}
REPORT = """
import json, sys
from discoenv.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules}), [*sys.modules]]), file=sys.stderr)
"""


def imported(*arguments: str) -> tuple[set[str], set[str]]:
    """The packages and the modules that a fresh process has imported after a command that succeeds."""
    command = [sys.executable, "-c", REPORT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    code, packages, modules = json.loads(done.stderr.splitlines()[-1])
    assert code in (0, None)
    return set(packages), set(modules)


def test_get_domains_imports_nothing_heavy() -> None:
    packages, modules = imported("get-domains")
    assert packages & HEAVY == set()
    assert "discoenv.tasks.registry" in modules


def test_help_imports_no_command() -> None:
    packages, modules = imported("--help")
    assert packages & HEAVY <= {"rich", "pydantic"}
    assert {name for name in modules if name.startswith("discoenv.")} == {
        "discoenv.cli",
        "discoenv.cli.loading",
        "discoenv.cli.main",
        "discoenv.errors",
        "discoenv.machine",
        "discoenv.machine.streams",
        "discoenv.registration",
        "discoenv.text",
    }


@pytest.mark.parametrize("arguments", [["data", "where"], ["gc"], ["get-modules"]], ids=" ".join)
def test_commands_that_compute_nothing_do_without_numpy_and_gymnasium(arguments: list[str]) -> None:
    packages, _ = imported(*arguments)
    assert packages & {"numpy", "gymnasium", "jax", "torch"} == set()


@pytest.mark.parametrize("name", Commands.deferred)
def test_the_list_of_commands_shows_their_own_help(name: str) -> None:
    entry = Commands.deferred[name]
    command = entry.load(name)
    assert command.name in (name, "")
    assert command.help == entry.help
    assert "\n" not in entry.help


@pytest.mark.parametrize("name", Commands.deferred)
def test_every_command_has_help(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0, result.output
    assert f"discoenv {name}" in result.stdout.replace("root", "discoenv")


def test_a_misspelt_command_is_corrected() -> None:
    result = invoke("get-domain")
    assert result.exit_code == 2
    assert "No such command 'get-domain'. Did you mean 'get-domains'" in " ".join(result.stderr.split())


def test_choices_are_those_of_the_library() -> None:
    assert tuple(options.ScaleName) == SCALES
    assert tuple(options.DeviceName) == get_args(DeviceChoice)
