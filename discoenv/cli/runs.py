"""Commands about recorded runs, and about what killed ones left behind: replay, draw, view and gc."""

from __future__ import annotations

import contextlib
import errno
import os
import pkgutil
import sys
import webbrowser
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from discoenv.cli.options import DeviceName, RunArgument
from discoenv.errors import DiscoenvError, NotImportable, RunError, SecretError

if TYPE_CHECKING:
    from discoenv.exams.secrets import Secret
    from discoenv.exams.spec import Progress

TrustOption = Annotated[
    bool, typer.Option("--trust", help="Use packs and the sandbox that the run names: code that may come with it.")
]
#: Where the viewer listens by default: always the same port, so that bookmarks of runs stay valid.
PORT: Final = 8642
_console = Console(emoji=False, highlight=False, soft_wrap=True)
_errors = Console(emoji=False, stderr=True, highlight=False)


def replay(
    run: RunArgument,
    device: Annotated[DeviceName | None, typer.Option(help="What to train on; default: as in the run.")] = None,
    sandbox: Annotated[str, typer.Option(help="Provider; default: as everywhere, or with --trust the run's.")] = "",
    reward_fn: Annotated[
        str, typer.Option(help="Function package.module:name that made the reward; default: the objective's.")
    ] = "",
    trust: TrustOption = False,
) -> None:
    """Score a recorded submission again on the meta-test datasets, in the exams of the run."""
    from rich.table import Table

    from discoenv import objectives
    from discoenv.episodes.evaluation import Evaluation  # runs exams, and so needs NumPy
    from discoenv.episodes.record import EpisodeRecord, trusted_packs
    from discoenv.exams.host import Host
    from discoenv.tasks.registry import load_pack

    recorded = EpisodeRecord.load(run, events=False)
    for pack in trusted_packs(recorded, trust=trust):
        load_pack(pack)
    modules = recorded.submission()
    objective = objectives.get(recorded.task.objective)
    reward_of = _function(reward_fn) if reward_fn else objective.reward
    on = device.value if device else ("cpu" if recorded.setup.device == "cpu" else "gpu")
    provider, secret = sandbox or (recorded.setup.sandbox if trust else "auto"), _secret_of(recorded.setup.secret)
    with Host(provider, device=on, secret=secret) as host:
        _warn_of_other_exams(recorded.setup.secret, host.secret)
        evaluation = Evaluation(
            recorded.task,
            host,
            seed=recorded.setup.episode_seed,
            budget_scale=recorded.setup.budget_scale,
            costs=objective.measured,
            scoring=recorded.setup.scoring,
            on_progress=_show_progress,
        )
        with contextlib.closing(evaluation):
            scores = evaluation.examine(modules, "meta_test")
    reward = objectives.compute(reward_of, recorded.task, scores, modules).value
    before = (recorded.result and recorded.result.meta_test) or {}
    table = Table("dataset", "recorded", "again", title=f"{recorded.task.task_id}")
    for score in scores:
        old = before.get(score.dataset)
        table.add_row(score.dataset, "–" if old is None else f"{old.metric:.6g}", f"{score.metric:.6g}")
    _console.print(table, soft_wrap=False)
    shown = "not finished" if recorded.result is None else f"{recorded.result.reward:.6f}"
    _console.print(f"reward: recorded {shown}, again {reward:.6f}")
    own = recorded.setup.reward_fn
    if own and not reward_fn:
        _errors.print(
            f"The recorded reward was made by {own}, the one above by the objective {recorded.task.objective!r}; "
            "--reward-fn takes a function that can be imported.",
            markup=False,
        )


def _secret_of(commitment: str | None) -> Secret | None:
    """The secret of a run, if it is on this machine and not the user's usual one; for example a benchmark's."""
    from discoenv.exams import secrets

    with contextlib.suppress(SecretError):
        return None if commitment is None else secrets.committed(commitment)
    return None


def _warn_of_other_exams(commitment: str | None, secret: Secret) -> None:
    """Say why scores will differ from the recorded ones, if they will."""
    if commitment is None:
        _errors.print("This run is of an older protocol, whose exams had public seeds: its scores are not repeated.")
    elif commitment != secret.commitment:
        _errors.print(
            "This run's exams came from another secret, so the held-out data below are others. Its scores are repeated "
            f"with the secret whose SHA-256 begins with {commitment[:12]}: DISCOENV_SECRET_FILE names its file."
        )


def draw(run: RunArgument, trust: TrustOption = False) -> None:
    """Draw pictures of a recorded run into its folder `pictures`: scores, and what its domain has to show."""
    from discoenv.episodes import plots  # reads the domain

    for path in plots.plot_run(run, trust=trust):
        _console.print(str(path), markup=False)


def check(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders with runs at any depth.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, a run per line.")] = False,
) -> None:
    """List what looks like cheating or fabrication in recorded runs. It changes no score."""
    import dataclasses
    import json

    from discoenv.episodes import watch

    found = [run for folder in runs for run in watch.runs_below(folder)]
    if not found:
        raise RunError(f"{', '.join(map(str, runs))}: there is no run directory")
    totals: dict[str, Counter[str]] = {}
    for directory in found:
        try:
            seen = watch.watch(directory)
        except DiscoenvError as error:
            _errors.print(f"{directory}: cannot be read: {error}", markup=False)
            continue
        totals.setdefault(seen.agent or "unknown agent", Counter()).update({"runs": 1, **seen.counts})
        if as_json:
            findings = [dataclasses.asdict(finding) for finding in seen.findings]
            facts = {"run": str(directory), "agent": seen.agent, "counts": seen.counts, "findings": findings}
            print(json.dumps(facts))
            continue
        seals = "" if seen.sealed else "; seals of results were not looked at: the secret is not here"
        _console.print(f"{directory}: {len(seen.findings)} findings{seals}", markup=False)
        for finding in seen.findings:
            _console.print(f"  step {finding.step}  {finding.kind}: {finding.where}: {finding.what}", markup=False)
    if not as_json:
        _print_findings(totals)


def _print_findings(totals: Mapping[str, Counter[str]]) -> None:
    """A table of what was found, by agent."""
    from rich.table import Table
    from rich.text import Text

    from discoenv.episodes.watch import KINDS

    table = Table("agent", "runs", *KINDS)
    for agent, counts in sorted(totals.items()):
        table.add_row(Text(agent), *(str(counts[kind]) for kind in ("runs", *KINDS)))
    _console.print(table, soft_wrap=False)


def view(
    runs: Annotated[Path, typer.Argument(help="A folder with run directories at any depth, or one run.")] = Path(
        "runs"
    ),
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one.", show_default=str(PORT))
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Look at recorded runs, finished or still running, in a browser."""
    from discoenv.viewer.api import Api  # only this command needs a server
    from discoenv.viewer.index import RunIndex
    from discoenv.viewer.server import ViewerServer, is_local

    if not runs.is_dir():
        raise typer.BadParameter(f"{runs} is not a folder; by default, episodes are recorded in runs/")
    api = Api(RunIndex(runs))
    try:
        server = ViewerServer(host, PORT if port is None else port, api)
    except OSError as error:
        if port is not None or error.errno != errno.EADDRINUSE:
            raise typer.BadParameter(f"cannot listen on {host} port {port or PORT}: {error.strerror}") from None
        server = ViewerServer(host, 0, api)
    with server:
        _console.print(f"[bold]{server.url}[/]  shows {runs}; Ctrl-C ends it")
        if not is_local(host):
            _console.print("[yellow]Everyone who reaches this address can read these runs.[/]")
        if browser and _has_display():
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            _console.print("ended")


def gc() -> None:
    """Remove what killed processes left behind: containers, control groups, processes, temporary folders."""
    from discoenv.machine import scratch  # asks every sandbox
    from discoenv.sandbox import inventory

    removed = inventory.reap() + [f"folder {folder}" for folder in scratch.reap()]
    for each in removed:
        _console.print(f"removed {each}", markup=False)
    _console.print(f"removed {len(removed)} things")


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
        whose = "reference, " if progress.reference else ""
        _errors.print(f"[{progress.number}/{progress.total}] {whose}{progress.spec.dataset} …", markup=False)


def _has_display() -> bool:
    """Whether a browser would have a window: one in the terminal would hide the address."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
