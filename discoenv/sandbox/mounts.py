"""What every isolating provider does with a mount before it shows it to a command that runs as uid ``NOBODY``."""

from __future__ import annotations

import os
from pathlib import Path

from discoenv.errors import SandboxError
from discoenv.sandbox.base import Mount

#: uid and gid of commands on the host when discoenv is root.
NOBODY = 65534


def check_mount(mount: Mount) -> None:
    """Raise a SandboxError unless the source exists and the target is a plain absolute path."""
    if not mount.source.exists():
        raise SandboxError(f"mount source {mount.source} (for {mount.target}) does not exist: create it first")
    if not Path(mount.target).is_absolute() or ".." in Path(mount.target).parts:
        raise SandboxError(f"mount target {mount.target!r} must be an absolute path without `..`")


def lend(mount: Mount) -> None:
    """Give a writable mount's source to uid ``NOBODY``, and the top of a read-only one that others may not enter."""
    source = mount.source.resolve()
    mode = source.stat().st_mode
    others = 0o005 if source.is_dir() else 0o004
    try:
        if mount.writable:
            for path in (source, *source.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        elif mode & others != others:
            os.chown(source, NOBODY, -1)
    except OSError as error:
        raise SandboxError(
            f"mount source {source} cannot be given to uid {NOBODY}: {error}. Choose a directory on a local disk."
        ) from error
