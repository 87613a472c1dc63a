"""``discoenv study``: measurements about domains, whose figures decide how they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from discoenv.cli.options import DatasetsOption, DeviceName, DeviceOption, DomainArgument, SandboxOption, ScaleName
from discoenv.errors import NoBaseline

if TYPE_CHECKING:
    from discoenv.exams.spec import Progress

study = typer.Typer(
    help="Measure how noisy the rewards of a domain are, and what known methods reach.",
    no_args_is_help=True,
    add_completion=False,
)

_console = Console(emoji=False, highlight=False, soft_wrap=True)
_errors = Console(emoji=False, stderr=True, highlight=False)


@study.callback()
def _study() -> None:
    """Measure how noisy the rewards of a domain are, and what known methods reach."""


@study.command()
def noise(
    domain: DomainArgument,
    scale: Annotated[ScaleName, typer.Option(help="Compute per run.")] = ScaleName.TINY,
    seeds: Annotated[int, typer.Option(min=2, help="Episodes.")] = 8,
    dataset: DatasetsOption = None,
    test_seeds: Annotated[int, typer.Option(min=1, help="Exams per dataset and episode.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the table into this file, too.", show_default=False)] = None,
    device: DeviceOption = DeviceName.AUTO,
    sandbox: SandboxOption = "auto",
) -> None:
    """Measure rewards of the base modules and of candidates over episodes, with shipped and with paired references."""
    from discoenv.bench import noise as measurement  # runs exams, and so needs NumPy
    from discoenv.exams.host import Host
    from discoenv.machine import atomic
    from discoenv.tasks.registry import get_domain

    task = measurement.study_task(get_domain(domain), scale=scale.value, datasets=dataset or (), test_seeds=test_seeds)
    with Host(sandbox, device=device.value) as host:
        found = measurement.measure(host, task, episodes=seeds, on_progress=_show)
    text = (
        f"{domain}, {scale.value}, {', '.join(task.meta_test)}: {seeds} episodes of {test_seeds} exams per dataset\n\n"
        f"{measurement.table(found)}"
    )
    _console.print(text, markup=False)
    if out is not None:
        atomic.write_text(out, text)


@study.command()
def ladder(
    domain: DomainArgument,
    scale: Annotated[ScaleName, typer.Option(help="Compute per run.")] = ScaleName.SMALL,
    out: Annotated[Path | None, typer.Option(help="Write the table into this file, too.", show_default=False)] = None,
) -> None:
    """Show what the known methods of a domain reach, whether their order is the expected one, and how datasets agree.

    It is made from what `discoenv calibrate --ladder` measured.
    """
    from discoenv.machine import atomic
    from discoenv.scoring import ladders
    from discoenv.tasks.registry import get_domain

    found = get_domain(domain)
    if not ladders.standings(found, scale.value):
        raise NoBaseline(
            f"{domain}: no method of its ladder was measured at scale {scale.value} with the domain as it is; "
            f"measure them with `discoenv calibrate {domain} --ladder`"
        )
    text = ladders.table(found, scale.value)
    _console.print(text, markup=False)
    if out is not None:
        atomic.write_text(out, text)


def _show(progress: Progress) -> None:
    if progress.result is None:
        _errors.print(f"{progress.label}, {progress.spec.dataset} …", markup=False)
