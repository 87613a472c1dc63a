"""The connection to a container engine: Docker, or Podman through its Docker-compatible socket."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discoenv.errors import SandboxError, SandboxUnavailable
from discoenv.machine.owner import is_abandoned, owner_tag

if TYPE_CHECKING:
    import docker

#: Labels of everything that we start. The owner is ``<pid namespace>-<pid>-<start>``.
OWNER, HOST, RUN = "discoenv.owner", "discoenv.host", "discoenv.run"
_TIMEOUT_S = 120
_REMOTE = ("tcp://", "ssh://", "http://", "https://", "npipe://")


@dataclass(frozen=True)
class Listed:
    """A container of ours, of whichever owner."""

    id: str
    name: str
    owner: str
    run: str
    image: str
    status: str

    @property
    def abandoned(self) -> bool:
        """Whether its owner is dead; False where that cannot be judged."""
        return is_abandoned(f"discoenv-{self.owner}-")


class Engine:
    """One engine, reached through a Unix socket.

    Args:
        name: ``docker`` or ``podman``.
        url: ``unix://…``; empty to look for it where such engines listen.

    Raises:
        SandboxUnavailable: the SDK is not installed, no engine answers or it is on another machine.
    """

    def __init__(self, name: str, url: str = "") -> None:
        self.name = name
        self.url = url or find_url(name)
        self._clients: dict[int, docker.APIClient] = {}
        with talking(self):
            self.information: dict[str, Any] = self.client.info()

    @property
    def client(self) -> docker.APIClient:
        """The SDK's client of this process; its connection pool may be used by several threads."""
        if os.getpid() not in self._clients:
            self._clients = {os.getpid(): _connect(self.name, self.url)}
        return self._clients[os.getpid()]

    @property
    def rootless(self) -> bool:
        """Whether the engine runs as an ordinary user."""
        return any("rootless" in str(option) for option in self.information.get("SecurityOptions") or [])

    @property
    def cpus(self) -> int:
        """CPU cores of the machine."""
        return int(self.information.get("NCPU") or os.cpu_count() or 1)

    def missing_limits(self) -> list[str]:
        """Limits that this engine cannot hold, because it may not use the kernel's control groups."""
        needed = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "CPU time"}
        return [what for key, what in needed.items() if self.information.get(key) is False]

    def containers(self) -> list[Listed]:
        """Containers of discoenv on this machine, running or not."""
        with talking(self):
            found = self.client.containers(all=True, filters={"label": [OWNER, f"{HOST}={platform.node()}"]})
        return [
            Listed(
                id=each["Id"],
                name=(each.get("Names") or ["/"])[0].lstrip("/"),
                owner=each["Labels"][OWNER],
                run=each["Labels"].get(RUN, ""),
                image=each.get("Image", ""),
                status=each.get("Status") or each.get("State", ""),
            )
            for each in found
        ]

    def remove(self, container: str) -> None:
        """Kill a container whatever it ignores, and return when it is gone. It may be gone already."""
        import docker.errors  # noqa: PLC0415

        with talking(self):
            try:
                self.client.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:  # someone else removes it
                    raise
                with contextlib.suppress(docker.errors.NotFound):
                    self.client.wait(container, condition="removed")

    def reap(self) -> list[str]:
        """Remove the containers of dead owners, and return their names."""
        removed = []
        for container in self.containers():
            if container.abandoned:
                self.remove(container.id)
                removed.append(container.name)
        return removed


def labels(run: str) -> dict[str, str]:
    """Labels of what this process starts now."""
    return {OWNER: owner_tag(), HOST: platform.node(), RUN: run}


def find_url(name: str) -> str:
    """Where an engine listens: what its variable says, or the first socket that exists.

    Raises:
        SandboxUnavailable: it is on another machine, or nothing listens here.
    """
    variable = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}[name]
    chosen = os.environ.get(variable, "")
    if chosen.startswith(_REMOTE):
        raise SandboxUnavailable(
            f"{variable}={chosen} is on another machine, where the exam's folder and socket cannot be mounted: "
            f"run discoenv on that machine, or unset {variable} to use the engine of this one"
        )
    if chosen:
        return chosen if "://" in chosen else f"unix://{chosen}"
    for path in _sockets(name):
        if path.is_socket():
            return f"unix://{path}"
    places = ", ".join(map(str, _sockets(name)))
    raise SandboxUnavailable(f"no {name} engine listens at {places} (and {variable} is not set): {_INSTALL[name]}")


_INSTALL = {
    "docker": "install Docker (https://docs.docker.com/engine/install), then `discoenv image build`",
    "podman": "install Podman, type `systemctl --user enable --now podman.socket`, then `discoenv image build`",
}


def _sockets(name: str) -> list[Path]:
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if name == "podman":
        return [runtime / "podman/podman.sock", Path("/run/podman/podman.sock")]
    return [Path("/var/run/docker.sock"), runtime / "docker.sock"]


def _connect(name: str, url: str) -> docker.APIClient:
    try:
        import docker  # noqa: PLC0415
    except ImportError:
        raise SandboxUnavailable("the Docker SDK is not installed: pip install 'discoenv[docker]'") from None
    try:
        return docker.APIClient(base_url=url, version="auto", timeout=_TIMEOUT_S)
    except docker.errors.DockerException as error:
        hint = "is it running, and may you use it (group `docker`)?"
        raise SandboxUnavailable(f"the {name} engine at {url} does not answer: {_brief(error)}: {hint}") from error


@contextlib.contextmanager
def talking(engine: Engine) -> Iterator[None]:
    """Turn what the SDK raises into a SandboxError that says what the engine said."""
    try:
        yield
    except SandboxError:
        raise
    except Exception as error:
        import docker.errors  # noqa: PLC0415

        if isinstance(error, docker.errors.DockerException):
            raise SandboxError(f"the {engine.name} engine refused: {_brief(error)}") from error
        if isinstance(error, (OSError, ValueError)):  # requests' exceptions are OSErrors
            raise SandboxError(f"the {engine.name} engine at {engine.url} broke off: {_brief(error)}") from error
        raise


def _brief(error: Exception) -> str:
    explanation = getattr(error, "explanation", None)
    return str(explanation or error).strip()[-500:]
