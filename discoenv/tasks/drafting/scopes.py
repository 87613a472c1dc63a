"""Which names a piece of Python binds, and which it takes from around it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """All parameters of a function, in the order of its signature."""
    starred = [arguments.vararg] if arguments.vararg else []
    double = [arguments.kwarg] if arguments.kwarg else []
    return [*arguments.posonlyargs, *arguments.args, *starred, *arguments.kwonlyargs, *double]


def after_docstring(function: Function) -> list[ast.stmt]:
    """The statements of a function, without its docstring."""
    return function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body


def bound(statements: Iterable[ast.AST]) -> list[str]:
    """Names that statements bind in their own scope, as often as they do: assignments, definitions, imports, loops."""
    return [name for statement in statements for name in _bound(statement)]


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, Definition):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        if isinstance(node, _COMPREHENSIONS) and isinstance(child, ast.comprehension):
            # A comprehension's targets are its own; a walrus in it binds outside.
            yield from bound(each.target for each in ast.walk(child) if isinstance(each, ast.NamedExpr))
        else:
            yield from _bound(child)


def free(node: ast.AST | Iterable[ast.AST]) -> set[str]:  # noqa: PLR0911 - one per kind of node
    """Names that a piece of code uses and does not bind itself, built-in ones included."""
    if not isinstance(node, ast.AST):
        return set().union(*(free(each) for each in node))
    if isinstance(node, Function):
        outside = [*node.decorator_list, *_outside(node.args), *([node.returns] if node.returns else [])]
        return free(outside) | _inside(node.body, node.args)
    if isinstance(node, ast.Lambda):
        return free(_outside(node.args)) | _inside([node.body], node.args)
    if isinstance(node, ast.ClassDef):
        own = set(bound(node.body))
        methods = [each for each in node.body if isinstance(each, Function)]
        others = [each for each in node.body if not isinstance(each, Function)]
        heads = [*node.decorator_list, *node.bases, *(each.value for each in node.keywords)]
        return free(heads) | (free(others) - own) | free(methods)
    if isinstance(node, _COMPREHENSIONS):
        targets = {
            each.id
            for part in node.generators
            for each in ast.walk(part.target)
            if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
        }
        return free(ast.iter_child_nodes(node)) - targets
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return free(node.value) | {node.target.id}
    return free(list(ast.iter_child_nodes(node)))


def free_inside(function: Function) -> set[str]:
    """Names that the body of a function uses and neither it nor its signature binds."""
    return _inside(function.body, function.args)


def _outside(arguments: ast.arguments) -> list[ast.AST]:
    """What of a signature is evaluated where the function is defined."""
    defaults = [each for each in (*arguments.defaults, *arguments.kw_defaults) if each is not None]
    return [*defaults, *(each.annotation for each in parameters(arguments) if each.annotation)]


def _inside(body: list[ast.stmt] | list[ast.expr], arguments: ast.arguments) -> set[str]:
    declared = {
        name
        for statement in body
        for each in ast.walk(statement)
        if isinstance(each, (ast.Global, ast.Nonlocal))
        for name in each.names
    }
    own = {each.arg for each in parameters(arguments)} | (set(bound(body)) - declared)
    return (free(body) - own) | declared
