"""Python that agents, domains or packs wrote, read as a syntax tree; from any thread.

CPython 3.11.7 counts the depth of all threads' trees in one number, and refuses sound text (``SystemError``) when two
of them are made at once; 3.12.1 and 3.13.0 do not. So the library makes them here, one after another.
"""

from __future__ import annotations

import ast
import os
import threading
from typing import Final

_ONE_AT_A_TIME: Final = threading.Lock()
# A child made by os.fork() in the middle of a tree would wait for a thread that it does not have.
os.register_at_fork(
    before=_ONE_AT_A_TIME.acquire, after_in_parent=_ONE_AT_A_TIME.release, after_in_child=_ONE_AT_A_TIME.release
)


def parse(text: str, filename: str = "<text>") -> ast.Module:
    """The syntax tree of a text.

    Raises:
        SyntaxError: it is not Python, holds a null byte, or is nested too deeply; ``msg`` says what.
    """
    try:
        with _ONE_AT_A_TIME:
            return ast.parse(text, filename)
    except SyntaxError:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        what = str(error) if isinstance(error, ValueError) else "it is nested too deeply or too long"
        raise SyntaxError(what, (filename, None, None, None)) from None


def tree_of(text: str) -> ast.Module | None:
    """The syntax tree of a text; None if it is not Python."""
    try:
        return parse(text)
    except SyntaxError:
        return None
