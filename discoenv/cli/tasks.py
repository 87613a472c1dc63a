"""Commands that users of DiscoGen know: creating, sampling, listing and showing tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discoenv import objectives
from discoenv.arguments import require_effect
from discoenv.cli.options import ScaleName, SplitName
from discoenv.errors import TaskError
from discoenv.tasks.names import domain_name, task_name
from discoenv.tasks.registry import get_domains

if TYPE_CHECKING:
    from discoenv.tasks.specification import Scale
    from discoenv.tasks.task import Selection, Task, TaskSide

*_MOST, _LAST = objectives.names()
_OBJECTIVES = f"{', '.join(_MOST)} or {_LAST}"

DomainOption = Annotated[str, typer.Option(help="Domain; see get-domains.", callback=domain_name)]
TestOption = Annotated[bool, typer.Option("--test", help="Meta-test side; keeps discovered/.")]
UseBaseOption = Annotated[bool, typer.Option("--use-base", help="Modules start as baselines, not as stubs.")]
NoDataOption = Annotated[bool, typer.Option("--no-data", help="Do not fetch data.")]
EvalTypeOption = Annotated[str | None, typer.Option(help=f"Objective: {_OBJECTIVES}.")]
BaselineScaleOption = Annotated[
    float | None, typer.Option(help="Score to reach while saving cost; 1: the baseline's.", show_default="1.0")
]
CacheRootOption = Annotated[Path | None, typer.Option(help="Where fetched data is kept.", show_default=False)]
ConfiguredScaleOption = Annotated[
    ScaleName | None, typer.Option(help="Compute per run.", show_default="small", case_sensitive=False)
]
SourcePathOption = Annotated[str | None, typer.Option(help="Folder of the task.", show_default="task_src/…")]


def list_domains() -> None:
    """List the domains."""
    typer.echo("\n".join(get_domains()))


def get_modules() -> None:
    """List the modules of each domain."""
    from discoenv.tasks.registry import get_domain

    typer.echo("\n".join(f"{name}: {', '.join(get_domain(name).modules)}" for name in get_domains()))


def create_config(
    task_domain: DomainOption,
    save_dir: Annotated[Path, typer.Option(help="Folder of the file.")] = Path("task_configs"),
) -> None:
    """Write a domain's default configuration, to be edited."""
    from discoenv.discogen import api  # draws tasks, and so needs NumPy

    path = save_dir / f"task_config_{task_domain.replace('/', '_')}.yaml"
    _save(api.create_config(task_domain), path)
    typer.echo(f"{path}: set change_<module> to true, choose datasets, then:")
    typer.echo(f"discoenv create-task --task-domain {task_domain} --config-path {path}")


def create_task(
    task_domain: DomainOption,
    test: TestOption = False,
    config_path: Annotated[Path | None, typer.Option(help="Configuration, a YAML file.", show_default=False)] = None,
    example: Annotated[bool, typer.Option("--example", help="Use the domain's example.")] = False,
    use_base: UseBaseOption = False,
    no_data: NoDataOption = False,
    eval_type: EvalTypeOption = None,
    baseline_scale: BaselineScaleOption = None,
    cache_root: CacheRootOption = None,
    scale: ConfiguredScaleOption = None,
) -> None:
    """Write a task's files. Without --example or --config-path nothing is editable."""
    from discoenv.discogen import api

    created = api.create_task(
        task_domain,
        test=test,
        example=example,
        use_base=use_base or None,
        no_data=no_data,
        config_path=config_path,
        eval_type=eval_type,
        baseline_scale=baseline_scale,
        cache_root=cache_root,
        scale=scale.value if scale else None,
    )
    _created(created)


def sample_task_config(
    p_edit: Annotated[float, typer.Option(help="Probability of a module being editable.")] = 0.3,
    p_data: Annotated[
        str, typer.Option(help="Weights of meta-train, meta-test, neither; or two probabilities.")
    ] = "[0.4,0.4,0.2]",
    p_use_base: Annotated[float, typer.Option(help="Probability of starting from the baseline.")] = 0.5,
    eval_type: Annotated[str, typer.Option(help=f"Objective: random, {_OBJECTIVES}.")] = "random",
    no_backends: Annotated[bool, typer.Option("--no-backends", help="Only the default backend.")] = False,
    source_path: SourcePathOption = None,
    max_attempts: Annotated[int, typer.Option(help="Draws until modules and datasets fit.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="Same seed, same task.", show_default=False)] = None,
    config_dest: Annotated[Path, typer.Option(help="File to write.")] = Path("task_config.yaml"),
    scale: ConfiguredScaleOption = None,
    task_domain: Annotated[
        list[str] | None,
        typer.Option(help="Only these domains (repeat the option).", show_default="all", callback=domain_name),
    ] = None,
    split: Annotated[
        SplitName, typer.Option(help="Meta-test: any, of other families (shift), or larger (scale).")
    ] = SplitName.RANDOM,
) -> None:
    """Draw a random task and write its configuration."""
    from discoenv.discogen import api

    domain, config = api.sample_task_config(
        p_edit=p_edit,
        p_data=_numbers(p_data),
        p_use_base=p_use_base,
        eval_type=eval_type,
        use_backends=not no_backends,
        source_path=source_path,
        max_attempts=max_attempts,
        seed=seed,
        scale=scale.value if scale else None,
        domains=task_domain or None,
        split=split.value,
    )
    _save(config, config_dest)
    typer.echo(f"{config_dest}: a task of {domain}. To create it:")
    typer.echo(f"discoenv create-task --task-domain {domain} --config-path {config_dest}")


def get_discobench() -> None:
    """List the DiscoBench tasks, which agents are compared by."""
    from discoenv.tasks.discobench import get_discobench_tasks

    typer.echo("\n".join(get_discobench_tasks()))


def create_discobench(
    task_name: Annotated[str, typer.Option(help="Task; see get-discobench.", callback=task_name)],
    test: TestOption = False,
    use_base: UseBaseOption = False,
    no_data: NoDataOption = False,
    eval_type: EvalTypeOption = "performance",
    cache_root: CacheRootOption = None,
    source_path: SourcePathOption = None,
    baseline_scale: BaselineScaleOption = 1.0,
    scale: ConfiguredScaleOption = None,
) -> None:
    """Write the files of a DiscoBench task."""
    from discoenv.discogen import api

    created = api.create_discobench(
        task_name,
        test=test,
        use_base=use_base,
        no_data=no_data,
        eval_type=eval_type,
        cache_root=cache_root,
        source_path=source_path,
        baseline_scale=1.0 if baseline_scale is None else baseline_scale,
        scale=scale.value if scale else None,
    )
    _created(created)


def show(
    task: Annotated[
        str, typer.Argument(help="DiscoBench task, configuration file, or a task's folder.", callback=task_name)
    ],
) -> None:
    """Show what a task contains."""
    from rich.console import Console
    from rich.table import Table

    from discoenv.discogen import api

    found = api.read(task)
    domain = found.resolve()
    table = Table(show_header=False, title=_title(found, task), title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    fixed = [module for module in domain.modules if module not in found.modules]
    start = "interfaces only" if found.start == "stub" else "baseline implementations"
    rows = {
        "domain": f"{domain.name}, {domain.specification.title}",
        "editable modules": ", ".join(found.modules) or "none: a view of the code base",
        "other modules": ", ".join(fixed) or "none",
        **_datasets(found),
        "backend": f"{found.backend}: {domain.specification.backends[found.backend].summary}",
        "objective": _objective(found),
        "start": f"{found.start}: {start}",
        "scale": found.scale,
        "scored by": _metrics(found),
        **_best_known(found),
        **_doubts(found),
    }
    for key, value in rows.items():
        table.add_row(key, value)
    Console(emoji=False).print(table, markup=False)


def count_tasks(
    context: typer.Context,
    scale: Annotated[
        ScaleName | None,
        typer.Option(
            help="Only datasets that can be used here at this scale.",
            show_default="all datasets",
            case_sensitive=False,
        ),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="With --scale: there is a GPU.")] = False,
) -> None:
    """Count the tasks that can be drawn, per domain and in all."""
    from rich.console import Console
    from rich.table import Table

    from discoenv.discogen import api

    if scale is None:
        require_effect(context, ["gpu"], "without --scale")
    sizes = api.sizes(scale.value if scale else None, gpu=gpu)
    table = Table("domain", title="Different tasks")
    for column in ("M", "D", "B", "O", "tasks"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, row in sizes.items():
        table.add_row(name, *(f"{value:,}" for value in row.values()))
    table.add_section()
    table.add_row("all", "", "", "", "", f"{sum(row['tasks'] for row in sizes.values()):,}")
    console = Console(emoji=False)
    console.print(table)
    console.print(
        "tasks = (2^M − 1) · (3^D − 2·2^D + 1) · B · O · 2\n"
        "A non-empty choice of M modules; each of D datasets in meta-train, meta-test or\n"
        "neither, no side empty; B backends; O objectives; start from stub or base.\n"
        "Scales, seeds and thresholds are not counted.",
        highlight=False,
    )
    if scale is not None:
        _print_doubted(scale.value)


def _print_doubted(scale: Scale) -> None:
    """Name the datasets that the sampler leaves out, and why."""
    from rich.console import Console

    from discoenv.scoring import offered
    from discoenv.tasks.registry import get_domain

    lines = [
        f"{name}, {backend}, {dataset}: {why}"
        for name in get_domains()
        for (backend, dataset), why in offered.doubted(get_domain(name), scale).items()
    ]
    if lines:
        text = "\n".join(
            [f"\nNot sampled at scale {scale}, because a better module can hardly be told from luck:", *lines]
        )
        Console(emoji=False).print(text, highlight=False, markup=False, soft_wrap=True)


def _title(task: Selection, name: str) -> str:
    from discoenv.tasks.task import Task

    return task.task_id if isinstance(task, Task) else name


def _datasets(task: TaskSide | Task) -> dict[str, str]:
    from discoenv.tasks.task import TaskSide

    if isinstance(task, TaskSide):
        return {"datasets": ", ".join(task.datasets)}
    runs = {"meta-train": (task.meta_train, task.train_seeds), "meta-test": (task.meta_test, task.test_seeds)}
    return {
        side: f"{', '.join(names)} ({seeds} {'seed' if seeds == 1 else 'seeds'} each)"
        for side, (names, seeds) in runs.items()
    }


def _doubts(task: TaskSide | Task) -> dict[str, str]:
    """Datasets of a task on which scores mean little."""
    from discoenv.scoring import offered
    from discoenv.tasks.task import TaskSide

    domain = task.resolve()
    datasets = task.datasets if isinstance(task, TaskSide) else (*task.meta_train, *task.meta_test)
    doubted = offered.doubted(domain, task.scale)
    lines = [f"{name}: {doubted[task.backend, name]}" for name in datasets if (task.backend, name) in doubted]
    return {"scores that mean little": "\n".join(lines)} if lines else {}


def _best_known(task: TaskSide | Task) -> dict[str, str]:
    """The best known method for an editable module on each of a task's datasets, where any is better than the base."""
    from discoenv.scoring import ladders
    from discoenv.tasks.ladder import ladder_of
    from discoenv.tasks.task import Setting, TaskSide

    domain = task.resolve()
    datasets = task.datasets if isinstance(task, TaskSide) else (*task.meta_train, *task.meta_test)
    lines = []
    for name in datasets:
        best = ladders.best_known(Setting(domain, task.backend, name, task.scale), task.modules)
        if best is not None:
            title = ladder_of(domain)[best.module].methods[best.method].title
            lines.append(f"{name}: {title} ({best.module}), {best.score:.2f} ± {best.error:.2f}")
    return {"best known method": "\n".join(lines)} if lines else {}


def _objective(task: Selection) -> str:
    if task.objective == "performance":
        return task.objective
    return f"{task.objective}, if each normalised score reaches {task.baseline_scale:g}"


def _metrics(task: TaskSide | Task) -> str:
    from discoenv.tasks.task import TaskSide

    domain = task.resolve()
    datasets = task.datasets if isinstance(task, TaskSide) else (*task.meta_train, *task.meta_test)
    metrics = dict.fromkeys(domain.metric(dataset) for dataset in datasets)
    return "; ".join(
        f"{metric.name} ({'higher' if metric.direction == 'max' else 'lower'} is better), {metric.unit}"
        for metric in metrics
    )


def _save(config: dict[str, Any], path: Path) -> None:
    from discoenv.machine import atomic
    from discoenv.tasks.yaml_text import dump

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, dump(config))


def _created(folder: Path) -> None:
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    typer.echo(f"{shown}: edit discovered/, then: python {shown / 'run_main.py'}")


def _numbers(text: str) -> list[float]:
    """``[0.4, 0.4, 0.2]``, with or without brackets."""
    try:
        return [float(number) for number in text.strip().strip("[]()").replace(",", " ").split()]
    except ValueError:
        raise TaskError(f"--p-data: {text!r} is not a list of numbers such as [0.4,0.4,0.2]") from None
