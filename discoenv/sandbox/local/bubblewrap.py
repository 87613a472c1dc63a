"""The ``bubblewrap`` provider: Linux namespaces, no daemon, no image; the host's own Python seen read-only.

Who runs inside: uid 1000 of a new user namespace, or, when discoenv runs as root, the host's uid 65534 (nobody)
without a user namespace. The source of a *writable* mount is then given to uid 65534 (chown, recursively), and so is
the top directory of a read-only one that others may not enter; what lies below must be world-readable.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from discoenv.errors import CannotFork, SandboxError, SandboxUnavailable
from discoenv.machine import streams
from discoenv.machine.gpus import device_nodes
from discoenv.machine.processes import Stat, tasks_of
from discoenv.sandbox.base import Check, Command, Limits, Mount, Running, Sandbox
from discoenv.sandbox.environment import minimal_environment
from discoenv.sandbox.local.cgroup import CgroupTree, usable_place
from discoenv.sandbox.local.diagnosis import install_command, namespace_obstacle
from discoenv.sandbox.local.forkserver import ForkServer, ForkServers, WarmServers, place_in
from discoenv.sandbox.local.interpreter import SYSTEM, View, interpreter_view
from discoenv.sandbox.local.running import OPEN_FILES, Launch, LocalRunning, entering, standing_in, telling_ready
from discoenv.sandbox.local.seccomp import ARCHITECTURES, learner_filter
from discoenv.sandbox.local.supervised import LiveCommands
from discoenv.sandbox.local.tree import ProcessTree, WatchedTree
from discoenv.sandbox.mounts import NOBODY, check_mount, lend

#: uid and gid of the command inside its user namespace, when discoenv is not root; otherwise it is ``NOBODY``.
GUEST = 1000

_SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108 (paths inside)
_CAP_SYS_ADMIN = 21
_FORK_BOMB_FACTOR = 8
_OLDEST, _SIZED_TMPFS = (0, 5), (0, 7)  # bwrap has --perms and --clearenv, and --size, since these versions
# What counts towards the limit, but is not the command's: bwrap and the init of the pid namespace, and for a forked
# command what stands in for it inside and what waits for it outside.
_OWN_PROCESSES, _OWN_PROCESSES_FORKED = 2, 4

_ETC = {
    "/etc/passwd": f"root:x:0:0::/:/bin/false\nguest:x:{GUEST}:{GUEST}::/tmp:/bin/false\n"
    f"nobody:x:{NOBODY}:{NOBODY}::/tmp:/bin/false\n",
    "/etc/group": f"root:x:0:\nguest:x:{GUEST}:\nnogroup:x:{NOBODY}:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
# What the dynamic linker reads, and the symbolic links by which Debian chooses a BLAS.
_ETC_FROM_HOST = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")

# Parts of /proc that are about the kernel or the host's load rather than about the program.
_MASKED_PROC = ("kcore", "keys", "latency_stats", "timer_list", "sched_debug", "kallsyms", "cmdline", "key-users")


class BubblewrapSandbox(Sandbox):
    """Runs commands through ``bwrap``.

    Args:
        also_visible: further host directories to show read-only at their own paths, for example the libraries of a
            cluster's module system.
        warm_starts: fork commands that ask for it from a process that has imported what they preload (see
            :mod:`discoenv.sandbox.local.forkserver`), instead of starting each as a new program.
    """

    name: ClassVar[str] = "bubblewrap"
    _working: ClassVar[Check | None] = None
    _checking: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, also_visible: tuple[Path, ...] = (), *, warm_starts: bool = True) -> None:
        self._also_visible = also_visible
        self._warm_starts = warm_starts
        self._live = LiveCommands()
        self._servers = ForkServers()
        self._paths: dict[Any, tuple[str, ...]] = {}  # sys.path inside, by what it depends on

    @classmethod
    def check(cls) -> Check:
        """Start a Python in it. What works is remembered for this process."""
        with cls._checking:
            if cls._working is None:
                result = _try_out(cls())
                if not result.works:
                    return result
                cls._working = result
            return cls._working

    def start(self, command: Command, limits: Limits) -> Running:
        """Start ``command`` and return once it runs.

        Raises:
            SandboxUnavailable: bwrap is missing or this machine is none that it can work on.
            SandboxError: the sandbox could not be set up: a mount's source is missing, ``cwd`` does not exist inside,
                or the kernel refuses (the message says what bwrap said).
        """
        streams.fill()
        program = _program()
        view = interpreter_view(command.hidden_packages, self._also_visible, command.python)
        for mount in command.mounts:
            check_mount(mount)
            if _is_privileged():
                lend(mount)
        ours = command.argv[0] == "python" and command.python is None
        forkable = ours and not command.gpus and usable_place() is not None
        if self._warm_starts and command.preload and forkable:
            warmth = self._warmth(command, limits, view)
            with contextlib.suppress(CannotFork):
                server = self._servers.get(warmth)
                try:
                    return self._launched(program, command, limits, view, server)
                except CannotFork as error:
                    self._servers.failed(warmth, server, error)
        return self._launched(program, command, limits, view, None)

    def _warmth(self, command: Command, limits: Limits, view: View) -> WarmServers:
        """What a fork server for this command has to have imported, and how."""
        fixed = {name: value for name, value in command.env.items() if name not in command.env_after_preload}
        environment = _environment(fixed, limits, view)
        key = (command.hidden_packages, tuple(sorted(environment.items())))
        if key not in self._paths:
            show = "import json, sys; print(json.dumps(sys.path[1:]))"
            seen = self.run(replace(command, argv=("python", "-c", show), preload=(), mounts=(), cwd="/"), limits)
            self._paths[key] = tuple(json.loads(seen.stdout)) if seen.exit_code == 0 else ()
        return WarmServers(
            executable=view.executable,
            modules=command.preload,
            path=self._paths[key],
            covered=tuple(map(str, (*view.masked_directories, *view.masked_files))),
            environment=tuple(sorted(environment.items())),
        )

    def _launched(
        self, program: str, command: Command, limits: Limits, view: View, server: ForkServer | None
    ) -> LocalRunning:
        """The command in a new sandbox: as a new program, or forked by ``server``."""
        privileged = _is_privileged()
        tree, join_files = _new_tree(limits, _OWN_PROCESSES if server is None else _OWN_PROCESSES_FORKED)
        environment = _environment(command.env, limits, view)
        descriptors: list[int] = []
        try:
            # Later mounts cover earlier ones, so the order matters.
            filtered = learner_filter(unmapped_memory=isinstance(tree, CgroupTree))
            options = _isolation(privileged, filtered, descriptors)
            options += [*_system(limits.scratch_bytes, descriptors), *_interpreter(view, descriptors)]
            options += [option for mount in command.mounts for option in _mounted(mount)]
            options += _gpu_devices(command.gpus)
            options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", command.cwd, "--clearenv"]
            for name, value in environment.items():
                options += ["--setenv", name, value]
            arguments = _memory_file("\0".join(options) + "\0", descriptors)  # not in argv, which programs inside see
            argv = [view.executable if command.argv[0] == "python" else command.argv[0], *command.argv[1:]]
            become = _BECOME_NOBODY if privileged else []
            user_processes = _user_processes(tree, limits)
            inside = [*telling_ready(user_processes), *argv] if server is None else standing_in()

            def fork(sandbox: int, stdout: int, stderr: int, status: int) -> None:
                assert server
                first, place = place_in(sandbox)
                request = {
                    **place,
                    "join": list(map(str, join_files)),
                    "cwd": command.cwd,
                    "argv": list(command.argv[1:]),
                    "env": environment,
                    "user": NOBODY if privileged else None,
                    "filter": filtered.hex(),
                    "open_files": OPEN_FILES,
                    "file_bytes": limits.file_bytes,
                    "processes": user_processes,
                    "cores": list(limits.cores) or sorted(os.sched_getaffinity(0)),
                }
                try:
                    server.fork(request, (first, stdout, stderr, status))
                finally:
                    os.close(first)

            launch = Launch(
                argv=[*entering(join_files, limits), program, "--args", str(arguments), "--", *become, *inside],
                env={"PATH": "/usr/bin:/bin"},
                tree=tree,
                descriptors=tuple(descriptors),
                exit_offset=128,
                fork=fork if server else None,
            )
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            tree.destroy()
            raise
        running = LocalRunning(launch, limits)
        self._live.add(running)
        return running

    def close(self) -> None:
        """Kill what still runs, and end the fork servers."""
        self._live.kill_all()
        self._servers.close()


def _isolation(privileged: bool, filtered: bytes, descriptors: list[int]) -> list[str]:
    """New namespaces, no capabilities but those that the change to uid ``NOBODY`` needs, and the system-call filter."""
    options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if privileged:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            options += ["--cap-add", capability]
    else:
        options += ["--unshare-user", "--uid", str(GUEST), "--gid", str(GUEST)]
    return [*options, "--seccomp", str(_memory_file(filtered, descriptors))]


def _system(scratch_bytes: int, descriptors: list[int]) -> list[str]:
    """The operating system, with its directories or symbolic links as on the host, and empty scratch space."""
    options = _parents("/etc/passwd")
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            options += [*_parents(name), "--ro-bind", name, name]
    for name in _ETC_FROM_HOST:
        options += ["--ro-bind-try", name, name]
    for path_inside, text in _ETC.items():
        options += ["--perms", "0444", "--file", str(_memory_file(text, descriptors)), path_inside]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for name in _MASKED_PROC:
        if Path("/proc", name).exists():
            options += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    for place in _SCRATCH:
        if _version() >= _SIZED_TMPFS:  # before, the limit on memory has to do
            options += ["--size", str(max(scratch_bytes, 4096))]
        options += ["--perms", "1777", "--tmpfs", place]
    return options


def _interpreter(view: View, descriptors: list[int]) -> list[str]:
    options = []
    for tree in view.trees:
        options += [*_parents(str(tree)), "--ro-bind", str(tree), str(tree)]
    for alias, tree in view.aliases:
        options += [*_parents(str(alias)), "--symlink", str(tree), str(alias)]
    for directory in view.masked_directories:
        options += ["--perms", "0555", "--tmpfs", str(directory), "--remount-ro", str(directory)]
    for file in view.masked_files:
        options += ["--perms", "0444", "--ro-bind-data", str(_memory_file("", descriptors)), str(file)]
    return options


def _parents(inside: str) -> list[str]:
    """Make the directories above a mount point enterable; bwrap alone would copy the host's mode (/root: 0700)."""
    above = list(Path(inside).parents)[-2::-1]
    return [option for directory in above for option in ("--perms", "0755", "--dir", str(directory))]


def _mounted(mount: Mount) -> list[str]:
    bind = "--bind" if mount.writable else "--ro-bind"
    return [*_parents(mount.target), bind, str(mount.source.resolve()), mount.target]


def _gpu_devices(uuids: tuple[str, ...]) -> list[str]:
    """The nodes of leased GPUs; the driver's libraries are among the system's, and NixOS has them elsewhere."""
    if not uuids:
        return []
    nodes = [option for node in device_nodes(uuids) for option in ("--dev-bind-try", str(node), str(node))]
    return [*nodes, "--ro-bind-try", "/run/opengl-driver", "/run/opengl-driver"]


_BECOME_NOBODY = (
    f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"
).split()


def _program() -> str:
    """The path of bwrap.

    Raises:
        SandboxUnavailable: it is not installed or too old, or there is no system-call filter for this machine.
    """
    if platform.machine() not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise SandboxUnavailable(
            f"bubblewrap is supported on {known}, not on {platform.machine()}: use sandbox='docker' here"
        )
    for program in ("bwrap", "setpriv") if _is_privileged() else ("bwrap",):
        if not shutil.which(program):
            package = "bubblewrap" if program == "bwrap" else "util-linux"
            raise SandboxUnavailable(f"the program {program} is not installed: {install_command(package)}")
    if _version() < _OLDEST:
        version, oldest = (".".join(map(str, each)) for each in (_version(), _OLDEST))
        raise SandboxUnavailable(f"bubblewrap {version} is too old: install {oldest} or later, or use sandbox='docker'")
    return shutil.which("bwrap") or "bwrap"


@functools.lru_cache(maxsize=1)
def _version() -> tuple[int, ...]:
    said = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in re.findall(r"\d+", said))


def _is_privileged() -> bool:
    """Whether we are root with the right to mount, so that no user namespace is needed."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def _environment(chosen: Mapping[str, str], limits: Limits, view: View) -> dict[str, str]:
    environment = minimal_environment(limits)
    environment["PATH"] = f"{Path(view.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    if view.user_base:
        environment["PYTHONUSERBASE"] = str(view.user_base)
        del environment["PYTHONNOUSERSITE"]
    environment |= chosen
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise SandboxError(f"environment variable {name!r} has a name or value that no process can have")
    return environment


def _new_tree(limits: Limits, own_processes: int) -> tuple[ProcessTree, list[Path]]:
    """How this command is measured: by a cgroup where one can be made."""
    limits = replace(limits, processes=limits.processes + own_processes)
    place = usable_place()
    if place:
        try:
            tree = CgroupTree(place, limits)
        except OSError as error:
            raise SandboxError(f"no cgroup could be made in {place.parents}: {error}. Is the machine full?") from error
        return tree, tree.join_files
    return WatchedTree(limits, _scratch_bytes), []


def _user_processes(tree: ProcessTree, limits: Limits) -> int | None:
    """Where a fork bomb may outrun the watching, the bound at which the kernel stops it.

    Since Linux 5.14 a user namespace has its own count; before, this would count all of the host user's processes.
    The count of uid ``NOBODY`` is shared with the other sandboxes, hence the generous factor.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if isinstance(tree, CgroupTree) or release < (5, 14):
        return None
    others = tasks_of(NOBODY) if _is_privileged() else 0
    return others + _FORK_BOMB_FACTOR * limits.processes + _OWN_PROCESSES


def _scratch_bytes(tree: list[Stat]) -> int:
    """What is written in the private /tmp and /dev/shm, seen through a process inside (the last of the tree)."""
    for seen in reversed(tree):
        try:
            root = Path(f"/proc/{seen.pid}/root")
            if root.samefile("/"):
                continue  # still, or always, outside
            places = [os.statvfs(f"{root}{place}") for place in _SCRATCH]
        except OSError:
            continue
        return sum((place.f_blocks - place.f_bfree) * place.f_frsize for place in places)
    return 0


def _memory_file(content: str | bytes, descriptors: list[int]) -> int:
    """A descriptor from which bwrap reads ``content``; noted in ``descriptors``."""
    descriptor = os.memfd_create("discoenv", 0)
    descriptors.append(descriptor)
    data = content.encode() if isinstance(content, str) else content
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _try_out(sandbox: BubblewrapSandbox) -> Check:
    """Start a Python, and explain what stands in the way if that fails."""
    name = sandbox.name
    try:
        command = Command(("python", "-c", "print('alive')"), cwd="/tmp")  # noqa: S108
        outcome = sandbox.run(command, Limits(wall_s=60, memory_bytes=1 << 30))
    except SandboxUnavailable as error:
        reason, _, fix = str(error).partition(": ")
        return Check(name, False, reason, fix)
    except SandboxError as error:
        obstacle = namespace_obstacle()
        return Check(name, False, str(error), obstacle or "run `bwrap --ro-bind / / true` to see it fail by hand")
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}", "please report this as a bug of discoenv")
    if outcome.exit_code != 0 or outcome.stdout != "alive\n":
        said = outcome.stderr.strip()[-500:] or f"{outcome.reason}, exit code {outcome.exit_code}"
        fix = "show what the interpreter needs: BubblewrapSandbox(also_visible=(Path('/opt/...'),))"
        return Check(name, False, f"Python does not start inside: {said}", fix)
    version = "bubblewrap " + ".".join(map(str, _version()))
    place = usable_place()
    counted = f"limits by cgroup v{place.version}" if place else "limits by watching /proc (no cgroup may be made here)"
    fix = "" if place else "for exact memory limits start with `systemd-run --user --scope -p Delegate=yes`"
    return Check(name, True, f"{version}, {counted}", fix)
