"""The command ``discoenv mcp``: serve one episode to an agent that speaks the Model Context Protocol."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from discoenv.arguments import require_effect
from discoenv.cli.options import (
    REFERENCE_HELP,
    TRANSFORM_HELP,
    ReferenceName,
    SandboxOption,
    ScaleName,
    TransformName,
)
from discoenv.errors import TaskError
from discoenv.tasks.names import domain_name, task_name

if TYPE_CHECKING:
    from discoenv.tools import ToolSession

_errors = Console(emoji=False, stderr=True)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="DiscoBench task or YAML file; default: sampled.", callback=task_name)] = "",
    domain: Annotated[str, typer.Option(help="Domain of a sampled task; default: any.", callback=domain_name)] = "",
    scale: Annotated[
        ScaleName | None,
        typer.Option(help="Compute per run.", show_default="the task's, else small", case_sensitive=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the episode.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Runs and the submission together.", show_default="10")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="What the reward is about.", show_default="the task's, else performance")
    ] = None,
    reference: Annotated[
        ReferenceName, typer.Option(help=REFERENCE_HELP, case_sensitive=False)
    ] = ReferenceName.SHIPPED,
    transform: Annotated[
        TransformName, typer.Option(help=TRANSFORM_HELP, case_sensitive=False)
    ] = TransformName.ORDERED,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the episode of this run directory, which was left or cut off.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="With --resume: load packs that the run names, which are code."),
    ] = False,
    sandbox: SandboxOption = "auto",
    runs: Annotated[Path, typer.Option(help="Where the run directory is written.")] = Path("runs"),
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of stdin and stdout.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen at, with --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port, with --http; 0 takes a free one.")] = 8765,
) -> None:
    """Serve one episode over MCP, for Claude Code, Codex, Cursor, Goose and others (see docs/agents.md)."""
    if not http:
        require_effect(context, ["host", "port"], "without --http")
    try:
        from discoenv.adapters import mcp  # the package mcp is optional
    except ModuleNotFoundError as error:
        raise TaskError(f"{error.name} is missing: pip install 'discoenv[mcp]'") from error
    from discoenv.env import DiscoGenEnv  # imports Gymnasium
    from discoenv.episodes.record import EpisodeRecord
    from discoenv.tools import ToolSession

    if resume is not None:
        given = {"task": task, "domain": domain, "scale": scale, "seed": seed, "max-steps": max_steps}
        void = [f"--{name}" for name, value in given.items() if value not in (None, "")]
        if void:
            raise typer.BadParameter(f"--resume goes on with what the run was begun with: leave out {', '.join(void)}")
        require_effect(context, ["objective", "reference", "transform"], "beside --resume")
        max_steps = EpisodeRecord.load(resume, events=False).setup.max_steps

    def make_session(on_progress: Callable[[Any], None]) -> ToolSession:
        env = DiscoGenEnv(
            task=task or None,
            domain=domain or None,
            scale=scale.value if scale else None,
            sandbox=sandbox,
            max_steps=max_steps,
            objective=objective,
            reference=reference.value,
            transform=transform.value,
            runs_dir=runs.resolve(),
            on_progress=on_progress,
        )
        return ToolSession(env, seed=seed, options=None if resume is None else {"restore": resume, "trust": trust})

    def report_end(session: ToolSession) -> None:
        _say(f"the episode is over; {f'reward {session.reward:.3f}' if session.scored else 'without a reward'}")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what trains is ended, too
    episode = mcp.ServedEpisode(make_session, report_end)
    try:
        _say(f"task {episode.session.info['task_id']}, recorded in {episode.session.info['run_directory']}")
        if not http:
            _leave_on_signals(episode.close)
            mcp.serve_stdio(episode)
            episode.close("the client left")
            if not episode.session.scored:
                run = episode.session.info["run_directory"]
                _say(f"the episode was left, without a reward; discoenv mcp --resume {shlex.quote(run)} goes on")
            return
        if host not in _LOOPBACK:
            _say(f"listening at {host}: everyone who reaches this address can play the episode")
        mcp.serve_http(episode, host, port, lambda url: _say(f"serving at {url}"))
    except KeyboardInterrupt:
        pass
    finally:
        episode.close()


def _leave_on_signals(close: Callable[[str], None]) -> None:
    """End at once on SIGINT and SIGTERM. A thread that waits for a line of stdin cannot be interrupted otherwise."""

    def leave(number: int) -> None:
        close(signal.Signals(number).name)
        os._exit(128 + number)

    def on_signal(number: int, _: object) -> None:
        threading.Thread(target=leave, args=(number,), daemon=True).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _say(text: str) -> None:
    _errors.print(f"discoenv mcp: {text}", markup=False, highlight=False, soft_wrap=True)
