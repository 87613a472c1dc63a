"""What of a script becomes a module: definitions and calls with a role, moved so that the rest runs as before.

A function that needs nothing but imports, constants and other modules is moved as it is. One that uses names of the
function around it, or of the running script, gets them as further arguments, and leaves a call behind. A call that
makes an optimiser, for example, becomes a function of what it uses. What cannot be moved in this way stays, and is
reported.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from discoenv.tasks.drafting import roles
from discoenv.tasks.drafting.scopes import Definition, Function, after_docstring, bound, free, free_inside, parameters
from discoenv.tasks.drafting.sources import Source

_BUILTIN: Final = frozenset(dir(builtins)) | {"__name__", "__file__"}
#: Calls that may stand in a constant: they depend on nothing that happens while the script runs.
_PLAIN_CALLS: Final = frozenset({"float", "int", "bool", "tuple", "list", "dict", "set", "frozenset", "range", "len"})


@dataclass(eq=False)
class Part:
    """A piece of the script that is to be a part of a module.

    Attributes:
        role: which module.
        source, node: where it is: a definition, or the assignment of what a call makes.
        around: the functions that it is in, outermost first.
        name: of the function or class in the module.
        wrapped: whether a call of it stays behind under its own name, with its signature and decorators.
        passed: names that it uses and gets as arguments.
        module_names: names of other modules' parts that it uses.
        imports, constants: imported names, and names of the script's fixed part, that it uses.
    """

    role: str
    source: Source
    node: Definition | ast.Assign
    around: tuple[Function, ...]
    name: str
    wrapped: bool = False
    passed: list[str] = field(default_factory=list)
    module_names: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)

    @property
    def is_call(self) -> bool:
        """Whether it is the value of an assignment."""
        return isinstance(self.node, ast.Assign)

    @property
    def moved_whole(self) -> bool:
        """Whether the definition is in the module alone."""
        return not self.is_call and not self.wrapped


@dataclass
class Reading:
    """What was found in a script.

    Attributes:
        sources: its files, the one that is run first.
        parts: what can be moved into modules, in the order of the script.
        data, measures: where data come from, and where something is measured: statements, with their files.
        metrics: what is measured, most likely first.
        left: what has a role and stays where it is, in a sentence each.
    """

    sources: Sequence[Source]
    parts: list[Part] = field(default_factory=list)
    data: list[tuple[Source, ast.stmt]] = field(default_factory=list)
    measures: list[tuple[Source, ast.stmt]] = field(default_factory=list)
    metrics: list[dict[str, object]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def read_parts(sources: Sequence[Source]) -> Reading:
    """Find what has a role, and what of it can be moved."""
    reading = Reading(sources)
    calls: list[Part] = []
    for source in sources:
        _Finder(source, reading, calls).visit_all(source.tree.body, ())
    defined = {part.role for part in reading.parts}
    kept: dict[tuple[str, str], Part] = {}
    for part in [*reading.parts, *(call for call in calls if call.role not in defined)]:
        if kept.setdefault((part.role, part.name), part) is not part:
            reading.left.append(
                f"{part.source.where(part.node)}: another {part.name} ({part.role}) is moved, this one stays"
            )
    reading.parts = list(kept.values())
    if not reading.metrics:  # what the script names like one, wherever that is
        named = [each for source in sources for node in ast.walk(source.tree) for each in _names(node)]
        reading.metrics = [dict(metric) for metric in filter(None, map(roles.metric_of, named))][:1]
    resolve(reading)
    return reading


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


class _Finder:
    """Walks through the statements of one file."""

    def __init__(self, source: Source, reading: Reading, calls: list[Part]) -> None:
        self._source, self._reading, self._calls = source, reading, calls

    def visit_all(self, statements: Sequence[ast.stmt], around: tuple[Function, ...], block: bool = False) -> None:
        """Statements of one scope; ``block``: they are within a condition or a loop of it."""
        for statement in statements:
            if isinstance(statement, Definition):
                self._definition(statement, around, block)
            else:
                self._statement(statement, around)
                for inner in _blocks(statement):
                    self.visit_all(inner, around, block=True)

    def _definition(self, node: Definition, around: tuple[Function, ...], block: bool) -> None:
        role, source, reading = roles.role_of_definition(node), self._source, self._reading
        if role is not None and role in roles.MODULES:
            if why := _why_it_stays(node, around, block):
                reading.left.append(f"{source.where(node)}: {node.name} ({role}) {why}")
            else:
                name = node.name.lstrip("_") or node.name
                reading.parts.append(Part(role, source, node, around, name if around else node.name))
            return
        if role == roles.DATA:
            reading.data.append((source, node))
            if not _makes_parts(node):
                return
        elif role == roles.MEASURE:
            reading.measures.append((source, node))
            self._metrics(node)
            return
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if not isinstance(method, Function) or method.name.startswith("__"):
                    continue
                if (found := roles.role_of_definition(method)) in roles.MODULES:
                    reading.left.append(
                        f"{source.where(method)}: {node.name}.{method.name} ({found}) is a method; "
                        "make it a function of what it uses of self"
                    )
        else:
            self.visit_all(node.body, (*around, node))

    def _statement(self, node: ast.stmt, around: tuple[Function, ...]) -> None:
        source, reading = self._source, self._reading
        head = _head(node)
        for call in (each for each in ast.walk(head) if isinstance(each, ast.Call)):
            role = roles.role_of_call(call, source.meanings)
            if role == roles.DATA and (source, node) not in reading.data:
                reading.data.append((source, node))
            if metric := roles.metric_of(roles.dotted(call.func)):
                self._measured(node, dict(metric))
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            return
        role = roles.role_of_call(node.value, source.meanings)
        if role is None or role not in roles.MODULES:
            return
        (target, *others) = node.targets
        if others or not isinstance(target, ast.Name):
            reading.left.append(
                f"{source.where(node)}: what {ast.unparse(target)} is set to ({role}) is made in place; "
                "make it in a function that returns it"
            )
            return
        called = roles.dotted(node.value.func).rpartition(".")[2]
        verb = "compute" if role == "loss" and called[:1].islower() else "make"
        self._calls.append(Part(role, source, node, around, f"{verb}_{target.id.lower()}"))

    def _measured(self, node: ast.stmt, metric: dict[str, object]) -> None:
        if (self._source, node) not in self._reading.measures:
            self._reading.measures.append((self._source, node))
        if metric not in self._reading.metrics:
            self._reading.metrics.append(metric)

    def _metrics(self, node: Definition) -> None:
        names = [node.name, *(roles.dotted(each.func) for each in ast.walk(node) if isinstance(each, ast.Call))]
        names += bound(node.body)
        for metric in filter(None, map(roles.metric_of, names)):
            if dict(metric) not in self._reading.metrics:
                self._reading.metrics.append(dict(metric))


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(node, name, None)
        if isinstance(inner, list):
            yield inner
    for handler in getattr(node, "handlers", []):
        yield handler.body
    for case in getattr(node, "cases", []):
        yield case.body


def _head(node: ast.stmt) -> ast.AST:
    """A statement without the statements in it."""
    inner = {id(each) for block in _blocks(node) for each in block}
    if not inner:
        return node
    parts = [each for each in ast.iter_child_nodes(node) if id(each) not in inner and isinstance(each, ast.expr)]
    return ast.Tuple(elts=parts, ctx=ast.Load())


def _makes_parts(node: Definition) -> bool:
    """Whether training is within a function that was taken for one of data, such as ``make_train``."""
    return not isinstance(node, ast.ClassDef) and any(isinstance(each, Function) for each in node.body)


def _why_it_stays(node: Definition, around: tuple[Function, ...], block: bool) -> str:
    """Why a definition with a role cannot be moved; empty if it may be."""
    inside = list(ast.walk(node))
    reasons = (
        (
            not any(after_docstring(each) for each in inside if isinstance(each, Function)),
            "has no statement that an agent could write",
        ),
        (
            any(isinstance(each, (ast.Global, ast.Nonlocal)) for each in inside),
            "assigns names of the code around it; return them instead",
        ),
        (block, "is defined within a condition or a loop; define it at the top level"),
        (around and isinstance(node, ast.ClassDef), "is a class within a function; define it at the top level"),
        (
            around and isinstance(node, ast.AsyncFunctionDef),
            "is a coroutine within a function; define it at the top level",
        ),
        (
            around and node.name in free(node.body),
            "calls itself and is within a function; define it at the top level",
        ),
    )
    return next((reason for holds, reason in reasons if holds), "")


def resolve(reading: Reading) -> None:
    """Where each name that a part uses comes from; again, as long as a part stays that others use."""
    changed = True
    while changed:
        changed = False
        whole = {(part.source.name, part.name): part for part in reading.parts if part.moved_whole}
        named = names_of_parts(reading)
        for part in list(reading.parts):
            before = (part.wrapped, part.passed)
            _resolve_part(part, whole, named)
            if part.wrapped and not isinstance(part.node, ast.FunctionDef):
                reading.parts.remove(part)
                reading.left.append(
                    f"{part.source.where(part.node)}: {part.name} ({part.role}) uses {', '.join(part.passed)} "
                    "of the running script; make them arguments"
                )
                changed = True
            changed = changed or (part.wrapped, part.passed) != before


def names_of_parts(reading: Reading) -> set[tuple[str, str]]:
    """File and name of each definition of the top level that is a part, whether a call of it stays behind or not."""
    return {(part.source.name, part.name) for part in reading.parts if not part.is_call and not part.around}


def _resolve_part(part: Part, whole: dict[tuple[str, str], Part], named: set[tuple[str, str]]) -> None:
    node = part.node
    part.wrapped = bool(part.around) and not part.is_call
    if isinstance(node, ast.Assign):
        _sort_names(part, free(node.value), whole, named)
    elif part.wrapped and isinstance(node, Function):
        _sort_names(part, free_inside(node), whole, named)
    else:
        _sort_names(part, free(node) - {node.name}, whole, named)
        if part.passed:
            part.wrapped = True
            if isinstance(node, Function):  # what only signature and decorators use stays with them
                _sort_names(part, free_inside(node) - {node.name}, whole, named)


def _sort_names(part: Part, used: set[str], whole: dict[tuple[str, str], Part], named: set[tuple[str, str]]) -> None:
    source, local = part.source, {name for each in part.around for name in _locals(each)}
    part.passed, part.module_names, part.imports, part.constants = [], set(), set(), set()
    for name in sorted(used):
        if name in local or (part.is_call and name in source.tops):
            part.passed.append(name)
        elif name in source.imports:
            part.imports.add(name)
        elif name in source.tops:
            if whole.get((source.name, name), part) is not part:
                part.module_names.add(name)
            elif is_constant(source, name, named):
                part.constants.add(name)
            else:
                part.passed.append(name)
        elif name not in _BUILTIN and "*" in source.imports:
            part.imports.add("*")


def _locals(function: Function) -> set[str]:
    return {each.arg for each in parameters(function.args)} | set(bound(function.body))


def is_constant(source: Source, name: str, parts: set[tuple[str, str]], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a name of the top level means the same at all times, and depends on no module."""
    if name in seen:
        return True
    if (source.name, name) in parts or len(source.tops[name]) > 1:
        return False
    (node,) = source.tops[name]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        if node.value is None or any(
            not _is_plain(call, source) for call in ast.walk(node) if isinstance(call, ast.Call)
        ):
            return False
    elif not isinstance(node, Definition):
        return False
    used = free(node)
    return all(
        each in source.imports
        or (each in source.tops and is_constant(source, each, parts, seen | {name}))
        or (each not in source.tops and each in _BUILTIN)
        for each in used
    )


def _is_plain(call: ast.Call, source: Source) -> bool:
    name = roles.dotted(call.func)
    return name in _PLAIN_CALLS or source.meanings.get(name.partition(".")[0], "") in ("torch", "pathlib.Path", "math")
