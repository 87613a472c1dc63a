"""Runs the published experiments of DSAGE as one experiment: ``python docs/quality_diversity.py study FOLDER``.

Each configuration and seed is a job of :func:`discoenv.experiment.run_experiment`, whose folder holds that of a run of
``discoenv.kits.quality_diversity``. A job that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from discoenv.errors import ExperimentError
from discoenv.experiment import Config, Grid, run_experiment
from discoenv.experiment.cluster import connect, slurm_script
from discoenv.kits.quality_diversity.experiments import TABLE, Size, changed, experiment, names
from discoenv.kits.quality_diversity.results import collect, heat_maps, statistics, table
from discoenv.kits.quality_diversity.runs import run

app = typer.Typer(add_completion=False, no_args_is_help=True)


def one_run(config: dict[str, Any], seed: int, device: str, logdir: Path) -> dict[str, float]:
    """A run in the folder ``run`` of a job; its QD-score and coverage.

    Args:
        config: ``experiment``, a name; ``size``; ``changes``, other settings.
        seed: of the run.
        device: of the surrogate.
        logdir: of the job.
    """
    import torch  # noqa: PLC0415 - workers set the limits on threads first

    torch.set_num_threads(1)
    made = changed(experiment(config["experiment"], config["size"]), **config["changes"])
    search = run(made, seed, logdir / "run", resume=True, device=device)
    return {"qd_score": search.archive.qd_score(), "coverage": search.archive.coverage}


@app.callback()
def main() -> None:
    """DSAGE: the published experiments."""


@app.command()
def study(
    folder: Annotated[Path, typer.Argument(help="of the experiment; what is unfinished there is continued")],
    size: Annotated[str, typer.Option(help="full, small or test")] = "small",
    seeds: Annotated[int, typer.Option(help="runs of each configuration, from seed 0")] = 5,
    workers: Annotated[int, typer.Option(help="processes")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="experiments (default: the rows of both tables)")] = None,
    epochs: Annotated[int | None, typer.Option(help="of the surrogate per round")] = None,
    dask: Annotated[str, typer.Option(help="local, slurm:FILE, or the address of a scheduler")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the script of a SLURM job, and stop")] = False,
) -> None:
    """Run every variant with every seed, and print the published table."""
    if dry_run:
        if not dask.startswith("slurm:"):
            raise typer.BadParameter("--dry-run prints the script of a SLURM job; give --dask slurm:FILE")
        typer.echo(slurm_script(Path(dask.removeprefix("slurm:"))))
        return
    chosen = list(only or [f"{domain}/{variant}" for domain, variants in TABLE.items() for variant in variants])
    if unknown := set(chosen) - set(names()):
        raise typer.BadParameter(f"there is no experiment {', '.join(sorted(unknown))}; known are {', '.join(names())}")
    if size not in Size.__args__:  # type: ignore[attr-defined]
        raise typer.BadParameter(f"--size {size}: known are full, small and test")
    config = Config({"experiment": Grid(chosen), "size": size, "changes": {} if epochs is None else {"epochs": epochs}})
    try:
        with connect(dask, workers=workers, folder=folder / "dask") if dask else contextlib.nullcontext() as client:
            run_experiment(
                one_run,
                config,
                range(seeds),
                folder,
                max_workers=workers if workers > 1 or client is not None else None,
                client=client,
                on_exists="resume",
                verbose=False,
            )
    except ExperimentError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    show(folder)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="of the experiment")]) -> None:
    """Print tables and statistics of what is finished, write them to results.md, and draw the archives."""
    order = {name: number for number, name in enumerate(names())}
    runs = sorted(collect(folder), key=lambda each: (order[each.experiment.name], each.seed))
    parts = []
    for domain in dict.fromkeys(each.experiment.name.split("/")[0] for each in runs):
        members = [each for each in runs if each.experiment.name.split("/")[0] == domain]
        parts.append("\n\n".join(part for part in (f"## {domain}", table(members), statistics(members)) if part))
        heat_maps(members, folder / f"{domain}_archives.svg")
    text = "\n\n".join(parts)
    typer.echo(text)
    (folder / "results.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    app()
