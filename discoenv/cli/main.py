"""The ``discoenv`` command."""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from discoenv.cli import audit as audit_commands
from discoenv.cli import bench as bench_commands
from discoenv.cli import data as data_commands
from discoenv.cli import domains as domain_commands
from discoenv.cli import mcp as mcp_commands
from discoenv.cli import sandbox as sandbox_commands
from discoenv.cli import tasks as generation_commands
from discoenv.cli import viewer as viewer_commands
from discoenv.episodes import plots
from discoenv.episodes.evaluation import Evaluation
from discoenv.episodes.record import Run
from discoenv.errors import (
    DiscoenvError,
    InfraError,
    NotImportable,
    UnknownName,
    UnknownSandbox,
)
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.machine import scratch
from discoenv.sandbox import checks, get_sandbox, inventory
from discoenv.sandbox.base import Check, Sandbox
from discoenv.scoring import baselines, calibration
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains, load_pack
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.specification import SCALES
from discoenv.tasks.task import Setting, TaskSide

app = typer.Typer(
    help="Machine-learning algorithm discovery as a Gymnasium environment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
generation_commands.add_to(app)
sandbox_commands.add_to(app)
audit_commands.add_to(app)
mcp_commands.add_to(app)
data_commands.add_to(app)
domain_commands.add_to(app)
bench_commands.add_to(app)
viewer_commands.add_to(app)
console = Console()
errors = Console(stderr=True)

DeviceOption = Annotated[str, typer.Option(help="What to train on: cpu, gpu, or auto (a GPU at scale full).")]
SandboxOption = Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command; errors that a user can mend are one message, without a traceback."""
    try:
        app(arguments)
    except DiscoenvError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Install a sandbox if none works and we may.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing if a sandbox works.")] = False,
) -> None:
    """Show what works on this machine, what is missing, and the command that installs it."""
    found = checks()
    if fix and not _sandboxed(found):
        _install_sandbox(found)
        found = checks()
    if quiet and _sandboxed(found):
        return
    table = Table("", "part", "state", "to mend it", title="discoenv doctor")
    for check in found:
        mark = "[green]✓[/]" if check.works else "[red]✗[/]"
        table.add_row(mark, check.name, escape(check.detail), escape(check.fix))
    for name in get_domains():
        domain = get_domain(name)
        missing = _missing(domain)
        state = f"{len(domain.datasets)} datasets, {len(domain.modules)} modules"
        install = f"pip install 'discoenv[{domain.specification.extra}]'" if missing else ""
        detail = f"needs {', '.join(missing)}" if missing else state
        table.add_row("[red]✗[/]" if missing else "[green]✓[/]", name, escape(detail), escape(install))
    console.print(table)
    if not _sandboxed(found):
        raise typer.Exit(1)


def _sandbox(name: str) -> Sandbox:
    try:
        return get_sandbox(name)
    except ValueError as error:
        raise UnknownSandbox(str(error)) from None


def _sandboxed(found: list[Check]) -> bool:
    """Whether a provider that isolates works."""
    return any(check.works for check in found if check.name != "process")


def _install_sandbox(found: list[Check]) -> None:
    """Install bubblewrap as root or with passwordless sudo; otherwise say what to type."""
    command = next((check.fix for check in found if check.name == "bubblewrap"), "")
    if not command.startswith("sudo "):
        return
    if os.geteuid() == 0:
        command = command.removeprefix("sudo ")
    elif subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        errors.print(f"No sandbox works here yet. Type: [bold]{command}[/]", highlight=False)
        return
    errors.print(f"Installing a sandbox: {command}", highlight=False)
    for asking, unasked in _UNATTENDED.items():
        command = command.replace(asking, unasked)
    prefix = "sudo " if command.startswith("sudo ") else ""
    attempts = [[command], [f"{prefix}apt-get update", command]] if "apt-get" in command else [[command]]
    for attempt in attempts:  # a new machine may have no list of packages yet
        done = subprocess.run(
            ["sh", "-c", " && ".join(attempt)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
        if done.returncode == 0:
            return
    errors.print(done.stderr[-2000:], markup=False, highlight=False)


#: Package managers' commands that ask, and those that do not.
_UNATTENDED = {
    "apt-get install": "apt-get install -y",
    "dnf install": "dnf install -y",
    "pacman -S": "pacman -S --noconfirm",
    "zypper install": "zypper --non-interactive install",
}


@app.command()
def calibrate(
    domain: Annotated[str, typer.Argument(help="Domain, or 'all'.")],
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    backend: Annotated[list[str] | None, typer.Option(help="Only these backends.")] = None,
    scale: Annotated[list[str] | None, typer.Option(help="Only these scales; default: tiny and small.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Exams per dataset.")] = 3,
    local: Annotated[bool, typer.Option("--local", help="Write to this machine's cache, not to the domain.")] = False,
    device: DeviceOption = "auto",
    sandbox: SandboxOption = "auto",
) -> None:
    """Measure floors and baselines, and write them where tasks look for them."""
    host = Host(_sandbox(sandbox), device=device)
    for name in get_domains() if domain == "all" else [domain]:
        found = get_domain(name)
        for chosen in scale or ("tiny", "small"):
            if chosen not in SCALES:
                raise UnknownName("scale", chosen, SCALES)
            for one_backend in backend or found.backends:
                for one in dataset or available_datasets(found, chosen, gpu=True):
                    found.require(dataset=one, backend=one_backend)
                    _calibrate(host, Setting(found, one_backend, one, chosen), seeds, local=local)
    host.close()


def _calibrate(host: Host, setting: Setting, seeds: int, *, local: bool) -> None:
    domain = setting.domain
    gpu = domain.wants_gpu(setting.scale, [setting.dataset])
    device = host.device(gpu).name
    label = f"{domain.name} {setting.backend} {setting.dataset} {setting.scale} on {device}"

    def show(result: ExamResult) -> None:
        value = (result.metrics or {}).get(setting.metric.name)
        console.print(
            f"  {label} seed {result.seed}: {value:.4g} in {result.seconds:.1f} s", highlight=False, soft_wrap=True
        )

    with host.reserve(alone=local) as cores:  # costs are compared with this machine's own only
        entry = calibration.calibrate(host, setting, seeds=range(seeds), gpu=gpu, held=cores, on_exam=show)
    path = calibration.destination(domain, local=local, device=device)
    baselines.write(path, {setting.key: entry})
    console.print(
        f"[bold]{label}[/]: floor {entry.floor.mean:.4g} ± {entry.floor.std:.2g}, "
        f"baseline {entry.baseline.mean:.4g} ± {entry.baseline.std:.2g}, {entry.seconds.mean:.1f} s per exam",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def exam(
    workspace: Annotated[Path, typer.Argument(help="A task's folder, as materialised.")] = Path(),
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the exams.")] = 0,
    budget: Annotated[float, typer.Option(min=0, help="Most seconds of training and answering per exam.")] = 3600.0,
    device: DeviceOption = "auto",
    sandbox: SandboxOption = "auto",
) -> None:
    """Run the exams of a workspace that was edited by hand; prints {"results": …, "errors": …} as JSON."""
    workspace = workspace.resolve()
    task = TaskSide.parse(workspace / "task.yaml")
    domain = task.resolve()
    present = [name for name in task.datasets if (workspace / name / "main.py").is_file()]
    for name in dataset or []:
        if name not in present:
            raise UnknownName("dataset", name, present, str(workspace))
    results: dict[str, Any] = {}
    failures: dict[str, str] = {}
    gpu = domain.wants_gpu(task.scale, dataset or present)
    with Host(_sandbox(sandbox), device=device) as host:
        for name in dataset or present:
            errors.print(f"{name} …", highlight=False)
            try:
                result = host.run(workspace, ExamSpec(task.setting(name), seed, budget, gpu=gpu))
            except InfraError as error:
                failures[name] = f"infra_error: {error}"
                continue
            if result.metrics is None:
                failures[name] = f"{result.status}: {result.message}\n{result.traceback}".strip()
            else:
                results[name] = {**result.metrics, "seconds": result.seconds}
    print(json.dumps({"results": results, "errors": failures}))


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    device: DeviceOption = "",
    sandbox: Annotated[str, typer.Option(help="Provider; default: the one of the run.")] = "",
    reward_fn: Annotated[
        str, typer.Option(help="Function package.module:name that made the reward; default: the objective's.")
    ] = "",
) -> None:
    """Score a recorded submission again on the meta-test datasets, with the seeds of the run."""
    from discoenv import objectives  # numpy is not needed by the other commands' help

    recorded = Run(run)
    for pack in recorded.setup.get("packs", []):
        load_pack(pack)
    modules = recorded.submission()
    objective = objectives.get(recorded.task.objective)
    reward_of = _function(reward_fn) if reward_fn else objective.reward
    device = device or ("cpu" if recorded.setup.get("device", "cpu") == "cpu" else "gpu")
    with Host(_sandbox(sandbox or recorded.setup["sandbox"]), device=device) as host:
        evaluation = Evaluation(
            recorded.task,
            host,
            seed=int(recorded.setup["episode_seed"]),
            budget_scale=float(recorded.setup["budget_scale"]),
            costs=objective.measured,
            on_progress=_show_progress,
        )
        with contextlib.closing(evaluation):
            scores = evaluation.examine(modules, "meta_test")
    reward = reward_of(recorded.task, scores, modules).value
    before = (recorded.result or {}).get("meta_test", {})
    table = Table("dataset", "recorded", "again", title=f"{recorded.task.task_id}")
    for score in scores:
        old = before.get(score.dataset, {}).get("value")
        table.add_row(score.dataset, "–" if old is None else f"{old:.6g}", f"{score.record()['value']:.6g}")
    console.print(table)
    old_reward = (recorded.result or {}).get("reward")
    shown = "not finished" if old_reward is None else f"{old_reward:.6f}"
    console.print(f"reward: recorded {shown}, again {reward:.6f}", highlight=False)
    own = recorded.setup.get("reward_fn")
    if own and not reward_fn:
        errors.print(
            f"The recorded reward was made by {own}, the one above by the objective {recorded.task.objective!r}; "
            "--reward-fn takes a function that can be imported.",
            highlight=False,
            markup=False,
        )


@app.command()
def draw(run: Annotated[Path, typer.Argument(help="A run directory.")]) -> None:
    """Draw pictures of a recorded run into its folder `pictures`: scores, and what its domain has to show."""
    for path in plots.draw(run):
        console.print(str(path), highlight=False, markup=False, soft_wrap=True)


@app.command()
def gc() -> None:
    """Remove what killed processes left behind: containers, control groups and temporary folders."""
    removed = inventory.reap() + [f"folder {folder}" for folder in scratch.reap()]
    for each in removed:
        console.print(f"removed {each}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"removed {len(removed)} things")


def _function(name: str) -> Any:
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotImportable(f"--reward-fn {name}: {error}; a function is named as package.module:name") from None
    if not callable(found):
        raise NotImportable(f"--reward-fn {name}: is {type(found).__name__}, which cannot be called")
    return found


def _show_progress(progress: Progress) -> None:
    if progress.result is None:
        errors.print(f"[{progress.number}/{progress.total}] {progress.spec.dataset} …", highlight=False, markup=False)


def _missing(domain: Domain) -> list[str]:
    """Requirements of a domain that are not installed."""
    import importlib.metadata
    import re

    missing = []
    for requirement in domain.specification.requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing


if __name__ == "__main__":
    main()
