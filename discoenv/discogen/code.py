"""What the code of a domain in DiscoGen's format needs: read from its text, without running it.

The layout declares neither which packages a dataset imports (its requirements list what others need, too), nor whether
fetching its data needs a network.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from discoenv.python_text import tree_of

#: Packages whose use in ``download_dataset`` shows that nothing is fetched. Everything else may reach the network.
_LOCAL = frozenset({"jax", "numpy", "scipy", *sys.stdlib_module_names}) - {
    *("asyncio", "ftplib", "http", "imaplib", "nntplib", "poplib", "smtplib", "socket", "ssl", "subprocess"),
    *("telnetlib", "urllib", "xmlrpc"),
}
_ADDRESS = re.compile(r"(https?|ftp)://")


def imported_packages(files: Mapping[str, str], start: str = "main.py") -> list[str]:
    """Packages that are imported as soon as a program starts, by the names that they are imported by, sorted.

    Imports are followed from file to file. Those in functions, and those that are tried, are left out: the program
    starts without them. The standard library is left out, too.

    Args:
        files: text of each file of the program, by its path below the program's folder.
        start: the path of the program.
    """
    found: set[str] = set()
    pending, seen = [start], {start}
    while pending:
        path = pending.pop()
        for name in _imports(files.get(path, ""), PurePosixPath(path).parent):
            local = _files_of(name, files)
            pending += [each for each in local if each not in seen]
            seen.update(local)
            if not local:
                found.add(name.partition(".")[0].lstrip("/"))
    return sorted(found - set(sys.stdlib_module_names) - {""})


def defines(text: str, function: str) -> bool:
    """Whether a program's text has a function of that name, its own or an imported one."""
    return any(
        (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function)
        or (isinstance(node, ast.ImportFrom) and any((each.asname or each.name) == function for each in node.names))
        or (isinstance(node, ast.Assign) and any(isinstance(at, ast.Name) and at.id == function for at in node.targets))
        for node in _parsed(text).body
    )


def needs_network(text: str, function: str) -> bool:
    """Whether a function may reach the network, judged by what it and the functions that it calls use.

    It does not if it names no address, and uses nothing but NumPy, SciPy, JAX and what is local in the standard
    library.
    """
    body = _parsed(text).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    if function not in functions:
        return True
    imports = {name: package for node in body for name, package in _bound(node)}
    pending, seen = [function], {function}
    while pending:
        for node in ast.walk(functions[pending.pop()]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ADDRESS.match(node.value):
                return True
            for name, package in [*_bound(node), *_used(node, imports)]:
                if package not in _LOCAL or name == "__import__":
                    return True
            if isinstance(node, ast.Name) and node.id in functions and node.id not in seen:
                seen.add(node.id)
                pending.append(node.id)
    return False


def _used(node: ast.AST, imports: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The imported name that a node uses, with its package."""
    if isinstance(node, ast.Name) and (node.id in imports or node.id == "__import__"):
        yield node.id, imports.get(node.id, "os")


def _bound(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that an import binds, each with the package that it is from."""
    if isinstance(node, ast.Import):
        for each in node.names:
            yield (each.asname or each.name.partition(".")[0]), each.name.partition(".")[0]
    elif isinstance(node, ast.ImportFrom):
        for each in node.names:
            yield (each.asname or each.name), "" if node.level else (node.module or "").partition(".")[0]


def _imports(text: str, folder: PurePosixPath) -> Iterator[str]:
    """What a file imports at once: dotted names; those of relative imports begin with ``/`` and are complete paths."""
    for node in _parsed(text).body:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = [folder, *folder.parents][min(node.level - 1, len(folder.parts))]
                base = "/" + ".".join([*above.parts, *([base] if base else [])])
            yield base
            yield from (f"{base}.{each.name}" for each in node.names if node.level)


def _files_of(name: str, files: Mapping[str, str]) -> list[str]:
    """Files that an import of a dotted name runs: the module's and those of the packages that it is in."""
    parts = name.lstrip("/").split(".")
    found: list[str] = []
    for end in range(1, len(parts) + 1):
        stem = "/".join(parts[:end])
        for path in files:
            for wanted in (f"{stem}.py", f"{stem}/__init__.py"):
                if path == wanted or (not name.startswith("/") and path.endswith(f"/{wanted}")):
                    found.append(path)
    if not found and name.startswith("/"):
        return [""]  # something of the program's own that is no file, such as a function of a package
    return found


def _parsed(text: str) -> ast.Module:
    return tree_of(text) or ast.Module(body=[], type_ignores=[])
