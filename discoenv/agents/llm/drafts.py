"""A chat model fills gaps of a domain's draft: texts, the examiner, docstrings. Its author still reads all of it.

Nothing that the model writes is run here, and ``discoenv validate`` runs no code of a domain with gaps: code that the
model wrote begins with one, which its author removes after reading.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.llm.code_blocks import INSTRUCTIONS as FORMAT
from discoenv.agents.llm.code_blocks import parse_modules
from discoenv.errors import BudgetSpent, ChatError
from discoenv.machine import atomic
from discoenv.python_text import tree_of
from discoenv.tasks.drafting.compose import GAP
from discoenv.tasks.drafting.writing import REPORT, gaps
from discoenv.tasks.specification import Specification

UNREAD: Final = f"# {GAP} a model wrote this file; read it, then remove this line.\n"
INSTRUCTIONS: Final = f"""\
You are a machine-learning researcher. A training script was cut into a domain of discoenv: modules that agents will \
rewrite, fixed files, and an examiner that holds what is hidden, asks and scores. Each gap of the draft is marked \
`{GAP}`. Fill the gaps of one file. Where you cannot know what is right, leave the mark. Change nothing else: in \
modules only docstrings, in domain.yaml no names. Held-out data are drawn in the examiner alone, with \
`self.generator(seed, purpose)`."""
_SHOWN: Final = (".py", ".md", ".yaml")


@dataclass(frozen=True)
class Filled:
    """What a model did to a draft.

    Attributes:
        written: files that it filled, by path in the domain's folder.
        refused: files whose new text was not taken, with the reason.
        stopped: why it was not asked any further; empty if it was asked about every file.
    """

    written: tuple[str, ...]
    refused: dict[str, str]
    stopped: str

    def described(self, model: str) -> str:
        """For its author."""
        lines = [f"{model} wrote {', '.join(self.written) or 'nothing'}; read it before you use it."]
        lines += [f"  {name}: left as it was: {reason}" for name, reason in self.refused.items()]
        return "\n".join([*lines, *([f"  It was not asked further: {self.stopped}"] if self.stopped else [])])


def fill_gaps(folder: Path, model: ChatModel) -> Filled:
    """Ask a model for each file of a draft that has gaps.

    Args:
        folder: the domain's.
        model: one answer is asked for per file, with the whole draft as context.
    """
    names = list(dict.fromkeys(gap.place.rpartition(":")[0] for gap in gaps(folder)))
    written: list[str] = []
    refused: dict[str, str] = {}
    stopped = ""
    for name in (name for name in names if name != REPORT and not name.startswith("tests/")):
        try:
            reply = model.complete(_messages(folder, name), conversation=name, label="draft")
        except (BudgetSpent, ChatError) as error:
            stopped = str(error)
            break
        text = parse_modules(reply.text, [name]).get(name, "")
        before = (folder / name).read_text(encoding="utf-8")
        reason = _why_not(name, before, text)
        if reason:
            refused[name] = reason
        elif text.strip() != before.strip():
            is_module = "# <solution>" in before  # whose code is the same
            atomic.write_text(folder / name, (UNREAD if name.endswith(".py") and not is_module else "") + text)
            written.append(name)
    return Filled(tuple(written), refused, stopped)


def _messages(folder: Path, name: str) -> list[dict[str, str]]:
    files = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SHOWN and path.is_file() and "__pycache__" not in path.parts
    }
    shown = "\n\n".join(f"### `{path}`\n\n```\n{text}```" for path, text in files.items() if text)
    wanted = f"Fill the gaps of `{name}`. {FORMAT}"
    return [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": f"{shown}\n\n{wanted}"}]


def _why_not(name: str, before: str, text: str) -> str:
    """Why a new text is not taken; empty if it is."""
    if not text.strip():
        return "the answer has no such file"
    if name.endswith(".py") and tree_of(text) is None:
        return "the answer is not Python"
    module = name.startswith("templates/") and "# <solution>" in before
    if module and not _same_code(before, text):
        return "the answer changes code of a module, not only docstrings"
    if name.endswith(".yaml"):
        return _why_not_yaml(name, before, text)
    return ""


def _why_not_yaml(name: str, before: str, text: str) -> str:
    try:
        old, new = yaml.safe_load(before), yaml.safe_load(text)
        if not isinstance(new, dict) or set(new) - set(old) - {"other_metrics"}:
            return "the answer has other keys"
        if name == "domain.yaml":
            ours, theirs = Specification.model_validate(old), Specification.model_validate(new)
            kept = ("name", "version", "fixed_files", "requirements", "extra", "imports", "hidden_packages")
            changed = [key for key in kept if getattr(ours, key) != getattr(theirs, key)]
            changed += [key for key in ("modules", "datasets") if set(getattr(ours, key)) != set(getattr(theirs, key))]
            if changed:
                return f"the answer changes {', '.join(changed)}"
    except (yaml.YAMLError, ValidationError, RecursionError) as error:
        return f"the answer is not valid: {str(error).splitlines()[0]}"
    return ""


def _same_code(before: str, text: str) -> bool:
    """Whether two texts are the same but for docstrings and comments, marks of the solution included."""
    marks = [[line.strip() for line in each.splitlines() if "solution>" in line] for each in (before, text)]
    return marks[0] == marks[1] and _without_docstrings(before) == _without_docstrings(text)


def _without_docstrings(text: str) -> str:
    tree = tree_of(text)
    if tree is None:
        return text
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)
