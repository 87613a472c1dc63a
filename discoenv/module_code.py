"""What the text of a module shows before it is run: what it imports, what it reaches for, and how much it says.

Python cannot be fenced in by reading it: these checks keep honest code within its role, and point out the rest. What
bounds dishonest code is the exam (docs/exams.md).
"""

from __future__ import annotations

import ast
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from discoenv.python_text import tree_of

#: Modules of the standard library that any module may import: computing, data structures and types.
STANDARD: Final = frozenset(
    [
        "__future__",
        "abc",
        "array",
        "bisect",
        "cmath",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "types",
        "typing",
        "typing_extensions",
        "warnings",
    ]
)
#: What modules may import beside these, by the extra that a domain's requirements come with.
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "sklearn": ("numpy", "scipy", "sklearn"),
    "jax": ("jax", "flax", "optax", "numpy", "scipy", "chex"),
    "rl": ("jax", "flax", "optax", "numpy", "scipy", "chex"),
    "torch": ("torch", "numpy", "scipy"),
}
#: A text or a number of more bytes, or a list of more constants, is data rather than code.
_MOST_LITERAL: Final = 1000
#: Names that are of no use to an algorithm, and of much to whoever looks around in the process that it runs in.
_REFLECTION: Final = frozenset({"__import__", "compile", "eval", "exec", "globals", "locals", "vars", "breakpoint"})
_REFLECTED: Final = frozenset(
    [
        "__builtins__",
        "__class__",
        "__closure__",
        "__code__",
        "__dict__",
        "__globals__",
        "__loader__",
        "__mro__",
        "__self__",
        "__spec__",
        "__subclasses__",
        "__wrapped__",
        "_getframe",
        "currentframe",
        "f_back",
        "f_globals",
        "f_locals",
        "gi_frame",
        "get_objects",
        "get_referrers",
        "modules",
        "settrace",
        "setprofile",
        "tb_frame",
    ]
)
_FILES: Final = frozenset(
    [
        "open",
        "fdopen",
        "fromfile",
        "tofile",
        "load",
        "loadtxt",
        "genfromtxt",
        "memmap",
        "save",
        "savez",
        "read_bytes",
        "read_text",
    ]
)


@dataclass(frozen=True)
class Refused:
    """An import that is not allowed.

    Attributes:
        line: where it is, from 1.
        name: what is imported, its first part.
    """

    line: int
    name: str


def refused_imports(text: str, allowed: Collection[str]) -> list[Refused]:
    """Imports of what is neither in ``allowed`` nor in :data:`STANDARD`, in order; none if the text is not Python."""
    known = {*allowed, *STANDARD}
    return [Refused(line, name) for line, name in _imports(text) if name not in known]


def flags(text: str, name: str) -> list[str]:
    """What a reader of results should know of a module: reflection, files, changes of other code, data within it.

    Args:
        text: the module's.
        name: its file name, with which each flag begins.

    Returns:
        ``loss.py:12: reflection: sys.modules``, for example; each once, in order. None if the text is not Python.
    """
    tree = tree_of(text)
    if tree is None:
        return []
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    imported = {alias.asname or alias.name.partition(".")[0] for node in ast.walk(tree) for alias in _aliases(node)}
    found = sorted(
        {
            flag
            for node in ast.walk(tree)
            for flag in (*_flags_of(node, imported), *([] if id(node) in docstrings else _literals(node)))
        },
        key=lambda flag: (flag[0], flag[1], flag[2]),
    )
    return [f"{name}:{line}: {kind}: {what}" for line, kind, what in found]


def size(text: str) -> int:
    """How much a module says, in bytes: its syntax tree without docstrings, compressed.

    Comments, layout and the packing of code into strings do not make it smaller. A text that is not Python counts its
    bytes of UTF-8.
    """
    tree = tree_of(text)
    if tree is None:
        return len(text.encode())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and _has_docstring(node):
            node.body = node.body[1:]
    return len(zlib.compress(ast.dump(tree, annotate_fields=False).encode(), 9))


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []


def _imports(text: str) -> Iterator[tuple[int, str]]:
    tree = tree_of(text)
    for node in [] if tree is None else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, (node.module or "").partition(".")[0]


def _flags_of(node: ast.AST, imported: Collection[str]) -> Iterator[tuple[int, str, str]]:
    line = getattr(node, "lineno", 0)
    for alias in _aliases(node):
        top = alias.name.partition(".")[0] if isinstance(node, ast.Import) else (getattr(node, "module", "") or "")
        if top.partition(".")[0] in sys.stdlib_module_names and top.partition(".")[0] not in STANDARD:
            yield line, "import", top
    if isinstance(node, ast.Name) and node.id in _REFLECTION:
        yield line, "reflection", node.id
    elif isinstance(node, ast.Attribute) and node.attr in _REFLECTED:
        yield line, "reflection", f"….{node.attr}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in {*_REFLECTED, "__main__"}:
        yield line, "reflection", repr(node.value)
    elif isinstance(node, ast.Call):
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called in _FILES:
            yield line, "files", f"{called}()"
        if called == "setattr" and node.args and isinstance(node.args[0], ast.Name) and node.args[0].id in imported:
            yield line, "changes other code", f"setattr({node.args[0].id}, …)"
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            base = target
            while isinstance(base, (ast.Attribute, ast.Subscript)):
                base = base.value
            if base is not target and isinstance(base, ast.Name) and base.id in imported:
                yield line, "changes other code", f"{base.id}.…"


def _literals(node: ast.AST) -> Iterator[tuple[int, str, str]]:
    size, line = 0, getattr(node, "lineno", 0)
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, (str, bytes)):
            size = len(value)
        elif isinstance(value, int):
            size = value.bit_length() // 8
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
        size = sum(isinstance(each, ast.Constant) for each in ast.walk(node))
    if size > _MOST_LITERAL:
        yield line, "large literal", f"{type(node).__name__.lower()} of {size:,}"


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
