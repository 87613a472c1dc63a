"""The files of a training script: the one that is run, and those beside it that it imports."""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discoenv.errors import DomainError
from discoenv.python_text import parse
from discoenv.tasks.drafting.scopes import Definition, bound

#: Folders and files that are no part of what trains.
_APART: Final = re.compile(r"\..*|__pycache__|build|dist|docs?|node_modules|site-packages|tests?|venv|env")
_MOST_FILES: Final = 500
_MOST_BYTES: Final = 2_000_000
Edit = tuple[int, int, str]


@dataclass(frozen=True)
class Source:
    """One file of the script.

    Attributes:
        name: its path in a workspace; ``main.py`` for the one that is run.
        shown: its path for readers.
        text, tree: what it holds.
    """

    name: str
    shown: str
    text: str
    tree: ast.Module

    @functools.cached_property
    def imports(self) -> dict[str, list[ast.Import | ast.ImportFrom]]:
        """Import statements of the top level by the names that they bind; ``*`` has those of everything."""
        found: dict[str, list[ast.Import | ast.ImportFrom]] = {}
        for node in self.tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    alone = type(node)(**{**vars(node), "names": [alias]})
                    found.setdefault(alias.asname or alias.name.partition(".")[0], []).append(alone)
        return found

    @functools.cached_property
    def meanings(self) -> dict[str, str]:
        """What each imported name means in full: ``np`` is ``numpy``, ``optim`` is ``torch.optim``."""
        found = {}
        for name, statements in self.imports.items():
            for node in statements:
                alias = node.names[0]
                if isinstance(node, ast.ImportFrom):
                    found[name] = f"{node.module or ''}.{alias.name}".strip(".")
                else:
                    found[name] = alias.name if alias.asname else name
        return found

    @functools.cached_property
    def tops(self) -> dict[str, list[ast.stmt]]:
        """Statements of the top level, imports apart, by the names that they bind, as often as they do."""
        found: dict[str, list[ast.stmt]] = {}
        for node in self.tree.body:
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                for name in bound([node]):
                    found.setdefault(name, []).append(node)
        for each in ast.walk(self.tree):  # a function that assigns it makes it no constant
            if isinstance(each, ast.Global):
                for name in each.names:
                    found.setdefault(name, []).append(self.tree.body[0])
        return found

    @functools.cached_property
    def lines(self) -> list[str]:
        """Its lines with their ends."""
        return re.findall(r"[^\n]*\n|[^\n]+", self.text)

    @functools.cached_property
    def _starts(self) -> list[int]:
        """Where each line begins, as offsets."""
        return [0, *itertools.accumulate(map(len, self.lines))]

    def offset(self, line: int, column: int = 0) -> int:
        """Where in the text a line (from 1) and a column (in bytes of UTF-8, as in syntax trees) is."""
        if line > len(self.lines):
            return len(self.text)
        inside = self.lines[line - 1]
        return self._starts[line - 1] + len(inside.encode()[:column].decode(errors="ignore"))

    def span(self, node: ast.stmt) -> tuple[int, int]:
        """The whole lines of a statement, decorators included, as offsets."""
        return self.offset(first_line(node)), self.offset((node.end_lineno or node.lineno) + 1)

    def code(self, node: ast.stmt) -> str:
        """The whole lines of a statement."""
        start, end = self.span(node)
        return self.text[start:end].rstrip() + "\n"

    def indent(self, line: int) -> str:
        """White space at the beginning of a line."""
        text = self.lines[line - 1]
        return text[: len(text) - len(text.lstrip())]

    def where(self, node: ast.AST) -> str:
        """``train.py:12``."""
        return f"{self.shown}:{getattr(node, 'lineno', 1)}"

    def edited(self, edits: Sequence[Edit]) -> str:
        """The text with parts replaced; parts do not overlap, and equal places keep their order."""
        text = self.text
        for start, end, replacement in sorted(edits, key=lambda edit: edit[0], reverse=True):
            text = text[:start] + replacement + text[end:]
        return text


def first_line(node: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    decorators = node.decorator_list if isinstance(node, Definition) else []
    return min([node.lineno, *(each.lineno for each in decorators)])


def read_sources(path: Path) -> list[Source]:
    """The files of a script, the one that is run first.

    Args:
        path: a file, or a folder in which the file that trains is looked for.

    Raises:
        DomainError: there is no such file, it is not Python, or none in the folder looks like a training script.
    """
    if path.is_file():
        entry, root = path, path.parent
    elif path.is_dir():
        entry, root = _entry(path), path
    else:
        raise DomainError(f"{path}: there is no such file or folder; name a training script, or the folder of one")
    found = {"main.py": _source(entry, "main.py", root)}
    queue = [(entry, found["main.py"])]
    while queue:
        file, source = queue.pop(0)
        for name, other in _local(source.tree, file, (entry.parent, root)):
            if name not in found and other != entry:
                if len(found) > _MOST_FILES:
                    raise DomainError(
                        f"{path}: it has more than {_MOST_FILES} files; name the script, or a smaller folder"
                    )
                found[name] = _source(other, name, root)
                queue.append((other, found[name]))
    return [found.pop("main.py"), *(found[name] for name in sorted(found))]


def _source(file: Path, name: str, root: Path) -> Source:
    shown = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DomainError(f"{file}: it has more than {_MOST_BYTES:,} bytes, so it is data rather than a script")
        text = file.read_text(encoding="utf-8-sig")
        text = "\n".join(text.splitlines()) + "\n" if "\r" in text else text
        tree = parse(text)
    except UnicodeDecodeError:
        raise DomainError(f"{file}: it is not text in UTF-8; name a Python script") from None
    except OSError as error:
        raise DomainError(f"{file}: it cannot be read: {error.strerror or error}") from error
    except SyntaxError as error:
        raise DomainError(
            f"{file}:{error.lineno}: not valid Python: {error.msg}; a draft takes scripts of Python 3.11"
        ) from error
    return Source(name, shown, text, tree)


def _entry(folder: Path) -> Path:
    """The file of a folder that looks most like the one that trains."""
    files = []
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).parts
        if not any(_APART.fullmatch(part) for part in parts[:-1]) and not re.match(
            r"(test_|conftest|setup\b)", parts[-1]
        ):
            files.append(file)
        if len(files) > _MOST_FILES:
            raise DomainError(f"{folder}: it has more than {_MOST_FILES} Python files; name the script that trains")
    ranked = sorted((-_likeness(file), len(file.parts), file.as_posix(), file) for file in files)
    if not ranked or ranked[0][0] == 0:
        raise DomainError(f"{folder}: no Python file in it looks like one that trains; name the script itself")
    return ranked[0][-1]


def _likeness(file: Path) -> int:
    """How much a file looks like one that is run to train."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return 0
    signs = (
        (r"(?m)^if __name__ ==", 2),
        (r"\.backward\(\)|\bvalue_and_grad\(|\bjax\.grad\(|\.fit\(", 2),
        (r"(?m)^\s*(for|while)\b.*\b(epoch|step|update|iteration)", 1),
        (r"\bdef (main|train)\b", 1),
    )
    named = 2 if re.search(r"train|main|run", file.stem) else 0
    points = sum(weight for pattern, weight in signs if re.search(pattern, text))
    return points + named if points else 0


def _local(tree: ast.Module, file: Path, bases: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Files beside a script that it imports: name in the workspace, and path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [absolute(node, file, bases)]
            names += [f"{names[0]}.{alias.name}".strip(".") for alias in node.names]
        else:
            continue
        for name in filter(None, names):
            for base in bases:
                place = base.joinpath(*name.split("."))
                packages = [
                    base.joinpath(*name.split(".")[:depth], "__init__.py") for depth in range(1, name.count(".") + 2)
                ]
                for path in (place.with_name(f"{place.name}.py"), *packages):
                    if path.is_file():
                        yield path.relative_to(base).as_posix(), path
                if place.with_name(f"{place.name}.py").is_file() or place.is_dir():
                    break


def absolute(node: ast.ImportFrom, file: Path, bases: Sequence[Path]) -> str:
    """The module that an import names, from the workspace's folder."""
    if not node.level:
        return node.module or ""
    base = next((base for base in bases if file.is_relative_to(base)), file.parent)
    package = file.relative_to(base).parent.parts
    kept = package[: len(package) - node.level + 1] if node.level > 1 else package
    return ".".join([*kept, *([node.module] if node.module else [])])


def local_names(sources: Sequence[Source]) -> set[str]:
    """First parts of the names under which files of the script are imported."""
    return {Path(source.name).parts[0].removesuffix(".py") for source in sources}


def packages(sources: Sequence[Source]) -> list[str]:
    """What the script imports that is neither its own nor of the standard library, by first names, sorted."""
    import sys  # noqa: PLC0415 - for one table

    found: set[str] = set()
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return sorted(found - local_names(sources) - set(sys.stdlib_module_names) - {""})


def hyperparameters(sources: Sequence[Source]) -> Mapping[str, int | float | str | bool]:
    """Numbers, names and switches that the script declares: constants, options of argparse, configurations."""
    found: dict[str, int | float | str | bool] = {}

    def add(name: str, value: ast.expr | None) -> None:
        try:
            content = None if value is None else ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return
        if isinstance(content, (int, float, bool)) or (isinstance(content, str) and 0 < len(content) < 60):
            found.setdefault(name.strip("-_").replace("-", "_").lower(), content)

    for source in sources:
        for name, value in (*_declared(source.tree), *_options(source.tree)):
            add(name, value)
    return found


def _is_configuration(name: str) -> bool:
    return re.search(r"(?i)config|args|param|setting", name) is not None


def _declared(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """Assignments of the top level, and fields of classes that are configurations."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.ClassDef) and _is_configuration(node.name):
            for each in node.body:
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    yield each.target.id, each.value


def _options(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """Options of argparse with their defaults, and entries of dictionaries that are configurations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if names and isinstance(names[-1], str):
                yield names[-1], next((each.value for each in node.keywords if each.arg == "default"), None)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            target = node.targets[0]
            if isinstance(target, ast.Name) and _is_configuration(target.id):
                for key, value in zip(node.value.keys, node.value.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, value
