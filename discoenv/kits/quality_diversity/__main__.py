"""Run published experiments, and show what runs have reached: the commands of this package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from .experiments import Size, changed, experiment, names
from .results import collect, heat_maps, level_pictures, statistics, table
from .runs import new_folder, read, run
from .search import Round


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: as on the command line; None: those of the process.

    Returns:
        The exit code: 0, or 2 where what is asked for does not exist.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    commands = parser.add_subparsers(required=True)

    listed = commands.add_parser("list", help="print the names of all experiments")
    listed.set_defaults(run=lambda options: print("\n".join(names())))

    start = commands.add_parser("run", help="run an experiment")
    start.set_defaults(run=_run)
    start.add_argument("name", help="of the experiment, such as maze/dsage")
    start.add_argument("seed", type=int)
    start.add_argument("--size", choices=get_args(Size), default="full", help="default: the published one")
    start.add_argument("--logs", type=Path, default=Path("logs"), help="where the run's folder is made (default: logs)")
    start.add_argument("-r", "--reload", type=Path, help="folder of a run, which is continued")
    start.add_argument("--archive-every", type=int, default=-1, help="rounds (default: the last one alone)")
    start.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="settings, such as epochs=20")
    start.add_argument("--device", default="cpu", help="of the surrogate (default: cpu)")

    again = commands.add_parser("reload", help="continue a run with the experiment and the seed in its folder")
    again.set_defaults(run=_reload)
    again.add_argument("folder", type=Path)
    again.add_argument("--archive-every", type=int, default=-1)
    again.add_argument("--device", default="cpu")

    shown = commands.add_parser("show", help="print the table of all finished runs below a folder, and draw archives")
    shown.set_defaults(run=_show)
    shown.add_argument("folder", type=Path)
    shown.add_argument("--statistics", action="store_true", help="analysis of variance, and t-tests")
    shown.add_argument("--pictures", action="store_true", help="write archives.svg and levels.svg into the folder")
    return parser


def _run(options: argparse.Namespace) -> None:
    made = changed(experiment(options.name, options.size), **_numbers(options.set))
    folder = options.reload or new_folder(options.logs, options.name)
    _go(made, options.seed, folder, options)


def _reload(options: argparse.Namespace) -> None:
    made, seed = read(options.folder)
    _go(made, seed, options.folder, options)


def _go(made: Any, seed: int, folder: Path, options: argparse.Namespace) -> None:
    if made.settings.mode == "surrogate":
        import torch  # noqa: PLC0415 - slow to import, and not needed without a surrogate

        torch.set_num_threads(1)  # results depend on how many there are
    print(f"{made.title}, seed {seed}, in {folder}", flush=True)
    run(
        made,
        seed,
        folder,
        resume=True,
        archive_every=options.archive_every,
        device=options.device,
        on_round=_print,
    )


def _print(done: Round) -> None:
    print(
        f"round {done.number}: {done.evaluations} evaluations, QD-score {done.qd_score:.2f}, "
        f"coverage {done.coverage:.3f}",
        flush=True,
    )


def _show(options: argparse.Namespace) -> None:
    order = {name: number for number, name in enumerate(names())}
    runs = sorted(collect(options.folder), key=lambda each: (order.get(each.experiment.name, 0), each.seed))
    for domain in dict.fromkeys(each.experiment.name.split("/")[0] for each in runs):
        members = [each for each in runs if each.experiment.name.split("/")[0] == domain]
        print(f"{domain}\n\n{table(members)}\n")
        if options.statistics and (text := statistics(members)):
            print(text + "\n")
        if options.pictures:
            for name, draw in (("archives", heat_maps), ("levels", level_pictures)):
                path = options.folder / f"{domain}_{name}.svg"
                draw(members if name == "archives" else members[0], path)  # type: ignore[arg-type]
                print(f"wrote {path}")


def _numbers(pairs: Sequence[str]) -> dict[str, Any]:
    """Settings from ``NAME=NUMBER``."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: expected NAME=NUMBER, such as epochs=20")
        try:
            found[name] = float(value) if "." in value or "e" in value else int(value)
        except ValueError as error:
            raise ValueError(f"--set {pair}: {value!r} is no number") from error
    return found


if __name__ == "__main__":
    sys.exit(main())
