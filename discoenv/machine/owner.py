"""Names that contain the owner of a resource, so that what a killed owner left can be found and removed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from discoenv.machine.processes import stat

_NAME = re.compile(r"discoenv-[a-z]*-?(\d+)-(\d+)-(\d+)-.*")


def owner_tag() -> str:
    """``<pid namespace>-<pid>-<start>`` of this process; the start, in clock ticks, identifies a reused pid."""
    own = stat(os.getpid())
    return f"{_pid_namespace()}-{os.getpid()}-{own.start if own else 0}"


def is_abandoned(name: str) -> bool:
    """Whether ``discoenv-[kind-]<owner tag>-...`` has an owner that is dead. False where that cannot be judged."""
    match = _NAME.fullmatch(name)
    if not match or int(match[1]) != _pid_namespace():
        return False
    owner = stat(int(match[2]))
    if owner is None:  # dead, unless we could not look, for example for lack of file descriptors
        return not Path(f"/proc/{match[2]}").exists()
    return owner.start != int(match[3]) or (owner.state in "ZX" and owner.threads <= 1)


def is_owned(path: Path) -> bool:
    """Whether this process may clean up a path: another one's, a parent's too, has that one's tag in a name."""
    tags = [match for part in path.parts if (match := _NAME.fullmatch(part))]
    return not tags or owner_tag() == "-".join(tags[-1].groups())


def owner_pid(name: str) -> int:
    """The owner's pid, in its own pid namespace; 0 if the name does not contain it."""
    match = _NAME.fullmatch(name)
    return int(match[2]) if match else 0


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def boot_id() -> str:
    """A name of this boot of this machine; empty where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
