"""The notebooks of ``docs/notebooks``: ``python docs/notebooks.py`` executes them and stores what they print.

Each runs in a new process and an empty folder, with exams from a secret that is none, so that it prints the same at
each time. Facts of the machine (paths, seconds, sizes, dates) are stripped. No Jupyter is needed: cells are plain
Python, and what the last expression of a cell is worth is shown. :func:`page` is a notebook as a page of the site.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

FOLDER: Final = Path(__file__).resolve().parent / "notebooks"
_RUN: Final = """
import ast, contextlib, io, json, sys
cells, outputs, names = json.load(sys.stdin), [], {"__name__": "__main__"}
for number, cell in enumerate(cells, 1):
    tree = ast.parse(cell)
    shown = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, f"cell {number}", "exec"), names)
        if shown is not None:
            value = eval(compile(ast.Expression(shown.value), f"cell {number}", "eval"), names)
            if value is not None:
                print(repr(value))
    outputs.append(printed.getvalue())
print("\\n" + json.dumps(outputs))
"""
#: What differs from machine to machine, and from run to run.
_FACTS: Final = (
    (re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+[\w.+-]*"), "…"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|minutes|MiB|GiB|J)\b"), r"… \2"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]?[\d:.+-]*"), "…"),
    (re.compile(r"\b\d{8}-\d{6}\w*"), "…"),
)


def names() -> list[str]:
    """The notebooks, by file name."""
    return sorted(path.name for path in FOLDER.glob("*.ipynb"))


def read(name: str) -> dict[str, Any]:
    """A notebook, in version 4 of the format."""
    content: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return content


def execute(notebook: dict[str, Any]) -> list[str]:
    """What each of its code cells prints, without facts of the machine.

    Raises:
        RuntimeError: a cell raised; the message ends with the traceback.
    """
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "secret")
        secret.touch(mode=0o600)
        secret.write_text(f"{0:064d}\n", encoding="utf-8")
        work = Path(folder, "work")
        work.mkdir()
        environment = {
            **os.environ,
            "DISCOENV_SECRET_FILE": str(secret),
            "XDG_STATE_HOME": folder,
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-c", _RUN]
        done = subprocess.run(
            command, input=json.dumps(cells), cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"a cell of the notebook raised:\n{done.stderr[-3000:]}")
        outputs: list[str] = json.loads(done.stdout.splitlines()[-1])
        return [stripped(text.replace(folder, "…")) for text in outputs]


def stripped(text: str) -> str:
    """A text without facts of the machine."""
    for pattern, replacement in _FACTS:
        text = pattern.sub(replacement, text)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def stored(notebook: dict[str, Any]) -> list[str]:
    """The output that is in the notebook, for each of its code cells."""
    codes = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    return ["".join("".join(output["text"]) for output in cell["outputs"]) for cell in codes]


def with_outputs(notebook: dict[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    """The notebook with new outputs."""
    left = list(outputs)
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            text = left.pop(0)
            stream = {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
            cells.append({**cell, "outputs": [stream] if text else [], "execution_count": None})
        else:
            cells.append(cell)
    return {**notebook, "cells": cells}


def page(name: str) -> str:
    """A notebook as Markdown: its texts, its code, and what that prints."""
    notebook = read(name)
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        if printed := "".join("".join(output["text"]) for output in cell["outputs"]).strip("\n"):
            parts.append(f"```text\n{printed}\n```")
    title, *rest = parts
    file = f"*This page is a notebook: [{name}]({name}), in `docs/notebooks` of a checkout.*"
    return "\n\n".join([title, file, *rest]) + "\n"


def main(only: Annotated[list[str] | None, typer.Argument(help="Files; default: all.")] = None) -> None:
    """Execute the notebooks, and store what they print."""
    for name in only or names():
        notebook = read(name)
        made = with_outputs(notebook, execute(notebook))
        (FOLDER / name).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"docs/notebooks/{name}: executed")


if __name__ == "__main__":
    typer.run(main)
