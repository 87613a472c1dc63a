"""A wheel of the discoenv that is installed here, for images: a wheel is a zip archive, so none of pip is needed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from pathlib import Path
from typing import Final

import discoenv
from discoenv.errors import PackageMissing

#: The same bytes every time.
_TIME: Final = (2020, 1, 1, 0, 0, 0)
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: discoenv\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel_name() -> str:
    """File name of the wheel."""
    return f"discoenv-{_installed().version}-py3-none-any.whl"


def build_wheel(folder: Path) -> Path:
    """Write the wheel into a folder.

    Returns:
        Its path.

    Raises:
        PackageMissing: discoenv is not installed, but only found on the path.
    """
    installed = _installed()
    package = Path(discoenv.__file__).parent
    info = f"discoenv-{installed.version}.dist-info"
    files = {
        f"discoenv/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not _is_test(path.relative_to(package))
    }
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = (installed.read_text(name) or "").encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    rows = [f"{name},{_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    path = folder / wheel_name()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return path


def _is_test(path: Path) -> bool:
    """Whether a file belongs to the tests of a domain, which wheels lack; the template's are copied with it."""
    parts = path.parts
    return len(parts) > 3 and parts[0] == "domains" and parts[1] != "_template" and parts[2] == "tests"


def _installed() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution("discoenv")
    except importlib.metadata.PackageNotFoundError:
        raise PackageMissing("discoenv is not installed, so its requirements are not known: pip install -e .") from None


def _digest(content: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()}"
