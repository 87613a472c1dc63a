"""The ``docker`` and ``podman`` providers: containers without network, privileges or a writable root.

Who runs inside: uid 65534 (nobody) if discoenv is root, else the user who runs discoenv; see :mod:`.mounts`. Nothing of
discoenv is in the images, and the examiner stays a process of the host: its folder and its Unix socket are mounted.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from discoenv.errors import SandboxError, SandboxUnavailable
from discoenv.sandbox.base import Check, Command, Limits, Running, Sandbox
from discoenv.sandbox.containers import images
from discoenv.sandbox.containers.container import (
    LAUNCHER,
    OWN_PROCESSES,
    Container,
    ContainerRunning,
    Recipe,
    instructions,
    told,
)
from discoenv.sandbox.containers.engine import Engine, labels
from discoenv.sandbox.containers.pool import ContainerPool
from discoenv.sandbox.inventory import remove_abandoned_folders
from discoenv.sandbox.local.running import OPEN_FILES
from discoenv.sandbox.local.supervised import LiveCommands
from discoenv.sandbox.mounts import NOBODY, check_mount, lend

# What the engines mask by default, and what else reveals the machine.
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kallsyms",
    "/proc/cmdline",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/etc/resolv.conf",
]
# Prints the paths that show something.
_LOOK = """
import os, sys
assert os.path.isdir(sys.argv[1]), "the packages are not where they should be"
for path in sys.argv[2:]:
    if (os.path.isdir(path) and os.listdir(path)) or (os.path.isfile(path) and os.path.getsize(path)):
        print(path)
"""
_WHERE = """
import json, os, site, sys, sysconfig
places = [sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"], *site.getsitepackages()]
assert sys.version_info >= (3, 8), "it is too old: Python " + sys.version.split()[0]
print(json.dumps([sys.executable, *(place for place in places if os.path.isdir(place))]))
"""
# Says that it runs, and becomes the interpreter that an image's author put first.
_FIND = """echo
PATH={path}
for name in python3 python; do
  found=$(command -v $name) && exec env -i "$found" -I -c {code} </dev/null
done
echo "there is no python3 on its PATH, $PATH" >&2
exit 127
"""
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


class DockerSandbox(Sandbox):
    """Runs commands in containers of the local Docker engine.

    Args:
        pool_size: containers kept started ahead for each kind of command; each serves one command only.
        runtime: the engine's name of another runtime, for example ``runsc`` for gVisor.
        url: ``unix://…`` of the engine; default: ``DOCKER_HOST``, or the usual sockets.
    """

    name: ClassVar[str] = "docker"
    own_packages: ClassVar[bool] = True

    def __init__(self, *, pool_size: int = 0, runtime: str = "", url: str = "") -> None:
        self._runtime = runtime
        self._url = url
        self._run_id = uuid.uuid4().hex[:12]
        self._live = LiveCommands()
        self._lock = threading.Lock()
        self._connected: Engine | None = None
        self._images: dict[tuple[str, str], images.Contents] = {}
        self._masked: set[tuple[str, tuple[str, ...]]] = set()
        self._pool = ContainerPool(pool_size)

    @classmethod
    def check(cls) -> Check:
        """Ask the engine, and look for an image of any family. Never raises."""
        try:
            engine = Engine(cls.name)
            unlimited = engine.missing_limits()
            found = images.listed(engine.client)
        except SandboxUnavailable as error:
            reason, _, fix = str(error).rpartition(": ")
            return Check(cls.name, False, reason, fix)
        except Exception as error:
            return Check(cls.name, False, f"{type(error).__name__}: {error}", "see the engine's log")
        version = f"{cls.name} {engine.information.get('ServerVersion', '')}".strip()
        if unlimited:
            fix = "run the engine as root, or give the user's systemd control groups (cgroup v2, Delegate=yes)"
            return Check(cls.name, False, f"{version} cannot limit {', '.join(unlimited)}", fix)
        current = sorted({image.family for image in found if image.current})
        if not current:
            detail = f"{version}, but no image of learners" + (" is up to date" if found else "")
            return Check(cls.name, False, detail, "discoenv image build")
        return Check(cls.name, True, f"{version}, images: {', '.join(current)}")

    def start(self, command: Command, limits: Limits) -> Running:
        """Start ``command`` in a separate container and return once it runs.

        Raises:
            SandboxUnavailable: no engine answers here, or it has no image of the command's family or name, or that has
                no interpreter; or the command names an interpreter.
            SandboxError: the container could not be set up: a mount's source is missing, ``cwd`` does not exist
                inside, or the engine refuses (the message says what it said).
        """
        images.refuse_interpreter(command)
        engine = self._engine()
        for mount in command.mounts:
            check_mount(mount)
            if os.geteuid() == 0 and not engine.rootless:
                lend(mount)
        contents = self._contents(engine, command.family, command.image)
        environment = images.environment(command.env, limits, contents)
        argv = images.argv_inside(command.argv, contents.python)
        line = instructions(contents.python, argv, command.cwd, environment)
        config = self._configuration(engine, command, limits, contents)
        self._require_masks(engine, command, config, contents)
        container = self._pool.take(engine, config, limits.processes, command.mounts)
        running = ContainerRunning(container, line, limits, self._pool.refill)
        self._live.add(running)
        return running

    def warm_up(self, command: Command, limits: Limits) -> None:
        """Start the containers of the pool for commands like this one, and return when they wait."""
        engine = self._engine()
        contents = self._contents(engine, command.family, command.image)
        config = self._configuration(engine, command, limits, contents)
        self._pool.prepare(engine, config, limits.processes, command.mounts)

    def close(self) -> None:
        """Kill what still runs or waits."""
        self._live.kill_all()
        self._pool.close()

    def _engine(self) -> Engine:
        with self._lock:
            if self._connected is None:
                engine = Engine(self.name, self._url)
                if unlimited := engine.missing_limits():
                    raise SandboxUnavailable(f"this {self.name} engine cannot limit {', '.join(unlimited)}")
                engine.reap()
                remove_abandoned_folders()
                self._connected = engine
            return self._connected

    def require_image(self, image: str) -> None:
        """Look into an image once, see :meth:`Sandbox.require_image`."""
        if image:
            self._contents(self._engine(), "", image)

    def _contents(self, engine: Engine, family: str, image: str) -> images.Contents:
        """What is in the image of a family, or in the one of that name."""
        key = ("", image) if image else (family, "")
        with self._lock:
            if key not in self._images:
                self._images[key] = (
                    self._looked_into(engine, image)
                    if image
                    else images.Contents(images.find(engine.client, family).id)
                )
            return self._images[key]

    def _looked_into(self, engine: Engine, image: str) -> images.Contents:
        """What is in an image that a pack names.

        Raises:
            SandboxUnavailable: there is none of that name, or it has no interpreter that starts.
        """
        id_ = images.named(engine.client, image, engine.name)
        environment = images.named_environment(engine.client, id_)
        limits = Limits(wall_s=60.0)
        config = self._configuration(engine, Command((), "/"), limits, images.Contents(id_))
        text = _FIND.format(
            path=shlex.quote(environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")), code=shlex.quote(_WHERE)
        )
        said = "it needs /bin/sh, and python3 on its PATH"
        try:
            running = ContainerRunning(
                Container(engine, Recipe(config, limits.processes)), told(text), limits, lambda: None
            )
            self._live.add(running)
            outcome = running.wait()
            said = outcome.stderr.strip()[-300:] or said
            executable, *places = json.loads(outcome.stdout.splitlines()[-1])
        except (SandboxError, ValueError, IndexError) as error:
            said = str(error) if isinstance(error, SandboxError) else said
            raise SandboxUnavailable(f"the image {image} has no interpreter that starts: {said}") from error
        return images.Contents(id_, executable, tuple(dict.fromkeys(places)), ("discoenv", "discoenv.py"), environment)

    def _require_masks(
        self, engine: Engine, command: Command, config: dict[str, Any], contents: images.Contents
    ) -> None:
        """Look once into a container whether hidden packages are: runtimes silently pass over what they do not mask."""
        hidden = (*command.hidden_packages, *contents.hidden)
        key = (config["Image"], hidden)
        if not hidden or key in self._masked:
            return
        expected = contents.packages[0] if contents.hidden else f"{contents.packages[0]}/numpy"
        argv = (contents.python, "-c", _LOOK, expected, *images.hidden_paths(hidden, contents.packages))
        limits = Limits(wall_s=60.0)
        environment = images.environment({}, limits, contents)
        line = instructions(contents.python, argv, "/tmp", environment)  # noqa: S108 (inside)
        running = ContainerRunning(Container(engine, Recipe(config, limits.processes)), line, limits, lambda: None)
        self._live.add(running)
        outcome = running.wait()
        if outcome.exit_code != 0 or outcome.stdout:
            seen = outcome.stdout.strip() or outcome.stderr.strip()[-300:] or outcome.reason
            raise SandboxError(
                f"{engine.name} does not hide what must be hidden in the image {config['Image']}: {seen}"
            )
        self._masked.add(key)

    def _configuration(
        self, engine: Engine, command: Command, limits: Limits, contents: images.Contents
    ) -> dict[str, Any]:
        """Body of the engine's request, without mounts."""
        hidden = (*command.hidden_packages, *contents.hidden)
        scratch = max(limits.scratch_bytes, 4096)
        host: dict[str, Any] = {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={scratch},mode=1777"},  # noqa: S108 (inside)
            "ShmSize": scratch,
            "IpcMode": "private",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "MaskedPaths": [*_MASKED, *images.hidden_paths(hidden, contents.packages)],
            "ReadonlyPaths": _READ_ONLY,
            "Memory": limits.memory_bytes,
            "MemorySwap": limits.memory_bytes,
            "NanoCpus": int(min(limits.cpus, engine.cpus) * 1e9),
            "PidsLimit": limits.processes + OWN_PROCESSES,
            "Ulimits": [
                {"Name": name, "Soft": value, "Hard": value}
                for name, value in (
                    ("fsize", limits.file_bytes),
                    ("nofile", OPEN_FILES),
                    ("core", 0),
                    ("msgqueue", 0),  # /dev/mqueue would be a place to write to that nothing bounds
                )
            ],
            "Init": True,
            "LogConfig": {"Type": "none", "Config": {}},
            "AutoRemove": False,  # how it ended is asked for afterwards
        }
        if self._runtime:
            host["Runtime"] = self._runtime
        if command.gpus:
            host["DeviceRequests"] = [{"DeviceIDs": list(command.gpus), "Capabilities": [["gpu"]]}]
        if limits.cores and engine.information.get("CPUSet") and max(limits.cores) < engine.cpus:
            host["CpusetCpus"] = ",".join(map(str, limits.cores))
        host |= self._dialect(engine, host)
        return {
            "Image": contents.id,
            "Entrypoint": ["/bin/sh", "-c", LAUNCHER],
            "Cmd": [],
            "User": _user(engine),
            "Hostname": "sandbox",
            "WorkingDir": "/tmp",  # noqa: S108 (inside)
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "NetworkDisabled": True,
            "Labels": labels(self._run_id),
            "HostConfig": host,
        }

    def _dialect(self, engine: Engine, host: Mapping[str, Any]) -> dict[str, Any]:
        """What differs in the requests to another engine than Docker."""
        return {}


class PodmanSandbox(DockerSandbox):
    """Runs commands in containers of Podman, through its Docker-compatible socket."""

    name: ClassVar[str] = "podman"

    def _dialect(self, engine: Engine, host: Mapping[str, Any]) -> dict[str, Any]:
        masks = ":".join(host["MaskedPaths"])
        # By default Podman asks for more processes per user than a host may grant; PidsLimit is what bounds them.
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        allowed = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        changed: dict[str, Any] = {
            "SecurityOpt": ["no-new-privileges", f"mask={masks}"],
            "Ulimits": [*host["Ulimits"], {"Name": "nproc", "Soft": most, "Hard": most}],
            # It makes these writable in containers whose root is read-only.
            "Tmpfs": host["Tmpfs"] | dict.fromkeys(("/run", "/var/tmp"), "ro,size=4k"),  # noqa: S108 (inside)
        }
        if engine.rootless:
            changed["UsernsMode"] = "keep-id"  # the user's files belong to the same user inside
        return changed


def _user(engine: Engine) -> str:
    if os.geteuid() == 0 or (engine.rootless and engine.name == "docker"):
        return f"{NOBODY}:{NOBODY}"
    return f"{os.geteuid()}:{os.getegid()}"
