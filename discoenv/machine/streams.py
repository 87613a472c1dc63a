"""Descriptors 0, 1 and 2, which a program may have been started without: ``discoenv bench run … <&- >&-``."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path


def fill() -> None:
    """Open ``/dev/null`` in place of standard streams that are closed.

    Otherwise the next socket or file that is opened gets such a number, and is lost where a child gets standard streams
    of its own: an examiner would wait for ever for what is sent to another descriptor.
    """
    for number in range(3):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            if os.open(os.devnull, os.O_RDWR) == number:  # the lowest that is free
                os.set_inheritable(number, True)


def fill_for_python() -> None:
    """As :func:`fill`, and for ``sys.stdout`` and ``sys.stderr``, which are None if Python was started without."""
    fill()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for the whole program
