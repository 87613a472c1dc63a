"""Commands that run exams of base modules and of workspaces edited by hand: ``discoenv calibrate`` and ``exam``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from discoenv import objectives
from discoenv.cli.options import DatasetsOption, DeviceName, DeviceOption, SandboxOption, ScaleName
from discoenv.errors import InfraError, NoBaseline, UnknownName

if TYPE_CHECKING:
    from discoenv.exams.host import Host
    from discoenv.exams.result import ExamResult
    from discoenv.exams.secrets import Secret
    from discoenv.tasks.task import Setting

_console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False)


def calibrate(
    domain: Annotated[str, typer.Argument(help="Domain, or 'all'.")],
    dataset: DatasetsOption = None,
    backend: Annotated[list[str] | None, typer.Option(help="Only these backends.")] = None,
    scale: Annotated[list[ScaleName] | None, typer.Option(help="Only these scales; default: all but full.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Exams per dataset.")] = 3,
    local: Annotated[bool, typer.Option("--local", help="Write to this machine's cache, not to the domain.")] = False,
    device: DeviceOption = DeviceName.AUTO,
    sandbox: SandboxOption = "auto",
) -> None:
    """Measure floors and baselines, and write them where tasks look for them."""
    from discoenv.exams.host import Host  # runs exams, and so needs NumPy
    from discoenv.tasks.registry import get_domain, get_domains
    from discoenv.tasks.sampling import available_datasets
    from discoenv.tasks.specification import SCALES
    from discoenv.tasks.task import Setting

    with Host(sandbox, device=device.value) as host:
        for name in get_domains() if domain == "all" else [domain]:
            found = get_domain(name)
            known = [ScaleName(each) for each in SCALES if any(each in found.scales(one) for one in found.datasets)]
            usual = [each for each in known if each is not ScaleName.FULL] or known
            for chosen in scale or usual:
                if chosen not in known:
                    found.require_scale(found.datasets[0], chosen.value)
                for one_backend in backend or found.backends:
                    for one in dataset or available_datasets(found, chosen.value, gpu=True):
                        found.require(dataset=one, backend=one_backend)
                        here = local or found.self_reported  # whose baselines are those that it publishes
                        _calibrate(host, Setting(found, one_backend, one, chosen.value), seeds, local=here)


def _calibrate(host: Host, setting: Setting, seeds: int, *, local: bool) -> None:
    from discoenv.scoring import baselines, calibration

    domain = setting.domain
    gpu = setting.wants_gpu
    device = host.device(gpu).name
    label = f"{domain.name} {setting.backend} {setting.dataset} {setting.scale} on {device}"

    def show(result: ExamResult) -> None:
        value = (result.metrics or {}).get(setting.metric.name)
        _console.print(f"  {label} seed {result.seed}: {value:.4g} in {result.seconds:.1f} s")

    with host.reserve(alone=local) as cores:  # costs are compared with this machine's own only
        entry = calibration.calibrate(host, setting, seeds=range(seeds), gpu=gpu, held=cores, on_exam=show)
    path = calibration.destination(domain, local=local, device=device)
    baselines.write(path, {setting.key: entry})
    _console.print(
        f"[bold]{label}[/]: floor {entry.floor.mean:.4g} ± {entry.floor.std:.2g}, "
        f"baseline {entry.baseline.mean:.4g} ± {entry.baseline.std:.2g}, {entry.seconds.mean:.1f} s per exam"
    )


def exam(
    workspace: Annotated[Path, typer.Argument(help="A task's folder, as materialised.")] = Path(),
    dataset: DatasetsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Which exams: held-out data follow from it and your secret.")] = 0,
    budget: Annotated[float, typer.Option(min=0, help="Most seconds of training and answering per exam.")] = 3600.0,
    device: DeviceOption = DeviceName.AUTO,
    sandbox: SandboxOption = "auto",
) -> None:
    """Run the exams of a workspace that was edited by hand; prints {"results": …, "errors": …} as JSON."""
    from discoenv.discogen import report
    from discoenv.exams.host import Host  # runs exams, and so needs NumPy
    from discoenv.exams.spec import ExamSpec
    from discoenv.scoring import baselines
    from discoenv.tasks.task import TaskSide

    workspace = workspace.resolve()
    task = TaskSide.parse(workspace / "task.yaml")
    task.resolve()
    measured = objectives.get(task.objective).measured
    present = [name for name in task.datasets if (workspace / name / "main.py").is_file()]
    for name in dataset or []:
        if name not in present:
            raise UnknownName("dataset", name, present, str(workspace))
    results: dict[str, Any] = {}
    failures: dict[str, str] = {}
    with Host(sandbox, device=device.value) as host:
        for name in dataset or present:
            _errors.print(f"{name} …")
            try:
                setting = task.setting(name)
                own = _own_seed(host.secret, setting, seed)
                spec = ExamSpec(setting, own, budget, gpu=setting.wants_gpu, editable=task.modules)
                result = host.run(workspace, spec, alone=measured)
            except InfraError as error:
                failures[name] = f"infra_error: {error}"
                continue
            if result.metrics is None:
                failures[name] = f"{result.status}: {result.message}\n{result.traceback}".strip()
                continue
            reference = baselines.local_entry(setting, result.device, sandbox=host.sandbox.name, editable=task.modules)
            try:
                results[name] = report.row(task, setting, result, reference)
            except NoBaseline as error:
                results[name] = {**result.metrics, "seconds": result.seconds}
                failures[name] = f"no target: {error}"
    if task.objective == "golf":
        for name in results:
            results[name] |= report.sizes(task, workspace)
        results[report.GOLF] = report.golf(workspace)
    print(json.dumps({"results": results, "errors": failures}))


def _own_seed(secret: Secret, setting: Setting, number: int) -> int:
    """The seed of an exam by hand: the same every time for this user, and known to no one who knows the number only."""
    label = {"domain": setting.domain.name, "dataset": setting.dataset, "scale": setting.scale}
    return secret.seed({**label, "command": "exam", "number": number})
