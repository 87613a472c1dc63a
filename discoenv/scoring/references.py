"""Results of the base modules by exam, which scores with ``reference="paired"`` are compared with; kept on this
machine.

A result is found again by all that it depends on: the domain and its version, the dataset, backend and scale, the seed
of the exam, the device, versions of packages, and the text of all files that take part. Learners see nothing of the
folder.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import discoenv
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.machine import atomic, cache
from discoenv.machine.energy import Energy
from discoenv.scoring import calibration
from discoenv.tasks.domain import Domain

#: Files and folders of a domain that no exam of its base modules reads.
_APART: Final = (
    "candidates",
    "ladder",
    "ladder.json",
    "studies",
    "tests",
    "exploits.py",
    "pictures.py",
    "baselines.json",
    "audit.json",
)
#: Kinds of files that none reads.
_UNREAD: Final = (".md", ".pyc", ".png")
#: Folders of discoenv whose code decides what an exam measures.
_LIBRARY: Final = ("data", "examiners", "exams", "kits")


def path_of(spec: ExamSpec, device: str) -> Path:
    """The file of the result of the base modules in an exam; it may not exist.

    Args:
        spec: the exam. Its seed is a secret, so only a hash of it is in the path.
        device: name of what learners train on: ``cpu``, or the product name of a GPU.
    """
    setting = spec.setting
    domain = setting.domain
    key = {
        "setting": [domain.name, domain.version, setting.backend, setting.dataset, setting.scale],
        "seed": spec.seed,
        "device": device,
        "answered by": "own code" if domain.own_code_answers(spec.editable or ()) else "learner",
        "versions": calibration.versions(domain, setting.dataset),
        "files": _files(domain),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache.folder("references", digest[:2], f"{digest}.json")


def read(path: Path, spec: ExamSpec) -> ExamResult | None:
    """The result in a file; None if there is none, or if it cannot be read, so that it is measured anew."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(ExamResult)}
        values = {name: value for name, value in content.items() if name in known}
        values |= {"energy": Energy(**content["energy"]), "seed": spec.seed, "number": spec.number}
        result = ExamResult(**values)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return result if result.dataset == spec.dataset and result.status == "ok" and result.metrics else None


def write(path: Path, result: ExamResult) -> None:
    """Keep a result. Neither its seed nor what the examiner saved for pictures is written.

    Raises:
        OSError: the file cannot be written.
    """
    content = {name: value for name, value in asdict(result).items() if name not in ("seed", "number", "artifacts")}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps(content) + "\n")


@functools.cache
def _files(domain: Domain) -> str:
    """SHA-256 of the domain's own files, and of what the library does in exams."""
    digest = hashlib.sha256()
    library = Path(discoenv.__file__).parent
    for root, paths in ((domain.directory, _own_files(domain.directory)), (library, _library_files(library))):
        for path in paths:
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _own_files(directory: Path) -> Iterator[Path]:
    for path in sorted(each for each in directory.rglob("*") if each.is_file() and each.suffix not in _UNREAD):
        if path.relative_to(directory).parts[0] not in _APART:
            yield path


def _library_files(library: Path) -> Iterator[Path]:
    for folder in _LIBRARY:
        yield from sorted(each for kind in ("*.py", "*.yaml") for each in (library / folder).rglob(kind))
