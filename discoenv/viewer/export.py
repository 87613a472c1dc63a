"""A run as one HTML file, to keep, to send, or to open without discoenv."""

from __future__ import annotations

import base64
from pathlib import Path

from discoenv.episodes.jsonl import Json
from discoenv.errors import RunError
from discoenv.machine import atomic
from discoenv.viewer import page
from discoenv.viewer.episode import PICTURES
from discoenv.viewer.index import RunIndex
from discoenv.viewer.plain import dumps


def export(run: Path, destination: Path) -> None:
    """Write the page with all of a run's data to ``destination``.

    The data is a table of the answers that the page would ask a server for; outputs are cut as they are there.

    Raises:
        RunError: ``run`` is not a run directory.
    """
    for name in ("task.yaml", "episode.json"):
        if not (run / name).is_file():
            raise RunError(f"{run}: {name} is missing, so this is not a run directory")
    directory = run.resolve()
    episode = RunIndex(directory).episode(directory.name)
    overview = {"id": directory.name, **episode.overview(), "directory": directory.name}
    answers: Json = {
        "runs": {"root": "", "pending": 0, "runs": [{"id": directory.name, **episode.summary()}]},
        "run": overview,
        "calls": {"first": 0, "list": episode.calls.light, "facts": episode.calls.facts},
    }
    last = len(episode.steps) - 1
    for index in range(last + 1):
        answers[f"step/{index}"] = episode.step(index)
    if last > 0:
        answers[f"diff/0/{last}"] = {"files": episode.diff(0, last)}
    for index in range(len(episode.calls.light)):
        answers[f"call/{index}"] = episode.calls.full(index)
    for identity in episode.calls.messages:
        answers[f"message/{identity}"] = episode.calls.message(identity)
    for name in overview["pictures"]:
        encoded = base64.b64encode(episode.picture(name)).decode()
        answers[f"picture/{name}"] = f"data:{PICTURES[Path(name).suffix]};base64,{encoded}"
    atomic.write_text(destination, page.standalone(dumps(answers), f"{directory.name} · discoenv"))
