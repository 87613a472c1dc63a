"""What learners print, shortened for those who read it."""

from __future__ import annotations

from typing import Final

#: Stands where lines were left out.
CUT: Final = "[…]\n"


def last_lines(text: str, most: int) -> str:
    """The last lines of ``text``, whole ones, at most ``most`` characters of them; after :data:`CUT` if some lack.

    A line that is longer than that is cut.
    """
    if len(text) <= most:
        return text
    end = text[-most:]
    if text[-most - 1] != "\n" and "\n" in end[:-1]:
        end = end.partition("\n")[2]
    return f"{CUT}{end}"
