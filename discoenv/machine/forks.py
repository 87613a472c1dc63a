"""What a child made by ``os.fork()`` has of its parent's, and must neither keep nor clean up.

A fork copies every object and every descriptor. A lock that the child holds as well is not free when the parent lets
it go, nor when the parent dies; a socket that it holds as well is not closed when the parent dies. And what the parent
made, its folders, processes and containers, would be removed when the child exits. So such descriptors are noted here
and closed in the child, and clean-up is done by the process that owns what is cleaned up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Callable
from typing import Any

_descriptors: set[int] = set()
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def keep(descriptor: int) -> int:
    """Note a descriptor that children must not hold; it is closed with :func:`release`. Returns it."""
    _descriptors.add(descriptor)
    return descriptor


def release(descriptor: int) -> None:
    """Close a descriptor that :func:`keep` noted; nothing in a child, where it is closed already."""
    if descriptor in _descriptors:
        _descriptors.remove(descriptor)
        os.close(descriptor)


def keep_socket(own: socket.socket) -> socket.socket:
    """Note a socket that children must not hold. Returns it."""
    _sockets.add(own)
    return own


def finalize(owned: object, function: Callable[..., object], *arguments: Any) -> weakref.finalize[Any, Any]:
    """As :class:`weakref.finalize`, but in a child the function is not called, neither by hand nor at exit."""
    return weakref.finalize(owned, _in_process, os.getpid(), function, *arguments)


def _in_process(owner: int, function: Callable[..., object], *arguments: Any) -> None:
    if os.getpid() == owner:
        function(*arguments)


def _close_in_child() -> None:
    while _descriptors:
        with contextlib.suppress(OSError):
            os.close(_descriptors.pop())
    for own in list(_sockets):
        own.close()
    _sockets.clear()


os.register_at_fork(after_in_child=_close_in_child)
