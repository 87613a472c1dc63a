"""``discoenv bench``: compares agents on tasks, unattended, on one machine or many."""

from __future__ import annotations

import shlex
import signal
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from discoenv.arguments import require_effect
from discoenv.cli.options import (
    REFERENCE_HELP,
    TRANSFORM_HELP,
    DeviceName,
    ReferenceName,
    ScaleName,
    ScaleOption,
    TransformName,
)
from discoenv.errors import BenchError
from discoenv.tasks.names import domain_name

if TYPE_CHECKING:
    from discoenv.bench.benchmark import Benchmark, BenchmarkProgress
    from discoenv.experiment import Finished

_STATES: Final = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "infra": "yellow",
    "interrupted": "yellow",
    "pending": "dim",
}

bench = typer.Typer(help="Compare agents on tasks.", no_args_is_help=True, add_completion=False)

Workers = Annotated[int, typer.Option(min=0, help="Cells at a time; with --dask, 0 for as many as there is room for.")]
Dask = Annotated[
    str, typer.Option(help="local, a scheduler's address or file, or slurm:CONFIG.yaml; default: processes here.")
]
GpusPerCell = Annotated[float, typer.Option(min=0, help="Dask: resource GPU that a cell needs of a worker.")]
MemoryPerCell = Annotated[float, typer.Option(min=0, help="Dask: resource MEMORY that a cell needs, in GB.")]
Retries = Annotated[int, typer.Option(min=0, help="Attempts after the machine failed at a cell.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Play cells again whose agent raised.")]
CellTimeout = Annotated[float | None, typer.Option(min=1, help="Seconds after which a cell has failed. Not on Dask.")]


#: Options that say where cells are run, which a benchmark that goes on takes, too.
_MEANS: Final = ("workers", "dask", "gpus_per_cell", "memory_per_cell", "retries", "retry_failed", "cell_timeout")


@dataclass(frozen=True)
class _Means:
    """Where cells are run."""

    workers: int
    dask: str
    gpus: float
    memory_gb: float
    retries: int
    retry_failed: bool
    timeout_s: float | None

    @property
    def resources(self) -> dict[str, float]:
        """What a cell needs of a Dask worker."""
        wanted = {"GPU": self.gpus, "MEMORY": self.memory_gb * 1e9}
        return {name: amount for name, amount in wanted.items() if amount}


@bench.command()
def run(
    context: typer.Context,
    agents: Annotated[
        list[str] | None, typer.Option(help="Agents, separated by commas, options after a colon.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(help="DiscoBench, sampled:N, a YAML file of tasks, or a DiscoBench task's name.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Cells per agent and task.")] = 3,
    out: Annotated[Path | None, typer.Option(help="The benchmark's folder; default: a new one in bench-runs/.")] = None,
    resume_directory: Annotated[
        Path | None, typer.Option("-r", "--resume", help="Continue the benchmark in this folder.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name shown in reports.")] = "bench",
    scale: ScaleOption = ScaleName.SMALL,
    domain: Annotated[
        list[str] | None,
        typer.Option(help="Only DiscoBench's and sampled tasks of this domain.", callback=domain_name),
    ] = None,
    task_seed: Annotated[int, typer.Option(min=0, help="Seed of sampled tasks.")] = 0,
    test_seeds: Annotated[int | None, typer.Option(min=1, help="Exams per meta-test dataset.")] = None,
    max_steps: Annotated[int, typer.Option(min=1, help="Actions per episode, the submission included.")] = 10,
    sandbox: Annotated[str, typer.Option(help="Provider, or several, the first that works on a node.")] = "auto",
    device: Annotated[DeviceName, typer.Option(help="What to train on.", case_sensitive=False)] = DeviceName.AUTO,
    budget_scale: Annotated[float, typer.Option(min=0.1, help="Compute budget of an exam, in baselines.")] = 2.0,
    reference: Annotated[
        ReferenceName, typer.Option(help=REFERENCE_HELP, case_sensitive=False)
    ] = ReferenceName.SHIPPED,
    transform: Annotated[
        TransformName, typer.Option(help=TRANSFORM_HELP, case_sensitive=False)
    ] = TransformName.ORDERED,
    exams_at_once: Annotated[
        int | None, typer.Option(min=1, help="Exams to run concurrently, per cell's process; default: cores.")
    ] = None,
    pack: Annotated[list[Path] | None, typer.Option(help="A folder of further domains.")] = None,
    secret: Annotated[
        Path | None, typer.Option(help="File of the secret that exam seeds come from; default: a new secret.")
    ] = None,
    workers: Workers = 1,
    dask: Dask = "",
    gpus_per_cell: GpusPerCell = 0.0,
    memory_per_cell: MemoryPerCell = 0.0,
    retries: Retries = 2,
    retry_failed: RetryFailed = False,
    cell_timeout: CellTimeout = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be run (and SLURM's script).")
    ] = False,
) -> None:
    """Play agents × tasks × seeds. It may be stopped: the same command, or `bench resume`, continues it."""
    from discoenv.bench.agents import parse_agents  # other commands' help needs none of this
    from discoenv.bench.benchmark import Benchmark
    from discoenv.bench.tasks import parse_tasks
    from discoenv.exams import secrets
    from discoenv.tasks.registry import load_pack

    means = _Means(workers, dask, gpus_per_cell, memory_per_cell, retries, retry_failed, cell_timeout)
    if resume_directory is not None:
        others = {each.name or "" for each in context.command.params} - {"resume_directory", *_MEANS}
        require_effect(context, others, "beside --resume")
        _run(Benchmark(resume_directory), means)
        return
    if not agents or not tasks:
        raise BenchError("give --agents and --tasks to compare, or -r DIR to continue a benchmark")
    kinds = [part.strip() for each in tasks for part in each.split(",")]
    if not any(each.startswith("sampled:") for each in kinds):
        require_effect(context, ["task_seed"], "without --tasks sampled:N")
        if "DiscoBench" not in kinds:
            require_effect(context, ["domain"], "without --tasks DiscoBench or sampled:N")
    packs = [str(each.resolve()) for each in pack or []]
    for each in packs:
        load_pack(each)
    known = parse_agents(agents)
    for agent in known:
        agent.load()
    chosen, left_out = parse_tasks(
        tasks,
        scale=scale.value,
        domains=domain or (),
        device=device.value,
        seed=task_seed,
        test_seeds=test_seeds,
        here=dask in ("", "local"),
    )
    console = Console(emoji=False)
    console.print(
        f"{len(known)} agents × {len(chosen)} tasks × {seeds} seeds = {len(known) * len(chosen) * seeds} cells"
    )
    for task, reason in left_out.items():
        console.print(Text(f"left out: {task}: {reason}", style="yellow"))
    if dry_run:
        _show_plan(console, [agent.text for agent in known], [task.task_id for task in chosen], means)
        return
    environment: dict[str, Any] = {
        "max_steps": max_steps,
        "sandbox": sandbox,
        "device": device.value,
        "limits": {"budget_scale": budget_scale},
        "reference": reference.value,
        "transform": transform.value,
        "exams_at_once": exams_at_once,
        "packs": packs,
    }
    benchmark = Benchmark.create(
        out,
        agents=known,
        tasks=chosen,
        seeds=range(seeds),
        name=name,
        root=Path("bench-runs"),
        environment=environment,
        left_out=left_out,
        secret=None if secret is None else secrets.read(secret),
    )
    _run(benchmark, means)


@bench.command()
def resume(
    directory: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    workers: Workers = 1,
    dask: Dask = "",
    gpus_per_cell: GpusPerCell = 0.0,
    memory_per_cell: MemoryPerCell = 0.0,
    retries: Retries = 2,
    retry_failed: RetryFailed = False,
    cell_timeout: CellTimeout = None,
) -> None:
    """Continue a benchmark: cells that are not done, and those at which the machine failed."""
    from discoenv.bench.benchmark import Benchmark

    means = _Means(workers, dask, gpus_per_cell, memory_per_cell, retries, retry_failed, cell_timeout)
    _run(Benchmark(directory), means)


@bench.command()
def status(directory: Annotated[Path, typer.Argument(help="A benchmark's folder.")]) -> None:
    """Show the progress of a benchmark, and what went wrong."""
    from discoenv.bench.benchmark import Benchmark

    benchmark = Benchmark(directory)
    console = Console(emoji=False)
    progress = benchmark.progress()
    console.print(_table(progress))
    for line in benchmark.problems():
        console.print(Text(line, style="yellow"), soft_wrap=True)
    if not progress.active and progress.settled < progress.cells:
        console.print(f"It is not running. Go on: discoenv bench resume {shlex.quote(str(directory))}", soft_wrap=True)


@bench.command()
def report(directory: Annotated[Path, typer.Argument(help="A benchmark's folder.")]) -> None:
    """Write a report of a benchmark: tables, intervals, plots."""
    from discoenv.bench.report.build import report as write

    Console(emoji=False).print(str(write(directory)), highlight=False, markup=False, soft_wrap=True)


@bench.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    secret: Annotated[
        Path | None, typer.Option(help="File of the secret, as published; default: the one kept on this machine.")
    ] = None,
    cells: Annotated[int, typer.Option(min=1, help="Cells to examine again, drawn by chance.")] = 5,
    sandbox: Annotated[str, typer.Option(help="Provider; default: as in the benchmark.")] = "",
    trust: Annotated[
        bool, typer.Option("--trust", help="Use packs and the sandbox that the benchmark names, which may be unsafe.")
    ] = False,
) -> None:
    """Check the secret of a benchmark, and hold exams of some cells again. The exit code is 1 if a score differs."""
    from discoenv.bench import verification
    from discoenv.bench.benchmark import Benchmark

    console, errors = Console(emoji=False), Console(emoji=False, stderr=True, highlight=False, soft_wrap=True)
    benchmark = Benchmark(directory)
    found = verification.matching(benchmark, secret)
    chosen = verification.sample(benchmark, cells)
    compared = verification.verify(
        benchmark,
        found,
        chosen,
        sandbox=sandbox,
        trust=trust,
        on_cell=lambda cell: errors.print(f"cell {cell.number}/{cell.seed} …", markup=False),
    )
    table = Table("cell", "agent", "domain", "score", "recorded", "repeated", "")
    for each in compared:
        cell, verdict = each.cell, Text("equal", "green") if each.equal else Text("differs", "red")
        words = [f"{cell.number}/{cell.seed}", cell.agent, str(cell.task["domain"]), each.what]
        table.add_row(*map(Text, words), f"{each.recorded:.6g}", f"{each.repeated:.6g}", verdict)
    console.print(table)
    differing = [each for each in compared if not each.equal]
    console.print(
        f"SHA-256 of the secret: {found.commitment}, as the benchmark says.\n"
        f"{len(chosen)} cells, {len(compared)} scores, {len(differing)} differ; largest difference "
        f"{max(each.difference for each in compared):.3g}.",
        highlight=False,
        soft_wrap=True,
    )
    if differing:
        for line in verification.other_versions(benchmark):
            errors.print(f"another version: {line}", markup=False)
        raise typer.Exit(1)


@bench.command()
def reveal(
    directory: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    out: Annotated[Path | None, typer.Option(help="Write the secret into this file, to be published.")] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Even if cells are still to be played.")] = False,
) -> None:
    """Show where the secret of a benchmark is, or write it into a file with which others can verify the benchmark."""
    from discoenv.bench import verification
    from discoenv.bench.benchmark import Benchmark
    from discoenv.exams import secrets

    benchmark, console = Benchmark(directory), Console(emoji=False, highlight=False, markup=False, soft_wrap=True)
    if out is None:
        console.print(str(secrets.found_at(benchmark.commitment)))
        return
    verification.publish(benchmark, out, unfinished=unfinished)
    words = ["discoenv", "bench", "verify", str(directory), "--secret", str(out)]
    console.print(f"{out}: publish it with the benchmark; others type: {shlex.join(words)}")


def _show_plan(console: Console, agents: list[str], tasks: list[str], means: _Means) -> None:
    for agent in agents:
        console.print(Text(f"agent {agent}"), soft_wrap=True)
    for task in tasks:
        console.print(Text(f"task  {task}"), soft_wrap=True)
    if means.dask.startswith("slurm:"):
        from discoenv.experiment.cluster import slurm_script

        script = slurm_script(Path(means.dask.removeprefix("slurm:")), resources=means.resources)
        console.print(script, markup=False, highlight=False, soft_wrap=True)


def _run(benchmark: Benchmark, means: _Means) -> None:
    """Run a benchmark to its end and show its progress. The exit code is 1 if cells are left to the next attempt."""
    console, commitment = Console(emoji=False), benchmark.commitment
    console.print(f"in {benchmark.directory}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"SHA-256 of its secret: {commitment}", highlight=False, soft_wrap=True)
    again = f"discoenv bench resume {shlex.quote(str(benchmark.directory))}"
    try:
        with ExitStack() as stack:
            stack.enter_context(_stoppable())
            client = None
            if means.dask:
                client = stack.enter_context(_connected(means, benchmark.directory, console))
            on_finished = stack.enter_context(_shown(console, benchmark))
            progress = benchmark.run(
                workers=means.workers,
                client=client,
                resources=means.resources,
                retries=means.retries,
                retry_failed=means.retry_failed,
                cell_timeout_s=means.timeout_s,
                on_finished=on_finished,
            )
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: {again}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    if not console.is_terminal:  # a terminal has it already
        console.print(_table(progress))
    for line in benchmark.problems():
        console.print(Text(line, style="yellow"), soft_wrap=True)
    if progress.settled < progress.cells:
        console.print(f"the machine failed at some cells; try these again: {again}", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    console.print(f"discoenv bench report {benchmark.directory}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _connected(means: _Means, directory: Path, console: Console) -> Iterator[Any]:
    from discoenv.experiment.cluster import connect  # few runs need Dask

    folder = directory / "dask"
    folder.mkdir(exist_ok=True)
    with connect(means.dask, workers=max(1, means.workers), resources=means.resources, folder=folder) as client:
        console.print(f"Dask dashboard: {client.dashboard_link}", highlight=False, markup=False, soft_wrap=True)
        yield client


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shown(console: Console, benchmark: Benchmark) -> Iterator[Any]:
    """Show a table that is refreshed on a terminal, a line per cell elsewhere. Yields the callback of ended cells."""
    from discoenv.bench.cell import read_result

    if console.is_terminal:
        with Live(
            console=console, get_renderable=lambda: _table(benchmark.progress(active=True)), refresh_per_second=1
        ):
            yield lambda finished: None
        return

    def line(finished: Finished) -> None:
        progress = benchmark.progress(active=True)
        config = finished.config
        words = [f"[{progress.settled}/{progress.cells}]", finished.state, config["agent"], config["task"]["domain"]]
        words += [",".join(config["task"]["modules"]), f"seed {finished.seed}"]
        if finished.state == "done":
            words.append(f"reward {read_result(finished.logdir).reward:.3f}")
        if progress.seconds_left is not None:
            words.append(f"(about {_duration(progress.seconds_left)} left)")
        console.print(" ".join([*words, finished.message]).strip(), highlight=False, markup=False, soft_wrap=True)

    yield line


def _table(progress: BenchmarkProgress) -> RenderableType:
    """Cells by state and mean reward, per agent."""
    shown_states = {state: style for state, style in _STATES.items() if progress.states.get(state)}
    table = Table("agent", *(f"[{style}]{state}" for state, style in shown_states.items()), "reward so far")
    for agent, states in progress.by_agent.items():
        rewards = progress.rewards.get(agent, [])
        spread = f" ± {statistics.stdev(rewards) / len(rewards) ** 0.5:.3f}" if len(rewards) > 1 else ""
        shown = f"{statistics.mean(rewards):.3f}{spread}" if rewards else "–"
        table.add_row(Text(agent), *(str(states.get(state, 0) or "") for state in shown_states), shown)
    left = "" if progress.seconds_left is None else f", about {_duration(progress.seconds_left)} left"
    line = f"{progress.settled} of {progress.cells} cells{left if progress.settled < progress.cells else ''}"
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=progress.cells, completed=progress.settled, width=30), line)
    return Group(table, bar)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
