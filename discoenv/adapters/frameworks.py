"""The frameworks that adapters are for: what each is imported as, and the command that installs it.

Nothing here, and nothing that ``import discoenv`` loads, imports one of them.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import Final

from discoenv.errors import PackageMissing


@dataclass(frozen=True)
class Framework:
    """A framework.

    Attributes:
        title: its name in messages.
        module: what it is imported as.
        extra: the extra of discoenv that installs it.
        python: the lowest version of Python that it runs on.
    """

    title: str
    module: str
    extra: str
    python: tuple[int, int] = (3, 11)

    @property
    def command(self) -> str:
        """What installs it."""
        return f"pip install 'discoenv[{self.extra}]'"


#: By the name of the adapter's module. Their extras are no part of ``discoenv[all]``: some exclude each other.
FRAMEWORKS: Final = {
    "inspect_ai": Framework("Inspect AI", "inspect_ai", "inspect"),
    "harbor": Framework("Harbor", "harbor", "harbor", (3, 12)),
    "openenv": Framework("OpenEnv", "openenv", "openenv"),
    "trl": Framework("TRL", "trl", "trl"),
    "nemo_gym": Framework("NeMo Gym", "nemo_gym", "nemo-gym", (3, 12)),
    "verifiers": Framework("verifiers", "verifiers", "verifiers"),
    "gepa": Framework("GEPA", "gepa", "agents"),
}


def require(name: str) -> None:
    """Raise an error if a framework cannot be imported.

    Args:
        name: a key of :data:`FRAMEWORKS`.

    Raises:
        PackageMissing: it is not installed, or needs a newer Python; the message names the command.
    """
    framework = FRAMEWORKS[name]
    if importlib.util.find_spec(framework.module) is not None:
        return
    if sys.version_info < framework.python:
        version = ".".join(map(str, framework.python))
        raise PackageMissing(
            f"the adapter for {framework.title} needs Python {version} or newer, and this is "
            f"{sys.version.split()[0]}: make an environment with that one, and there {framework.command}"
        )
    raise PackageMissing(
        f"the adapter for {framework.title} needs the package {framework.module.replace('_', '-')}: {framework.command}"
    )
