"""The runs below a folder, found again and again, and read only as far as they have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from discoenv.episodes.jsonl import Json, NotThere
from discoenv.viewer.episode import EpisodeView

#: One answer spends at most this long on reading runs that it did not know, seconds.
PATIENCE_S = 0.5
#: The folder is searched again after this long, seconds.
FRESH_S = 1.0


class RunIndex:
    """All runs below ``root``, by their path relative to it; or the one run that ``root`` is.

    What a client asks for is looked up among the paths that were found: no path is ever made from a request.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._episodes: dict[str, EpisodeView] = {}
        self._summaries: dict[str, Json] = {}
        self._found_at = float("-inf")

    def find(self) -> dict[str, EpisodeView]:
        """Search the folder. Newest run first, by their names."""
        if time.monotonic() - self._found_at > FRESH_S:
            found = dict(sorted(self._directories(), key=lambda each: Path(each[0]).name, reverse=True))
            self._episodes = {name: self._episodes.get(name) or EpisodeView(path) for name, path in found.items()}
            self._found_at = time.monotonic()
        return self._episodes

    def episode(self, name: str) -> EpisodeView:
        """The run with this id, up to date.

        Raises:
            NotThere: no run was found under this id.
        """
        episode = self._episodes.get(name) or self.find().get(name)
        if episode is None or not _is_run(episode.directory):
            raise NotThere(f"there is no run {name!r} in {self.root}")
        if episode.update():
            self._summaries.pop(name, None)
        return episode

    def list(self) -> Json:
        """Summaries of all runs that could be read in time, and how many are ``pending``: ask again for those."""
        runs, pending, spent_s = [], 0, 0.0
        for name, episode in self.find().items():
            known = name in self._summaries
            if not known and spent_s > PATIENCE_S:
                pending += 1
                continue
            begin = time.monotonic()
            changed = episode.update()
            if changed or not known or self._summaries[name]["status"] == "running":
                self._summaries[name] = {"id": name, **episode.summary()}
            runs.append(self._summaries[name])
            spent_s += 0.0 if known else time.monotonic() - begin
        return {"root": str(self.root), "pending": pending, "runs": runs}

    def _directories(self) -> Iterator[tuple[str, Path]]:
        if _is_run(self.root):
            yield self.root.name, self.root
            return
        for folder, folders, _ in os.walk(self.root):
            here = Path(folder)
            runs = [name for name in folders if _is_run(here / name)]
            folders[:] = [name for name in folders if name not in runs and not name.startswith(".")]
            for name in runs:
                yield (here / name).relative_to(self.root).as_posix(), here / name


def _is_run(directory: Path) -> bool:
    """Whether a folder is a run directory, and not a link to one elsewhere."""
    return (directory / "episode.json").is_file() and (directory / "task.yaml").is_file() and not directory.is_symlink()
