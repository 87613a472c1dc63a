"""Programs that JAX has compiled in earlier exams, for later ones: who may use them, and what becomes of new ones.

A compiled program is machine code, and may hold any data, for example trained weights. So those that the code of
agents has made stay on the meta-train side of their episode, and serve only exams of the same modules and dataset.
What the base modules, which are ours, have compiled is kept on this machine and serves every exam of the dataset. A
learner sees what it may use read-only; what it has compiled itself it hands over when its exam is over and its score
fixed (``discoenv/kits/exam``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from discoenv.machine import cache, packages
from discoenv.sandbox.base import Mount
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting

#: Where learners see them, and where they put their own if they see none.
INSIDE: Final = "/tmp/programs"  # noqa: S108 - inside
#: As JAX names the files of its cache: the program's name, a SHA-256 of all that it depends on.
_NAME: Final = re.compile(r"[A-Za-z0-9_.<>-]{1,150}-[0-9a-f]{64}-cache")
#: Bytes of programs that are taken from one exam.
_MOST_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class CompileCache:
    """The compiled programs for one exam. It uses some or it makes some, not both, because JAX looks in one folder.

    Attributes:
        used: the folder of those that the learner sees; None: none.
        kept_in: the folder to be made of those that it compiles; None: they are gone with the exam.
    """

    used: Path | None = None
    kept_in: Path | None = None

    def mounts(self) -> tuple[Mount, ...]:
        """What the sandbox shows, read-only."""
        return (Mount(self.used, INSIDE),) if self.used else ()

    def answering(self) -> CompileCache:
        """The same for learners that answer for what another one handed over."""
        folders = (folder and folder.with_name(f"{folder.name}-answering") for folder in (self.used, self.kept_in))
        used, kept_in = folders
        if used is not None and not used.is_dir():
            used, kept_in = None, used
        return CompileCache(used, kept_in)


def environment() -> dict[str, str]:
    """JAX's settings in a learner, the same for all exams."""
    return {
        "JAX_COMPILATION_CACHE_DIR": INSIDE,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTHONWARNINGS": "ignore:Error writing persistent compilation cache entry",  # the folder is read-only
    }


def compiles(domain: Domain) -> bool:
    """Whether learners of the domain compile programs that can be kept."""
    return "jax" in packages.names(domain.specification.requirements)


def of_base(setting: Setting) -> Path:
    """The folder on this machine of what the base modules compile. Other code, or another JAX, has another folder."""
    domain = setting.domain
    code = f"{domain.name}-{_code(domain.directory)}"
    return cache.folder("programs", _platform(), code, setting.backend, setting.dataset, setting.scale)


def keep(folder: Path, programs: Mapping[str, Any]) -> None:
    """Make a folder, complete or not at all, of what a learner sent; what does not look like a program is left out.

    Args:
        folder: if another exam has made it meanwhile, nothing happens.
        programs: uint8[N] by file name, checked by :mod:`discoenv.exams.wire` for its form only.
    """
    contents = {
        name: content.tobytes()
        for name, content in programs.items()
        if _NAME.fullmatch(name) and isinstance(content, np.ndarray) and content.dtype == np.uint8
    }
    if not contents or folder.exists() or sum(map(len, contents.values())) > _MOST_BYTES:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in contents.items():
            (making / name).write_bytes(content)
            (making / name).chmod(0o644)
        making.chmod(0o755)
        with contextlib.suppress(OSError):  # another exam was faster
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


@functools.cache
def _code(directory: Path) -> str:
    """Twelve hex digits: a hash of a domain's templates and configurations."""
    digest = hashlib.sha256()
    for folder in ("templates", "datasets"):
        for file in sorted(each for kind in ("*.py", "*.yaml") for each in (directory / folder).rglob(kind)):
            digest.update(f"{file.relative_to(directory)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@functools.cache
def _platform() -> str:
    """What machine code depends on besides the program: the processor's features, the compiler, Python's version."""
    features = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features", "model name")):
            features += line
        elif not line and features:
            break
    versions = [platform.machine(), platform.python_version()]
    versions += [packages.version(package) or "-" for package in ("jax", "jaxlib", "flax", "optax")]
    return "-".join([*versions, hashlib.sha256(features.encode()).hexdigest()[:12]])
