"""Of what a learner wrote to stderr, the agent reads the frames of its task and the exception."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discoenv.exams.tracebacks import last_line, trim

STDERR = """\
warning: something
Traceback (most recent call last):
  File "/workspace/Line/main.py", line 3, in <module>
    fit()
  File "/usr/lib/python3.11/site-packages/numpy/linalg.py", line 9, in solve
    raise error
           ^^^^^
  File "/workspace/Line/model.py", line 5, in fit
    return solve(a)
           ^^^^^^^^
  File "/usr/lib/python3.11/site-packages/numpy/core.py", line 7, in inner
    boom()
ValueError: shapes differ
  expected: 3
note: got 4
"""


def test_frames_of_other_files_and_the_folder_are_left_out() -> None:
    assert (
        trim(STDERR, "/workspace")
        == """\
Traceback (most recent call last):
  File "Line/main.py", line 3, in <module>
    fit()
  File "Line/model.py", line 5, in fit
    return solve(a)
           ^^^^^^^^
ValueError: shapes differ
  expected: 3
note: got 4"""
    )


def test_the_exceptions_line_is_its_first() -> None:
    assert last_line(trim(STDERR, "/workspace")) == "ValueError: shapes differ"
    assert last_line(trim(STDERR.replace("ValueError: shapes differ", "model.Boom"), "/workspace")) == "model.Boom"
    assert last_line("") == ""


def test_of_several_tracebacks_the_last_counts() -> None:
    chained = f"{STDERR}\nDuring handling of the above exception, another exception occurred:\n\n"
    chained += STDERR.replace("ValueError: shapes differ", "KeyError: 'x'")
    assert last_line(trim(chained, "/workspace")) == "KeyError: 'x'"


def test_a_syntax_error_of_the_main_file_has_no_first_line() -> None:
    stderr = '  File "/workspace/Line/main.py", line 2\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'
    assert trim(stderr, "/workspace") == stderr.replace("/workspace/", "").rstrip("\n")
    assert last_line(trim(stderr, "/workspace")) == "SyntaxError: invalid syntax"


def test_a_folder_whose_name_begins_alike_is_another() -> None:
    stderr = STDERR.replace("/workspace/Line/model.py", "/workspace2/model.py")
    assert "model.py" not in trim(stderr, "/workspace")


@pytest.mark.parametrize("stderr", ["", "no traceback\n", "File missing\n"])
def test_without_a_traceback_there_is_nothing(stderr: str) -> None:
    assert trim(stderr, "/workspace") == ""


def test_a_long_traceback_is_cut_and_its_end_is_kept() -> None:
    text = trim(STDERR.replace("note: got 4", "x" * 10_000 + "the end"), "/workspace")
    assert len(text) <= 6010
    assert text.startswith("[…]\n")
    assert text.endswith("the end")


@given(st.text() | st.text().map(lambda text: STDERR + text) | st.text().map(lambda text: STDERR.replace("\n", text)))
def test_any_text_is_trimmed(stderr: str) -> None:
    text = trim(stderr, "/workspace")
    assert len(text) <= 6010
    assert "\n" not in last_line(text)
