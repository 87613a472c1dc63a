"""The learner's side of an exam.

``main.py`` trains with the modules in ``discovered/`` and ends in ``hand_over(state)``: arrays, which are all that is
examined. Then it is killed. Either the examiner, which holds the held-out data, applies the task's own code to the
state; or ``answer.py`` does so in a new process, without training data, and answers the examiner's questions. Where the
algorithm itself is examined, ``main.py`` ends in ``serve(model)`` and answers. Nothing printed or written counts as a
result. Training time ends when the state has arrived, or ``serve`` is called; time spent on answers is added to it.

What messages look like is described in ``messages.py``.
"""

import os
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .messages import LENGTHS, receive, send, unpack


def seed() -> int:
    """Seed (int, 0 <= seed < 2**31) for all randomness of this training run."""
    return int(os.environ.get("EXAM_SEED", "0"))


def training_data() -> dict[str, np.ndarray]:
    """Training data of this exam: dict of NumPy arrays, as the dataset's description lists them; may be empty."""
    path = Path(os.environ.get("EXAM_DATA", "data"), "train.npz")
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise RuntimeError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def previous_state() -> Any:
    """The state that the training before this one handed over, where there are several stages; {} in the first."""
    path = Path(os.environ.get("EXAM_DATA", "data"), "state")
    if not path.exists():
        return {}
    data = path.read_bytes()
    header, _ = LENGTHS.unpack(data[: LENGTHS.size])
    return unpack(data[LENGTHS.size :][:header], data[LENGTHS.size + header :])


def hand_over(state: dict[str, Any]) -> None:
    """End training with ``state``, dicts and lists of arrays (NumPy, JAX, torch, ...); this ends the process."""
    with connected() as connection:
        send(connection, {"state": state})
        converse(connection, None)


def serve(model: Any) -> None:
    """Answer the examiner's questions with the methods of ``model`` until the exam is over, which ends the process."""
    with connected() as connection:
        send(connection, {"ready": True})
        converse(connection, model)


def answer(make: Any) -> None:
    """Answer questions about a state that was handed over, with the methods of ``make(config, state)``."""
    with connected() as connection:
        given = receive(connection)
        model = make(given["config"], given["state"])
        send(connection, {"ready": True})
        converse(connection, model)


def connected() -> socket.socket:
    """A connection to the examiner."""
    if "EXAM_SOCKET" not in os.environ:
        raise RuntimeError("no examiner is waiting: start exams with `python run_main.py` in the task's folder")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ["EXAM_SOCKET"])
    return connection


def converse(connection: socket.socket, model: Any) -> None:
    """Do what the examiner asks for until it closes the connection."""
    while question := receive(connection):
        if "call" in question:
            send(connection, {"answer": getattr(model, question["call"])(*question["args"])})
        elif "programs" in question:  # what JAX has compiled spares the next exam of the same modules some work
            files = Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).glob("*-cache")
            send(connection, {"programs": {file.name: np.fromfile(file, np.uint8) for file in files}})
