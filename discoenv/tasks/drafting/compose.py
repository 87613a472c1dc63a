"""The files of a cut: a file for each module, and the rest of the script, which imports them."""

from __future__ import annotations

import ast
import copy
import graphlib
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discoenv.python_text import parse, tree_of
from discoenv.tasks.drafting import roles
from discoenv.tasks.drafting.cut import Part, Reading, is_constant, names_of_parts, resolve
from discoenv.tasks.drafting.scopes import Definition, Function, after_docstring, bound, free, parameters
from discoenv.tasks.drafting.sources import Edit, Source, local_names

#: What marks a gap; the rest of the line says what is missing.
GAP: Final = "TODO(draft):"
_DOCSTRING: Final = f"{GAP} one sentence; then each argument and the result: shape, dtype, unit."


@dataclass
class Files:
    """Text of each file of the learner.

    Attributes:
        modules: by name of the module.
        fixed: by path in the workspace.
        parts: what each module holds.
    """

    modules: dict[str, str]
    fixed: dict[str, str]
    parts: dict[str, list[Part]]


def compose(reading: Reading) -> Files:
    """Write the files. A part that two files would import each other for stays where it is, and is reported."""
    while True:
        files = _written(reading)
        circle = _circle(files)
        if circle is None:
            return files
        last = next((part for part in reversed(reading.parts) if _file(part, files) in circle), None)
        if last is None:
            return files
        reading.parts.remove(last)
        reading.left.append(
            f"{last.source.where(last.node)}: {last.name} ({last.role}) stays, because {_file(last, files)} and "
            "other files would import each other"
        )
        resolve(reading)


def described(role: str) -> str:
    """What a module of a role is: ``The loss that training minimises``."""
    said = roles.MODULES[role].removeprefix("Write ")
    return said[0].upper() + said[1:]


def _file(part: Part, files: Files) -> str:
    return next((name for name, parts in files.parts.items() if part in parts), "")


def _written(reading: Reading) -> Files:
    taken = {"main", "exam", "answer", "run_main", "common", *local_names(reading.sources)}
    taken |= {Path(source.name).stem for source in reading.sources}
    by_role: dict[str, list[Part]] = {}
    for part in reading.parts:
        by_role.setdefault(part.role, []).append(part)
    order = [role for role in roles.MODULES if role in by_role]
    named = {role: role if role not in taken else f"{role}_part" for role in order}
    module_of = {part: named[part.role] for part in reading.parts}
    common = {source.name: _common(source, reading) for source in reading.sources}
    common_file = {
        source.name: "common" if len(reading.sources) == 1 else f"{Path(source.name).stem}_common"
        for source in reading.sources
    }
    modules, parts = {}, {}
    for role in order:
        modules[named[role]] = _module(role, by_role[role], module_of, common_file)
        parts[named[role]] = by_role[role]
    fixed = {}
    for source in reading.sources:
        own = [part for part in reading.parts if part.source is source]
        fixed[source.name] = _rest(source, own, module_of, common[source.name], common_file[source.name], reading)
        if common[source.name]:
            fixed[f"{common_file[source.name]}.py"] = _common_text(source, common[source.name])
    return Files(modules, fixed, parts)


def _common(source: Source, reading: Reading) -> list[ast.stmt]:
    """Statements of a file that modules need: they go into a file that modules can import."""
    named = names_of_parts(reading)
    queue = {name for part in reading.parts if part.source is source for name in part.constants}
    needed: set[str] = set()
    while queue:
        name = queue.pop()
        needed.add(name)
        (node,) = source.tops[name]
        queue |= {each for each in free(node) if each in source.tops and is_constant(source, each, named)} - needed
    return [
        node
        for node in source.tree.body
        if needed & set(bound([node])) and not isinstance(node, ast.Import | ast.ImportFrom)
    ]


def _common_text(source: Source, statements: Sequence[ast.stmt]) -> str:
    used = set().union(*(free(node) for node in statements))
    blocks = [source.code(node) for node in statements]
    head = [f'"""What modules and main.py share, from {source.shown}."""\n', *_imports(source, used)]
    return _joined(head, blocks)


def _module(role: str, parts: Sequence[Part], module_of: Mapping[Part, str], common_file: Mapping[str, str]) -> str:
    head = [f'"""{described(role)}."""\n']
    lines: list[str] = []
    for part in parts:
        lines += _imports(part.source, part.imports)
        if part.constants:
            lines.append(f"from {common_file[part.source.name]} import {', '.join(sorted(part.constants))}\n")
        for other, module in module_of.items():
            used = other.moved_whole and other.source is part.source and other.name in part.module_names
            if used and module != module_of[part]:
                lines.append(f"from {module} import {other.name}\n")
    lines = list(dict.fromkeys(lines))
    future = [line for line in lines if line.startswith("from __future__")]
    return _joined([*head, *future, *(line for line in lines if line not in future)], [_block(part) for part in parts])


def _joined(head: Sequence[str], blocks: Sequence[str]) -> str:
    imports = "".join(head[1:])
    return "\n".join([head[0], *([imports] if imports else [])]) + "\n\n" + "\n\n".join(blocks)


def _imports(source: Source, names: set[str]) -> list[str]:
    """Import statements that bind these names, and those of ``__future__``, in the order of the file."""
    found = []
    for node in source.tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for alias in node.names:
            bound_name = alias.asname or alias.name.partition(".")[0]
            future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            if bound_name in names or future:
                alone = type(node)(**{**vars(node), "names": [alias]})
                found.append(_absolute(alone, source) + "\n")
    return found


def _absolute(node: ast.Import | ast.ImportFrom, source: Source) -> str:
    """An import without leading dots, as files of a workspace import each other."""
    if isinstance(node, ast.ImportFrom) and node.level:
        package = Path(source.name).parent.parts
        kept = package[: len(package) - node.level + 1] if node.level > 1 else package
        module = ".".join([*kept, *([node.module] if node.module else [])])
        if not module:
            return "; ".join(
                f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "") for alias in node.names
            )
        node = ast.ImportFrom(module=module, names=node.names, level=0)
    return ast.unparse(node)


def _block(part: Part) -> str:
    """A part as a marked definition."""
    node = part.node
    if isinstance(node, ast.Assign):
        value = ast.get_source_segment(part.source.text, node.value) or ast.unparse(node.value)
        if tree_of(f"def f():\n    return {value}\n") is None:
            value = ast.unparse(node.value)
        return _function(part.name, ", ".join(part.passed), f"    return {value}\n")
    if not part.moved_whole and isinstance(node, Function):
        arguments = copy.deepcopy(node.args)
        for each in parameters(arguments):
            each.annotation = None
        arguments.defaults, arguments.kw_defaults = [], [None for _ in arguments.kwonlyargs]
        arguments.kwonlyargs += [ast.arg(name) for name in part.passed]
        arguments.kw_defaults += [None for _ in part.passed]
        return _function(part.name, ast.unparse(arguments), _body(part.source, node, "    "), node)
    return _marked(part.source, node)


def _function(name: str, signature: str, body: str, node: Function | None = None) -> str:
    docstring = (node and ast.get_docstring(node)) or _DOCSTRING
    quoted = textwrap.indent(f'"""{docstring}"""', "    ", lambda line: bool(line.strip()))
    if tree_of(f"def f():\n{quoted}\n") is None:
        quoted = f"    {docstring!r}"
    return f"def {name}({signature}):\n{quoted}\n    # <solution>\n{body}    # </solution>\n"


def _body(source: Source, node: Function, indent: str) -> str:
    """The statements of a function after its docstring, indented anew."""
    statements = after_docstring(node) or [ast.Pass()]
    if not isinstance(statements[0], ast.Pass) or hasattr(statements[0], "lineno"):
        start = node.body[0].end_lineno if statements is not node.body and ast.get_docstring(node) is not None else None
        first = (start or _head_end(source, node)) + 1
        lines = "".join(source.lines[first - 1 : node.end_lineno])
        text = textwrap.indent(textwrap.dedent(lines), indent, lambda line: bool(line.strip()))
        text = text.rstrip() + "\n"
        tree = tree_of(f"def f():\n{text}") if indent else None
        if tree is not None and isinstance(tree.body[0], ast.FunctionDef) and _same(tree.body[0].body, statements):
            return text
    return textwrap.indent("\n".join(ast.unparse(each) for each in statements), indent) + "\n"


def _same(one: Sequence[ast.stmt], other: Sequence[ast.stmt]) -> bool:
    return [ast.dump(each) for each in one] == [ast.dump(each) for each in other]


def _head_end(source: Source, node: Function) -> int:
    """The line on which the signature ends: the last before the body that is neither blank nor a comment."""
    line = node.body[0].lineno - 1
    while line > node.lineno and re.match(r"\s*(#.*)?$", source.lines[line - 1]):
        line -= 1
    return line


def _shares_a_line(node: Function) -> bool:
    """Whether what is to be marked begins on the line of the signature or of the docstring."""
    statements = after_docstring(node)
    before = node.lineno if statements is node.body else node.body[0].end_lineno
    return bool(statements) and statements[0].lineno == before


def _marked(source: Source, node: Definition) -> str:
    """A definition of the top level as it is, with marks around what is to be written, and docstrings."""
    functions = [node] if isinstance(node, Function) else [each for each in node.body if isinstance(each, Function)]
    if any(map(_shares_a_line, functions)):
        text = ast.unparse(node) + "\n"  # a body in the line of its signature
        tree = parse(text)
        (inner,) = tree.body
        return _marked(Source(source.name, source.shown, text, tree), inner)  # type: ignore[arg-type]
    edits: list[Edit] = []
    for each in functions:
        statements = after_docstring(each)
        has = statements is not each.body
        if not statements:
            continue
        indent = source.indent(each.body[0].lineno)
        after = (each.body[0].end_lineno or 0) if has else _head_end(source, each)
        place = source.offset(after + 1)
        missing = not has and (not each.name.startswith("_") or each.name == "__call__")
        docstring = f'{indent}"""{_DOCSTRING}"""\n' if missing else ""
        edits.append((place, place, f"{docstring}{indent}# <solution>\n"))
        end = source.offset((each.end_lineno or each.lineno) + 1)
        newline = "" if source.text[:end].endswith("\n") else "\n"
        edits.append((end, end, f"{newline}{indent}# </solution>\n"))
    start, end = source.span(node)
    edited = source.edited(edits)
    return edited[start : end + len(edited) - len(source.text)].rstrip() + "\n"


def _rest(
    source: Source,
    parts: Sequence[Part],
    module_of: Mapping[Part, str],
    common: Sequence[ast.stmt],
    common_file: str,
    reading: Reading,
) -> str:
    """A file of the script without what was moved, and with marks at what is the examiner's."""
    edits: list[Edit] = []
    lines: dict[str, list[str]] = {}
    names_used = {each.id for each in ast.walk(source.tree) if isinstance(each, ast.Name)} | {
        *source.tops,
        *source.imports,
    }
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            edits.append((source.offset(node.lineno, node.col_offset), _end(source, node), _absolute(node, source)))
    for part in parts:
        module, node = module_of[part], part.node
        if part.moved_whole:
            edits.append((*source.span(node), ""))
            lines.setdefault(module, []).append(part.name)
            continue
        free_name = part.is_call and part.name not in names_used
        alias = part.name if free_name else f"discovered_{part.name}"
        lines.setdefault(module, []).append(part.name if free_name else f"{part.name} as {alias}")
        if isinstance(node, ast.Assign):
            start = source.offset(node.value.lineno, node.value.col_offset)
            edits.append((start, _end(source, node.value), f"{alias}({', '.join(part.passed)})"))
        elif isinstance(node, Function):
            edits.append(_call_in_place(source, node, alias, part.passed))
    names = [name for node in common for name in bound([node])]
    edits += [(*source.span(node), "") for node in common]
    gone = {id(each) for part in parts for each in ast.walk(part.node)} | {id(e) for n in common for e in ast.walk(n)}
    still = {each.id for each in ast.walk(source.tree) if isinstance(each, ast.Name) and id(each) not in gone}
    if shared := [name for name in names if name in still or len(reading.sources) > 1]:
        lines[common_file] = shared
    moved = [(start, end) for start, end, _ in edits]
    for statement, gap in _gaps(source, reading):
        start = source.span(statement)[0]
        if not any(begin <= start < end for begin, end in moved):
            indent = source.indent(statement.lineno)
            edits.append((start, start, f"{indent}# {GAP} {gap}\n"))
    imports = "".join(
        f"from {module} import {', '.join(sorted(set(each)))}\n" for module, each in sorted(lines.items())
    )
    place = _after_imports(source)
    if imports:
        edits.append((place, place, imports))
    text = re.sub(r"\n{4,}", "\n\n\n", source.edited(edits)).strip("\n") + "\n"
    text = _without_unused(text, {each.id for each in ast.walk(source.tree) if isinstance(each, ast.Name)})
    text = text.strip("\n") + "\n"
    if source.name != "main.py":
        return text if text.strip() else ""
    ending = (
        f"# {GAP} begin with `import exam`, exam.seed() and exam.training_data(), and end in exam.serve(...) with an\n"
        "# object that answers the questions of `contract` in domain.yaml, or in exam.hand_over(...) with arrays.\n"
    )
    return _guarded(text) + ending


def _end(source: Source, node: ast.AST) -> int:
    return source.offset(getattr(node, "end_lineno", 1), getattr(node, "end_col_offset", 0))


def _call_in_place(source: Source, node: Function, alias: str, passed: Sequence[str]) -> Edit:
    """What is left of a function that got further arguments: its signature, and a call."""
    arguments = node.args
    given = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    given += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    given += [f"{each.arg}={each.arg}" for each in arguments.kwonlyargs]
    given += [f"{name}={name}" for name in passed]
    given += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    start, end = source.span(node)
    indent = source.indent(node.lineno)
    call = f"return {alias}({', '.join(given)})\n"
    if node.body[0].lineno == node.lineno:
        head = f"{indent}def {node.name}({ast.unparse(arguments)}):\n"
        head = "".join(f"{indent}@{ast.unparse(each)}\n" for each in node.decorator_list) + head
        return start, end, f"{head}{indent}    {call}"
    inner = source.indent(node.body[0].lineno)
    return source.offset(_head_end(source, node) + 1), end, f"{inner}{call}"


def _gaps(source: Source, reading: Reading) -> list[tuple[ast.stmt, str]]:
    found = [
        (
            node,
            "this is about data: what is held out moves to examiner.py, the rest comes by exam.training_data()",
        )
        for where, node in reading.data
        if where is source
    ]
    found += [
        (node, "this measures: scores come from examiner.py; keep what is a learning curve, and move the rest")
        for where, node in reading.measures
        if where is source
    ]
    for node in source.tree.body:
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "parse_args":
                found.append(
                    (node, "options come from config.yaml in the working directory: yaml.safe_load, no command line")
                )
                break
    return found


def _after_imports(source: Source) -> int:
    """Where imports can be added: behind the first ones, or behind the docstring."""
    place = 0
    for number, node in enumerate(source.tree.body):
        docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not isinstance(node, (ast.Import, ast.ImportFrom)):
            break
        place = source.offset((node.end_lineno or 0) + 1)
    return place


def _without_unused(text: str, before: set[str]) -> str:
    """A text without imports that only the moved parts used: they would name the solution."""
    tree = parse(text)
    used = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    source = Source("", "", text, tree)
    edits: list[Edit] = []
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or (
            isinstance(node, ast.ImportFrom) and node.module == "__future__"
        ):
            continue
        names = {alias: alias.asname or alias.name.partition(".")[0] for alias in node.names}
        kept = [alias for alias, name in names.items() if name in used or name not in before]
        if len(kept) < len(node.names):
            start, end = source.offset(node.lineno, node.col_offset), _end(source, node)
            if kept:
                edits.append((start, end, ast.unparse(type(node)(**{**vars(node), "names": kept}))))
            else:
                edits.append((*source.span(node), ""))
    return source.edited(edits)


def _guarded(text: str) -> str:
    """A script whose statements run where it is the main program alone, so that it can be imported."""
    tree = parse(text)
    body = tree.body
    if any(isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) for node in body):
        return text
    first = next((number for number, node in enumerate(body) if not _is_declaration(node, number)), None)
    if first is None:
        return text
    source = Source("main.py", "main.py", text, tree)
    start = source.offset(_with_comments(source, body[first].lineno))
    inner = textwrap.indent(text[start:], "    ", lambda line: bool(line.strip()))
    guarded = f'{text[:start].rstrip()}\n\n\nif __name__ == "__main__":\n{inner}'
    made = tree_of(guarded)
    if made is not None and isinstance(made.body[-1], ast.If) and _same(made.body[-1].body, body[first:]):
        return guarded
    return f'# {GAP} put what runs under `if __name__ == "__main__":`\n{text}'


def _with_comments(source: Source, line: int) -> int:
    while line > 1 and source.lines[line - 2].startswith("#"):
        line -= 1
    return line


def _is_declaration(node: ast.stmt, number: int) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | Definition):
        return True
    if number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    plain = isinstance(node, (ast.Assign, ast.AnnAssign)) and not any(
        isinstance(each, ast.Call) for each in ast.walk(node)
    )
    return plain and not free(node) - {"True", "False"}


def _circle(files: Files) -> set[str] | None:
    """Names of files that import each other in a circle."""
    texts = {
        **files.modules,
        **{name.removesuffix(".py").replace("/", "."): text for name, text in files.fixed.items()},
    }
    graph: dict[str, set[str]] = {}
    for name, text in texts.items():
        tree = tree_of(text)
        found: set[str] = set()
        for node in [] if tree is None else tree.body:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        graph[name] = (found & set(texts)) - {name}
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = set(error.args[1])
        return circle if circle & set(files.modules) else None
    return None
