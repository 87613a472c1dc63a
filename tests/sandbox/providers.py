"""The providers that the tests of this folder are run with, and what a test needs to speak to any of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from discoenv.sandbox import Command, Mount
from discoenv.sandbox.containers.docker import DockerSandbox, PodmanSandbox
from discoenv.sandbox.local import bubblewrap
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox.local.cgroup import usable_place

#: The checkout, of which no command may see anything.
REPOSITORY = Path(__file__).resolve().parents[2]
#: The image of learners that the engine has; bubblewrap shows the host's packages to every family.
FAMILY = "sklearn"
#: The engine that is tried: Docker, or Podman with ``DISCOENV_TEST_PROVIDER=podman``.
CONTAINERS: type[DockerSandbox] = {"docker": DockerSandbox, "podman": PodmanSandbox}[
    os.environ.get("DISCOENV_TEST_PROVIDER", "docker")
]

_IN_CONTAINERS = pytest.param(CONTAINERS.name, marks=pytest.mark.docker)
#: Parameters of the fixture ``provider``: every provider that isolates.
PROVIDERS = ("bubblewrap", _IN_CONTAINERS)
#: Bubblewrap with its limits held by control groups, and again by watching ``/proc``.
WAYS_OF_COUNTING = ("cgroup", "watched")
#: A mark for tests of limits: every provider that isolates, and every way of counting.
counted_in_every_way = pytest.mark.parametrize("provider", (*WAYS_OF_COUNTING, _IN_CONTAINERS), indirect=True)


def local(way: str, monkeypatch: pytest.MonkeyPatch) -> type[BubblewrapSandbox]:
    """Bubblewrap, as it is (``bubblewrap``) or with one of ``WAYS_OF_COUNTING``; skips where that does not work."""
    check = BubblewrapSandbox.check()
    if not check.works:
        pytest.skip(f"bubblewrap does not work here: {check.detail} ({check.fix})")
    if way == "watched":
        monkeypatch.setattr(bubblewrap, "usable_place", lambda: None)
    elif way == "cgroup" and not usable_place():
        pytest.skip("no cgroup can be made here: start the tests with `systemd-run --user --scope -p Delegate=yes`")
    return BubblewrapSandbox


def python(code: str, **options: Any) -> Command:
    """A command that runs Python code in ``/tmp``; ``options`` are fields of :class:`Command`."""
    return Command(("python", "-c", code), **{"cwd": "/tmp", "family": FAMILY, **options})


@dataclass(frozen=True)
class Gate:
    """What a command waits for until the test lets it go on.

    Attributes:
        folder: a folder on the host that others may read; commands see it below ``/gate`` when they have :attr:`mount`.
    """

    folder: Path

    #: Code that waits.
    WAIT = "import os, time\nwhile not os.path.exists('/gate/open'): time.sleep(0.01)\n"

    @property
    def mount(self) -> Mount:
        """The gate, seen from inside."""
        return Mount(self.folder, "/gate")

    def open(self) -> None:
        """Let them go on."""
        (self.folder / "open").touch()
