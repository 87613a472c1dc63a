"""What runs in the containers of other frameworks: ``discoenv score`` and ``discoenv serve-exams``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from discoenv.cli.options import DeviceName, DeviceOption, SandboxOption

if TYPE_CHECKING:
    from discoenv.exams.spec import Progress

_errors = Console(stderr=True, highlight=False, soft_wrap=True)
TaskOption = Annotated[str, typer.Option(help="DiscoBench task or YAML file.", show_default=False)]


def score(
    workspace: Annotated[Path, typer.Option(help="Folder with a file per editable module.", show_default=False)],
    task: TaskOption,
    seed: Annotated[int, typer.Option(min=0, help="Which exams: held-out data follow from it and your secret.")] = 0,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json", help="File for the numbers; written only if there is a score: not if the machine fails."
        ),
    ] = None,
    device: DeviceOption = DeviceName.AUTO,
    sandbox: SandboxOption = "auto",
) -> None:
    """Score a folder of modules on the meta-test datasets of a task."""
    from discoenv.adapters.scoring import score_folder
    from discoenv.exams.host import Host
    from discoenv.machine import atomic
    from discoenv.tasks.reading import read_task

    found = read_task(task, {})
    with Host(sandbox.split(","), device=device.value) as host:
        result = score_folder(workspace, found, host, seed=seed, on_progress=_show)
    for name, why in result.refused.items():
        _errors.print(f"{name} counts as it was at the start: {why}", markup=False)
    if not result.isolated:
        _errors.print("The sandbox does not isolate: the modules could have read what they are examined with.")
    text = json.dumps(result.numbers(), indent=1) + "\n"
    if as_json is not None:
        atomic.write_text(as_json, text)
    print(text, end="")


def _show(progress: Progress) -> None:
    if progress.result is not None:
        _errors.print(f"{progress.label}: {progress.spec.dataset}: {progress.result.status}", markup=False)


def serve_exams(
    task: TaskOption,
    max_runs: Annotated[int, typer.Option(min=1, help="Runs that the agent may have.")] = 10,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    runs: Annotated[Path | None, typer.Option(help="Where the episode is recorded; default: nowhere.")] = None,
    sandbox: SandboxOption = "auto",
) -> None:
    """Hold exams on the meta-train side of a task for an agent in another container."""
    from discoenv.adapters.harbor.exam_server import serve
    from discoenv.tasks.reading import read_task

    serve(
        read_task(task, {}),
        max_runs=max_runs,
        address=host,
        port=port,
        runs_dir=runs,
        sandbox=sandbox.split(","),
        on_start=lambda url: _errors.print(f"serving exams at {url}", markup=False),
    )
