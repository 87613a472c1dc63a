"""Finished exams of an episode, so that whoever goes on with it does not repeat them: ``exams.jsonl``.

One line per exam, written when it ends, so that a crash in the middle of a step loses none. A run directory may come
from anywhere, and a result decides about rewards. So each line carries a *seal*, an HMAC with the secret that exam
seeds come from, of the result and of all that it depends on: the task, the domain's version, the episode's seed, the
modules, the dataset, the sandbox, the device, and where costs are compared the machine. A line without the right seal
is ignored, and its exam is held anew: the one who has the secret can vouch for a result, and no one else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from discoenv.episodes import jsonl
from discoenv.exams.result import ExamResult
from discoenv.exams.secrets import Secret
from discoenv.machine.energy import Energy
from discoenv.machine.regular import open_regular
from discoenv.tasks.task import Side

FILE_NAME: Final = "exams.jsonl"
#: Larger files of artifacts, in bytes, are not read back.
_MOST_ARTIFACTS: Final = 256 << 20


def digest_of(modules: Mapping[str, str]) -> str:
    """SHA-256 of modules, text by file name, in hexadecimal digits."""
    return hashlib.sha256(repr(sorted(modules.items())).encode()).hexdigest()


@dataclass(frozen=True)
class FinishedExam:
    """An exam that was held to its end.

    Attributes:
        step: actions at the time, the one that asked for it included.
        modules: digest of the modules, see :func:`digest_of`.
        side: side of the task.
        result: the result. Its ``number`` says which of the exams of its dataset it was.
    """

    step: int
    modules: str
    side: Side
    result: ExamResult

    def to_json(self, secret: Secret, about: Mapping[str, str | int]) -> dict[str, Any]:
        """As plain values with a seal; without seed and artifacts, of which the hash is there.

        Args:
            secret: what it is sealed with.
            about: what else the result depends on.
        """
        result = dataclasses.asdict(replace(self.result, artifacts=b""))
        del result["artifacts"], result["seed"]
        content = {
            "about": dict(about),
            "step": self.step,
            "modules": self.modules,
            "side": self.side,
            "result": json.loads(json.dumps(result, default=_python)),
            "artifacts": hashlib.sha256(self.result.artifacts).hexdigest() if self.result.artifacts else "",
        }
        return {**content, "seal": secret.seal(content)}

    @classmethod
    def from_json(
        cls,
        content: Mapping[str, Any],
        secret: Secret,
        about: Mapping[str, str | int],
        *,
        seed: Callable[[Side, str, int], int],
        artifacts: Callable[[int, str, str, int], bytes],
    ) -> Self | None:
        """From what :meth:`to_json` gave; None if the seal is not right, or the result is of another version.

        Args:
            content: a line.
            secret, about: as it must have been sealed.
            seed: seed of an exam, by side, dataset and number.
            artifacts: what the examiner saved, by step, side, dataset and number.
        """
        if content.get("about") != dict(about) or not authentic(content, secret):
            return None
        try:  # what follows was written with the secret, but perhaps by another version
            step, side, values = content["step"], content["side"], dict(content["result"])
            saved = artifacts(step, side, values["dataset"], values["number"]) if content["artifacts"] else b""
            if hashlib.sha256(saved).hexdigest() != content["artifacts"]:
                saved = b""
            energy = Energy(**values.pop("energy"))
            result = ExamResult(
                **values, energy=energy, seed=seed(side, values["dataset"], values["number"]), artifacts=saved
            )
            return cls(step, content["modules"], side, result)
        except (KeyError, TypeError, IndexError):
            return None


def authentic(line: Mapping[str, Any], secret: Secret) -> bool:
    """Whether a line of ``exams.jsonl`` was sealed with the secret."""
    try:
        return secret.sealed({key: value for key, value in line.items() if key != "seal"}, line.get("seal"))
    except RecursionError:  # nested too deeply to be one
        return False


def read(
    directory: Path, secret: Secret, about: Mapping[str, str | int], seed: Callable[[Side, str, int], int]
) -> list[FinishedExam]:
    """The exams of a run directory that the holder of the secret can vouch for."""

    def artifacts(step: int, side: str, dataset: str, number: int) -> bytes:
        with open_regular(artifacts_path(directory, step, side, dataset, number)) as file:
            return b"" if file is None else bytes(file.read(_MOST_ARTIFACTS))

    lines = jsonl.read(directory / FILE_NAME)
    found = (FinishedExam.from_json(line, secret, about, seed=seed, artifacts=artifacts) for line in lines)
    return [exam for exam in found if exam is not None]


def artifacts_path(directory: Path, step: int, side: str, dataset: str, number: int) -> Path:
    """Where a run directory holds what an examiner saved of an exam."""
    return directory / "exams" / f"step_{step:03d}" / side / dataset / f"{number}.npz"


def _python(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
