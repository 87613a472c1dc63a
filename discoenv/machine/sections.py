"""Generated parts of pages that are otherwise written by hand: what stands between two marks."""

from __future__ import annotations


def replace_section(page: str, begin: str, end: str, content: str) -> str:
    """A page with other content between two marks; ``content`` ends with a line break.

    Raises:
        ValueError: the page lacks one of the marks.
    """
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"the page needs {begin} and {end}, so that something can be put between them")
    return f"{before}{begin}\n{content}{end}{after}"
