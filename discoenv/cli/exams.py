"""Commands that run exams of base modules, ``calibrate`` and ``rehearse``, and of edited workspaces, ``exam``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from discoenv import objectives
from discoenv.arguments import require_effect
from discoenv.cli.options import (
    DatasetsOption,
    DeviceName,
    DeviceOption,
    SandboxOption,
    ScaleName,
    ScaleOption,
)
from discoenv.errors import InfraError, NoBaseline, UnknownName
from discoenv.tasks.names import dataset_names, domain_name

if TYPE_CHECKING:
    from discoenv.exams.host import Host
    from discoenv.exams.result import ExamResult
    from discoenv.exams.secrets import Secret
    from discoenv.tasks.task import Setting

_console = Console(emoji=False, highlight=False, soft_wrap=True)
_errors = Console(emoji=False, stderr=True, highlight=False)


def calibrate(
    context: typer.Context,
    domain: Annotated[str, typer.Argument(help="Domain, or 'all'.", callback=domain_name)],
    dataset: DatasetsOption = None,
    backend: Annotated[list[str] | None, typer.Option(help="Only these backends.")] = None,
    scale: Annotated[
        list[ScaleName] | None, typer.Option(help="Only these scales; default: all but full.", case_sensitive=False)
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Exams per dataset.")] = 3,
    local: Annotated[bool, typer.Option("--local", help="Write to this machine's cache, not to the domain.")] = False,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Measure the known methods of the domain's ladder instead, at small.")
    ] = False,
    method: Annotated[
        list[str] | None, typer.Option(help="With --ladder: only these methods, as MODULE or MODULE/METHOD.")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="With --ladder: only what was not measured as it is now.")
    ] = False,
    device: DeviceOption = DeviceName.AUTO,
    sandbox: SandboxOption = "auto",
) -> None:
    """Measure floors and baselines, and write them where tasks look for them."""
    if ladder:
        require_effect(context, ["local"], "with --ladder")
    else:
        require_effect(context, ["method", "missing"], "without --ladder")
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
            if ladder:
                usual = [ScaleName.SMALL] if ScaleName.SMALL in known else known[:0]
            for chosen in scale or usual:
                if chosen not in known:
                    found.require_scale(found.datasets[0], chosen.value)
                for one_backend in backend or found.backends:
                    for one in dataset_names(dataset, found) or available_datasets(found, chosen.value, gpu=True):
                        found.require(dataset=one, backend=one_backend)
                        if ladder:
                            setting = Setting(found, one_backend, one, chosen.value)
                            _climb(host, setting, seeds, method or [], missing=missing)
                            continue
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


def _climb(host: Host, setting: Setting, seeds: int, chosen: list[str], *, missing: bool) -> None:
    """Measure the methods of a ladder on one setting, those chosen as ``MODULE`` or ``MODULE/METHOD`` only."""
    from discoenv.scoring import ladders
    from discoenv.tasks.ladder import ladder_of, methods_of

    domain = setting.domain
    every = [f"{module}/{name}" for module, each in ladder_of(domain).items() for name in each.methods]
    for name in chosen:
        if name not in every and name not in ladder_of(domain):
            raise UnknownName("method", name, [*ladder_of(domain), *every], f"the ladder of {domain.name}")
    for module, name in methods_of(domain, setting.backend):
        if chosen and module not in chosen and f"{module}/{name}" not in chosen:
            continue
        if missing and ladders.rung(module, name, setting) is not None:
            continue
        found = ladders.measure(host, setting, module, name, seeds=range(seeds), gpu=setting.wants_gpu)
        ladders.write(domain, module, name, setting, found)
        one = ladders.standing(module, name, setting)
        values = ", ".join("failed" if value is None else f"{value:.4g}" for value in found.values)
        score = "no baseline" if one is None else f"{one.score:.2f} ± {one.error:.2f}"
        _console.print(f"{domain.name} {setting.key} {module}/{name}: {score} ({values})", markup=False)


def rehearse(
    domain: Annotated[str, typer.Argument(help="Domain, or 'all'.")] = "all",
    dataset: DatasetsOption = None,
    backend: Annotated[list[str] | None, typer.Option(help="Only these backends.")] = None,
    scale: ScaleOption = ScaleName.FULL,
    share: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the training that the shorter of two exams does.")
    ] = 0.001,
    budget: Annotated[float, typer.Option(min=0, help="Most seconds of each exam.")] = 600.0,
    out: Annotated[Path | None, typer.Option(help="Write what was found as JSON.", show_default=False)] = None,
    device: DeviceOption = DeviceName.AUTO,
    sandbox: SandboxOption = "auto",
) -> None:
    """Run short exams with a scale's settings: do they start, in what memory, and how long do whole ones last?"""
    from discoenv.errors import DatasetUnavailable
    from discoenv.exams.host import Host  # runs exams, and so needs NumPy
    from discoenv.scoring import rehearsal
    from discoenv.tasks.registry import get_domain, get_domains
    from discoenv.tasks.task import Setting

    found: list[dict[str, Any]] = []
    with Host(sandbox, device=device.value) as host:
        for name in get_domains() if domain == "all" else [domain]:
            one = get_domain(name)
            for chosen in dataset or [each for each in one.datasets if scale.value in one.scales(each)]:
                for one_backend in backend or one.backends:
                    one.require(dataset=chosen, backend=one_backend)
                    setting = Setting(one, one_backend, chosen, scale.value)
                    row: dict[str, Any] = {"domain": name, "setting": setting.key, "status": "", "message": ""}
                    row["device"] = host.device(setting.wants_gpu).name
                    try:
                        each = rehearsal.rehearse(host, setting, budget_s=budget, share=share)
                    except DatasetUnavailable as error:
                        row |= {"status": "unavailable", "message": str(error)}
                    except InfraError as error:
                        row |= {"status": "infra_error", "message": str(error)}
                    else:
                        row |= {"status": each.result.status, "message": each.result.message}
                        if each.passed:
                            row |= {"trained": each.trained, "memory_bytes": each.memory_bytes}
                            row |= {"starting_s": each.starting_s, "whole_s": each.whole_s}
                    found.append(row)
                    _console.print(_rehearsed(row), markup=False)
                    if out is not None:  # so that what was found is kept if this is stopped
                        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if any(row["status"] not in ("ok", "unavailable") for row in found):
        raise SystemExit(1)


def _rehearsed(row: dict[str, Any]) -> str:
    """A line about one rehearsal."""
    label = f"{row['domain']} {row['setting']} on {row['device']}"
    if row["status"] != "ok":
        return f"{label}: {row['status']}: {row['message'].strip()}"
    whole = row["whole_s"]
    lasting = f"{whole / 3600:.1f} h" if whole >= 3600 else f"{whole / 60:.1f} min"
    return (
        f"{label}: starts in {row['starting_s']:.0f} s, takes {row['memory_bytes'] / 2**30:.2f} GiB, "
        f"a whole exam about {lasting} (from {row['trained']:.2%} of it)"
    )


def exam(
    workspace: Annotated[Path, typer.Argument(help="A task's folder, as materialised.")] = Path(),
    dataset: DatasetsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Which exams: held-out data follow from it and your secret.")] = 0,
    budget: Annotated[float, typer.Option(min=0, help="Compute budget of an exam, in CPU seconds.")] = 3600.0,
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
    chosen = dataset_names(dataset, task.resolve())
    measured = objectives.get(task.objective).measured
    present = [name for name in task.datasets if (workspace / name / "main.py").is_file()]
    for name in chosen:
        if name not in present:
            raise UnknownName("dataset", name, present, str(workspace))
    results: dict[str, Any] = {}
    failures: dict[str, str] = {}
    with Host(sandbox, device=device.value) as host:
        for name in chosen or present:
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
