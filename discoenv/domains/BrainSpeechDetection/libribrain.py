"""Reads LibriBrain (Özdogan et al. 2025): one listener, seven books of Sherlock Holmes, 306 sensors at 250 Hz.

    pip install 'discoenv[libribrain]'
    python -m discoenv.domains.BrainSpeechDetection.libribrain Sherlock1

The second command downloads the sessions of a book with the package pnpl, several GB. They are licensed CC BY-NC 4.0:
not for commercial use. Exams read the files and never the network.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from discoenv.data.downloads import cache_root

from .metrics import Labels
from .recordings import Halves

#: Sensors that are kept, of 306: those that respond most to speech.
SENSORS: Final = (
    18, 20, 22, 23, 45, 120, 138, 140, 142, 143, 145, 146, 147, 149, 175, 176, 177, 179, 180, 198, 271, 272, 275,
)  # fmt: skip
#: Samples per second, and in a window.
RATE, WINDOW = 250, 200
_STEPS = "bads+headpos+sss+notch+bp+ds"
#: Names the folder of the data, if it is not in the cache.
FOLDER_VARIABLE = "DISCOENV_LIBRIBRAIN"
#: T per unit of windows: pT.
_UNIT = 1e-12
#: Of each book: sessions, those that are left out, and the session that is held out, as DiscoGen has it.
_BOOKS: Final = {
    "Sherlock1": (12, (), 4),
    "Sherlock2": (12, (), 6),
    "Sherlock3": (12, (), 10),
    "Sherlock4": (12, (8,), 6),
    "Sherlock5": (15, (), 7),
    "Sherlock6": (14, (), 3),
    "Sherlock7": (14, (), 8),
}

#: A session and its run.
Run = tuple[int, int]


def runs(book: str) -> dict[str, list[Run]]:
    """The runs of ``train``, ``validation`` and ``test``.

    One session is held out; the one before it, or the last if it is the first, is for validation, and none of its
    windows is trained on.

    Raises:
        KeyError: there is no such book.
    """
    count, without, test = _BOOKS[book]
    sessions = [number for number in range(1, count + 1) if number not in without]
    validation = sessions[sessions.index(test) - 1]
    parts = {
        "train": [number for number in sessions if number not in (test, validation)],
        "validation": [validation],
        "test": [test],
    }
    return {part: [(number, _run(book, number)) for number in numbers] for part, numbers in parts.items()}


def _run(book: str, session: int) -> int:
    """The number of the run: the last two sessions of the first book were repeated."""
    return 2 if book == "Sherlock1" and session >= 11 else 1


def folder() -> Path:
    """Where the files of all books are: the folder that ``DISCOENV_LIBRIBRAIN`` names, or one in the cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else cache_root() / "LibriBrain"


def paths(book: str, run: Run, root: Path) -> tuple[Path, Path]:
    """The files of a run: signals (HDF5) and events (tab-separated)."""
    name = f"sub-0_ses-{run[0]}_task-{book}_run-{run[1]}"
    derived = root / book / "derivatives"
    return derived / "serialised" / f"{name}_proc-{_STEPS}_meg.h5", derived / "events" / f"{name}_events.tsv"


def read(book: str, which: Sequence[Run], start: int = 0) -> tuple[Halves, Labels, Labels]:
    """Windows of 0.8 s, one after another, of the sensors ``SENSORS``.

    Args:
        book: ``Sherlock1`` to ``Sherlock7``.
        which: runs.
        start: first sample of the first window of each.

    Returns:
        float16[N, 23, 200] in pT, labels int64[N] (1: speech in the middle of the window), and sessions int64[N].

    Raises:
        FileNotFoundError: a file is missing; the message names the command that downloads it.
        ImportError: the package h5py is not installed.
        ValueError: a file does not have the form of LibriBrain's.
    """
    windows, labels, sessions = [], [], []
    for run in which:
        signals, speech = _read_run(book, run)
        count = (signals.shape[1] - start) // WINDOW
        cut = signals[:, start : start + count * WINDOW].reshape(len(SENSORS), count, WINDOW).transpose(1, 0, 2)
        windows.append(np.ascontiguousarray(cut))
        labels.append(speech[start + WINDOW // 2 :: WINDOW][:count])
        sessions.append(np.full(count, run[0]))
    return np.concatenate(windows), np.concatenate(labels), np.concatenate(sessions)


def _read_run(book: str, run: Run) -> tuple[Halves, Labels]:
    """Signals float16[23, T] in pT, and whether there is speech, int64[T]."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("LibriBrain needs the package h5py: pip install 'discoenv[libribrain]'") from error
    signals_path, events_path = paths(book, run, folder())
    for path in (signals_path, events_path):
        if not path.is_file():
            raise FileNotFoundError(
                f"{book}: {path} has not been downloaded. It is part of LibriBrain (CC BY-NC 4.0); get it with "
                f"`pip install 'discoenv[libribrain]'` and `python -m {__spec__.name} {book}`, or name the folder "
                f"where it is in {FOLDER_VARIABLE}"
            )
    with h5py.File(signals_path, "r") as file:
        rate, data = float(file.attrs["sample_frequency"]), file["data"]
        if rate != RATE or data.ndim != 2 or data.shape[0] <= max(SENSORS):
            raise ValueError(f"{signals_path}: {data.shape} at {rate:g} Hz; expected [306, T] at {RATE} Hz")
        signals = (data[list(SENSORS)] / _UNIT).clip(-6e4, 6e4).astype(np.float16)
    return signals, speech_labels(events_path, signals.shape[1])


def speech_labels(path: Path, samples: int) -> Labels:
    """Whether there is speech in each sample, int64[T]: all but annotated silence, and what is before the first event.

    Args:
        path: a table with the columns ``kind``, ``timemeg`` (seconds) and ``duration`` (seconds).
        samples: T.

    Raises:
        ValueError: the table lacks a column, or has no event.
    """
    with path.open(encoding="utf-8", newline="") as file:
        events = list(csv.DictReader(file, delimiter="\t"))
    try:
        spans = [(float(each["timemeg"]), float(each["duration"]), each["kind"] == "silence") for each in events]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a table of events with kind, timemeg and duration: {error}") from error
    if not spans:
        raise ValueError(f"{path}: no events")
    labels = np.ones(samples, np.int64)
    labels[: round(min(begin for begin, _, _ in spans) * RATE)] = 0
    for begin, duration, silence in spans:
        if silence:
            labels[round(begin * RATE) : round((begin + duration) * RATE)] = 0
    return labels


def download(book: str) -> None:
    """Download all runs of a book with pnpl.

    Raises:
        ImportError: pnpl is not installed.
    """
    try:
        from pnpl.datasets import LibriBrainSpeech
    except ImportError as error:
        raise ImportError("LibriBrain needs the package pnpl: pip install 'discoenv[libribrain]'") from error
    root = folder()
    for run in (run for part in runs(book).values() for run in part):
        for path in paths(book, run, root):
            print(LibriBrainSpeech.ensure_file_download(str(path), str(root)))


def main(book: Annotated[list[str], typer.Argument(help=f"{', '.join(_BOOKS)}.")]) -> None:
    """Download books of LibriBrain (CC BY-NC 4.0, several GB each)."""
    unknown: list[Any] = sorted(set(book) - set(_BOOKS))
    if unknown:
        raise typer.BadParameter(f"there is no book {', '.join(unknown)}; there are {', '.join(_BOOKS)}")
    for each in book:
        download(each)


if __name__ == "__main__":
    typer.run(main)
