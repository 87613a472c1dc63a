"""Freezes the code that PackageCode consists of: tests of the installed NumPy.

    python -m discoenv.domains.LanguageModelling.studies.freeze_code

writes ``texts/package_code.json.xz`` and prints its SHA-256, which belongs into ``texts/code.py``. Another version of
NumPy has other tests: raise the domain's version, and calibrate again.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path
from typing import Final

import numpy as np

from discoenv.domains.LanguageModelling.texts.code import FROZEN

#: Folders of NumPy; ``hidden_packages`` of domain.yaml hides them.
FOLDERS: Final = tuple(f"{name}/tests" for name in ("fft", "lib", "linalg", "ma", "polynomial", "random"))
#: Every so manieth file, by its name, is held out.
_HELD_OUT: Final = 4
#: Files of fewer bytes are left out.
_LEAST: Final = 1500


def files(package: Path) -> dict[str, list[str]]:
    """Texts of files for "train" and "held_out", ASCII alone, without lines of more than 160 characters."""
    parts: dict[str, list[str]] = {"train": [], "held_out": []}
    number = 0
    for folder in FOLDERS:
        for path in sorted((package / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            lines = [line.rstrip() for line in text.splitlines() if len(line) <= 160 and line.isascii()]
            text = "\n".join(lines) + "\n"
            if len(text) >= _LEAST:
                parts["held_out" if number % _HELD_OUT == 1 else "train"].append(text)
                number += 1
    return parts


def main() -> None:
    """Write the file."""
    parts = files(Path(np.__file__).parent)
    content = lzma.compress(json.dumps(parts).encode(), preset=9 | lzma.PRESET_EXTREME)
    FROZEN.write_bytes(content)
    for part, texts in parts.items():
        print(f"{part}: {len(texts)} files, {sum(map(len, texts)):,} bytes")
    print(f"{FROZEN.name}: {len(content):,} bytes of NumPy {np.__version__}, SHA-256:")
    print(hashlib.sha256(content).hexdigest())


if __name__ == "__main__":
    main()
