"""Base and stub of a module, both derived from one marked source.

In a marked source, each part that an agent is to write stands between two comments, inside a function::

    def loss(prediction, target):
        '''Mean loss over a batch; prediction and target are float32[batch].'''
        # <solution>
        return ((prediction - target) ** 2).mean()
        # </solution>

The base is the source without the comments; in the stub, ``raise NotImplementedError`` stands in place of
the marked lines. Imports that only these lines need are left out of the stub where they would give the solution away.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from typing import Final

from discoenv.errors import DomainError
from discoenv.python_text import parse

_OPEN = re.compile(r"^([ \t]*)# <solution>[ \t]*\r?$")
_CLOSE = re.compile(r"^[ \t]*# </solution>[ \t]*\r?$")

#: Parts of packages that say as little about a solution as whole packages do.
_NAMESPACES: Final = frozenset({"jax.lax", "jax.nn", "jax.numpy", "jax.random", "torch.nn", "torch.nn.functional"})


def is_marked(source: str) -> bool:
    """Whether ``source`` has a mark, that is, holds a solution."""
    return any(_is_mark(line) for line in _lines(source))


def base(source: str, name: str) -> str:
    """The baseline implementation: ``source`` without its marks. ``name`` is used in errors."""
    _regions(source, name)
    return "".join(line for line in _lines(source) if not _is_mark(line))


def stub(source: str, name: str, local: Collection[str] = ()) -> str:
    """The interface only: each marked region raises ``NotImplementedError`` and names its function.

    Args:
        source: the marked source.
        name: of the module's file.
        local: modules of the code base, which are imported as before.

    Raises:
        DomainError: there is no marked region, one is not closed, not inside a function, or the result is not Python.
    """
    lines = _lines(source)
    regions = _regions(source, name)
    if not regions:
        raise DomainError(f"{name}: nothing is marked with # <solution> … # </solution>")
    functions = _functions(source, name)
    kept: list[str] = []
    position = 0
    for start, end in regions:
        inside = [(first, label) for label, first, last in functions if first <= start + 1 <= last]
        if not inside:
            raise DomainError(f"{name}:{start + 1}: the marked region is not inside a function")
        label = max(inside)[1]
        match = _OPEN.match(lines[start])
        indent = match.group(1) if match else ""
        kept += lines[position:start]
        kept.append(f'{indent}raise NotImplementedError("{name}: {label} is not implemented")\n')
        position = end + 1
    text = "".join([*kept, *lines[position:]])
    try:
        return _without_hints(text, local)
    except SyntaxError as error:
        raise DomainError(f"{name}: the stub is not valid Python: line {error.lineno}: {error.msg}") from error


def _without_hints(text: str, local: Collection[str]) -> str:
    """A stub without imports that it does not need and that name more than a package, such as an estimator's class."""
    tree, lines = parse(text), _lines(text)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in reversed(tree.body):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        names = [alias for alias in node.names if not _is_hint(node, alias, used, local)]
        if len(names) < len(node.names):
            node.names, count = names, node.end_lineno or node.lineno
            lines[node.lineno - 1 : count] = [f"{ast.unparse(node)}\n"] if names else []
    shortened = "".join(lines)
    return text if shortened == text else re.sub(r"\n{4,}", "\n\n\n", shortened)


def _is_hint(
    node: ast.Import | ast.ImportFrom, alias: ast.alias, used: Collection[str], local: Collection[str]
) -> bool:
    module = alias.name if isinstance(node, ast.Import) else f"{node.module or ''}.{alias.name}"
    package = module.partition(".")[0]
    relative = isinstance(node, ast.ImportFrom) and (node.level or node.module == "__future__")
    needed = (alias.asname or alias.name).partition(".")[0] in used
    return not (needed or relative or package in local or module == package or module in _NAMESPACES)


def solutions(source: str, name: str) -> list[str]:
    """The marked regions of a source: what an agent is to write. ``name`` is used in errors.

    Raises:
        DomainError: a region is not closed, or closed before it is opened.
    """
    lines = _lines(source)
    return ["".join(lines[start + 1 : end]) for start, end in _regions(source, name)]


def _lines(source: str) -> list[str]:
    """Lines with their ends, as Python counts them (``str.splitlines`` also splits at form feeds and others)."""
    return re.findall(r"[^\n]*\n|[^\n]+", source)


def _is_mark(line: str) -> bool:
    return bool(_OPEN.match(line) or _CLOSE.match(line))


def _regions(source: str, name: str) -> list[tuple[int, int]]:
    """Line numbers (from 0) of the opening and closing mark of each region."""
    regions: list[tuple[int, int]] = []
    opened: int | None = None
    for number, line in enumerate(_lines(source)):
        if _OPEN.match(line):
            if opened is not None:
                raise DomainError(f"{name}:{number + 1}: a marked region is opened inside another")
            opened = number
        elif _CLOSE.match(line):
            if opened is None:
                raise DomainError(f"{name}:{number + 1}: a marked region is closed that was not opened")
            regions.append((opened, number))
            opened = None
    if opened is not None:
        raise DomainError(f"{name}:{opened + 1}: the marked region is not closed")
    return regions


def _functions(source: str, name: str) -> list[tuple[str, int, int]]:
    """Qualified name, first and last line (from 1) of every function."""
    try:
        tree = parse(source)
    except SyntaxError as error:
        raise DomainError(f"{name}:{error.lineno}: not valid Python: {error.msg}") from error
    found: list[tuple[str, int, int]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                label = f"{prefix}{child.name}"
                if not isinstance(child, ast.ClassDef):
                    found.append((label, child.lineno, child.end_lineno or child.lineno))
                visit(child, f"{label}.")
            else:
                visit(child, prefix)

    visit(tree, "")
    return found
