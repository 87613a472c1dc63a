"""What an agent gets to read of a failure: the frames of its task, without the frameworks' in between."""

from __future__ import annotations

import re

_FRAME = re.compile(r'^  File "(?P<path>[^"]+)", line \d+, in ')
_START = "Traceback (most recent call last):"
_MAX_CHARACTERS = 6000
_CUT = "[…]"


def trim(stderr: str, folder: str) -> str:
    """The last traceback in ``stderr``, reduced to frames of files below ``folder`` and the exception itself.

    Args:
        stderr: what the learner wrote; untrusted, for display only.
        folder: the task's folder as the learner saw it (``/workspace``); it is left out of the paths.

    Returns:
        The traceback, at most 6,000 characters (the end counts most); empty if ``stderr`` holds none.
    """
    start = stderr.rfind(_START)
    if start < 0:
        syntax = _syntax_error(stderr, folder)
        return _shortened(syntax.replace(f"{folder}/", "")) if syntax else ""
    kept: list[str] = []
    own = True
    for line in stderr[start:].splitlines():
        frame = _FRAME.match(line)
        if frame:
            own = frame.group("path").startswith(f"{folder}/")
        elif not line.startswith("    "):
            own = True
        if own:
            kept.append(line)
    return _shortened("\n".join(kept).replace(f"{folder}/", ""))


def last_line(traceback: str) -> str:
    """The exception's own line of a traceback (``ValueError: …``), or an empty string."""
    lines = [line for line in traceback.splitlines() if line and not line.startswith((" ", "-", _START, _CUT))]
    errors = [line for line in lines if re.match(r"^[\w.]+(: |$)", line)]
    return (errors or lines or [""])[0].strip()


def _syntax_error(stderr: str, folder: str) -> str:
    """A syntax error of the main file, which Python prints without the usual first line."""
    start = stderr.rfind(f'  File "{folder}/')
    return stderr[start:] if start >= 0 else ""


def _shortened(text: str) -> str:
    text = text.strip("\n")
    return text if len(text) <= _MAX_CHARACTERS else f"{_CUT}\n{text[-_MAX_CHARACTERS:]}"
