"""Whether agent code has begun to run in a learner, by something that it cannot forge.

Learners are started by ``begin.py``, which connects to a socket of ours just before it opens the first file that an
agent may have written. A connection cannot be undone, and before it there is no code of an agent that could prevent
it. What fails earlier is nobody's score; what fails later can never be made to look as if it had failed earlier.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PROGRAM: Final = Path(__file__).with_name("begin.py")
_SOCKET: Final = "begun"


class Beginning:
    """The beginning of one learner. Close it when the learner has ended.

    Args:
        folder: a folder on this machine that the learner sees at ``inside``.
        inside: absolute path of that folder in the sandbox.
        written: absolute paths, in the sandbox, of files that agents may have written, and of folders of such files.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, inside: str, written: Sequence[str]) -> None:
        self._inside = inside
        self._written = tuple(written)
        self._begun = False
        program, address = folder / _PROGRAM.name, folder / _SOCKET
        program.write_bytes(_PROGRAM.read_bytes())
        program.chmod(0o644)
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(str(address))
            address.chmod(0o777)
            self._listener.listen(1)
            self._listener.setblocking(False)
        except BaseException:
            self._listener.close()
            raise

    def argv(self, script: str) -> tuple[str, ...]:
        """What starts ``script``, a Python program in a file, in the sandbox."""
        return ("python", f"{self._inside}/{_PROGRAM.name}", f"{self._inside}/{_SOCKET}", script, *self._written)

    @property
    def begun(self) -> bool:
        """Whether agent code may have run so far. It never becomes false again."""
        if not self._begun:
            try:
                self._listener.accept()[0].close()
                self._begun = True
            except BlockingIOError:
                pass
        return self._begun

    def close(self) -> None:
        """Close the socket. Safe to call again."""
        self._listener.close()
