"""Options that several commands share, each declared once. Typer checks values that have a list of choices.

Choices are enumerations, because Typer has no lists of ``Literal``. The library takes the ``value`` of a member.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discoenv.tasks.names import domain_name, sandbox_name

if TYPE_CHECKING:
    from discoenv.machine.devices import DeviceChoice
    from discoenv.objectives import Transform
    from discoenv.scoring.scores import Reference
    from discoenv.tasks.specification import Scale, Split


class ScaleName(StrEnum):
    """How much compute one run takes."""

    _value_: Scale
    TINY = "tiny"
    SMALL = "small"
    FULL = "full"


class SplitName(StrEnum):
    """How the datasets of a sampled task are split."""

    _value_: Split
    RANDOM = "random"
    SHIFT = "shift"
    SCALE = "scale"


class DeviceName(StrEnum):
    """What to train on."""

    _value_: DeviceChoice
    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class ReferenceName(StrEnum):
    """What scores are compared with."""

    _value_: Reference
    SHIPPED = "shipped"
    PAIRED = "paired"


class TransformName(StrEnum):
    """What an exam is worth."""

    _value_: Transform
    ORDERED = "ordered"
    LINEAR = "linear"


class EngineName(StrEnum):
    """A container engine."""

    DOCKER = "docker"
    PODMAN = "podman"


class BuilderName(StrEnum):
    """What builds images of learners."""

    DOCKER = "docker"
    PODMAN = "podman"
    APPTAINER = "apptainer"


REFERENCE_HELP = "What 1 is: the shipped baseline, or the base modules in the same exams."
TRANSFORM_HELP = "What exams are worth to the objective performance; ordered: failed < bad < floor < baseline < better."

DomainArgument = Annotated[str, typer.Argument(help="Domain; see get-domains.", callback=domain_name)]
RunArgument = Annotated[Path, typer.Argument(help="A run directory.")]
ScaleOption = Annotated[ScaleName, typer.Option(help="Compute per run.", case_sensitive=False)]
DeviceOption = Annotated[
    DeviceName, typer.Option(help="What to train on; auto: a GPU at scale full, if any.", case_sensitive=False)
]
SandboxOption = Annotated[str, typer.Option(help="Provider: auto, or one that doctor lists.", callback=sandbox_name)]
DatasetsOption = Annotated[list[str] | None, typer.Option("--dataset", help="Only these datasets (repeat the option).")]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="Container engine.")]
BuilderOption = Annotated[BuilderName, typer.Option("--engine", help="What builds the image.")]
