"""Text that agents, models, packs or files produced: made safe to write, to print and to show.

Python keeps what is no text in lone surrogates, which no encoding takes; and a terminal may lack characters that we
print. Whatever writes text goes through here, so that neither ends a command or a benchmark.
"""

from __future__ import annotations

import codecs
import sys
from typing import Any, Final

#: Name of the error handler of :func:`guard_streams`.
ERRORS: Final = "discoenv.readable"
#: What is printed where the terminal's encoding lacks a character.
_PLAIN: Final = {
    "…": "...", "–": "-", "—": "-", "−": "-", "·": "*", "×": "x", "→": "->", "±": "+-", "✓": "ok", "✗": "X",
    "²": "^2", "³": "^3", "≤": "<=", "≥": ">=", "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "❱": ">",
}  # fmt: skip


def printable(text: str) -> str:
    r"""The text with its lone surrogates escaped (``\ud800``), so that UTF-8 can encode it.

    >>> printable("caf\u00e9 \ud800")
    'café \\ud800'
    """
    return encoded(text).decode()


def encoded(text: str) -> bytes:
    """The text as UTF-8, lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace")


def shown(value: Any, length: int = 80) -> str:
    """A printable ASCII form of any value, of at most ``length`` characters."""
    try:
        text = ascii(value)
    except Exception:  # nested too deeply, or an object that cannot be shown
        text = f"<{type(value).__name__}>"
    return text if len(text) <= length else f"{text[: length - 3]}..."


def guard_streams() -> None:
    """Let standard output and error write any text: what their encoding lacks in plain ASCII, or escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=ERRORS)


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(mark, mark) for mark in wrong)
    return text.encode("ascii", "backslashreplace"), error.end


codecs.register_error(ERRORS, _readable)
