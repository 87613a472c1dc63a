"""What the text of a module shows: imports, what no algorithm needs, and how much it says."""

from __future__ import annotations

import base64
import zlib

import pytest

from discoenv.module_code import Refused, flags, refused_imports, size

FUNCTION = '''
def step(x, rate):
    """One step."""
    return [value - rate * value for value in x]
'''


def test_imports_are_found_wherever_they_are() -> None:
    text = "import numpy\nfrom . import x\nclass A:\n    def f(self):\n        from os import path\n\nimport a.b, c\n"
    assert refused_imports(text, {"numpy"}) == [Refused(7, "a"), Refused(7, "c"), Refused(5, "os")]
    assert refused_imports("import os, sys\n", {"os", "sys"}) == []
    assert refused_imports("def f(:", ()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import sys\nx = sys.modules['exam']\n", ["m.py:1: import: sys", "m.py:2: reflection: ….modules"]),
        ("import gc\ngc.get_objects()\n", ["m.py:1: import: gc", "m.py:2: reflection: ….get_objects"]),
        ("import ctypes\n", ["m.py:1: import: ctypes"]),
        ("f = getattr(f, '__globals__')\n", ["m.py:1: reflection: '__globals__'"]),
        ("__import__('__main__')\n", ["m.py:1: reflection: '__main__'", "m.py:1: reflection: __import__"]),
        ("open('/exam/train.npz')\n", ["m.py:1: files: open()"]),
        ("import numpy as np\nnp.load('x')\n", ["m.py:2: files: load()"]),
        ("import networks\nnetworks.Model = None\n", ["m.py:2: changes other code: networks.…"]),
        ("import networks\nsetattr(networks, 'Model', None)\n", ["m.py:2: changes other code: setattr(networks, …)"]),
        ("exec('x = 1')\n", ["m.py:1: reflection: exec"]),
    ],
)
def test_what_no_algorithm_needs_is_flagged(text: str, expected: list[str]) -> None:
    assert flags(text, "m.py") == expected


def test_ordinary_code_is_not_flagged() -> None:
    text = (
        "import numpy as np\nfrom functools import partial\n\nclass A:\n    def __init__(self):\n        self.x = 1\n"
    )
    assert flags(text + FUNCTION, "m.py") == []
    assert flags("not python (", "m.py") == []


def test_comments_layout_and_docstrings_say_nothing() -> None:
    bare = "def step(x,rate):return [value-rate*value for value in x]"
    assert size(FUNCTION + "# a comment\n" * 50) == size(bare)
    assert size("") < size(bare) < size(bare + "\n" + bare.replace("step", "leap"))


def test_packing_code_into_text_makes_it_larger() -> None:
    code = "\n".join(f"def f{number}(x):\n    return x ** {number} - {number * 7 % 13}" for number in range(30))
    packed = base64.b85encode(zlib.compress(code.encode(), 9)).decode()
    unpacking = f"import zlib, base64\nexec(zlib.decompress(base64.b85decode({packed!r})))\n"
    assert size(unpacking) > 0.9 * size(code)
    assert len(unpacking) < 0.5 * len(code)


def test_a_text_that_is_not_python_counts_its_bytes() -> None:
    assert size("é (") == 4
