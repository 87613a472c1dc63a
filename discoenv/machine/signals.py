"""Signals that this process may have been started without."""

from __future__ import annotations

import signal
import threading

from discoenv.errors import InfraError


def heed_children() -> None:
    """Have the kernel say how children end: a program that was started with SIGCHLD ignored keeps ignoring it.

    Raises:
        InfraError: it is ignored, and this is not the main thread, which alone may change that.
    """
    if signal.getsignal(signal.SIGCHLD) != signal.SIG_IGN:
        return
    if threading.current_thread() is not threading.main_thread():
        raise InfraError(
            "this process ignores SIGCHLD, so that nobody learns how learners end: call "
            "signal.signal(signal.SIGCHLD, signal.SIG_DFL) in its main thread first"
        )
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
