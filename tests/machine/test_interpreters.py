"""Other interpreters: what they are, and what they find."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from discoenv.errors import InterpreterUnusable, UserError
from discoenv.machine.interpreters import interpreter, missing_modules


def test_an_environment_is_known_by_its_folder_or_its_interpreter(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    found = interpreter(tmp_path / "env")
    assert found == interpreter(str(tmp_path / "env" / "bin" / "python"))
    assert found.executable == tmp_path / "env" / "bin" / "python"
    assert found.prefixes[0] == tmp_path / "env"
    assert Path(sys.base_prefix) in found.prefixes
    assert found.version == sys.version.split()[0]


def test_packages_are_looked_for_where_a_program_will_run(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (packages / "only_there.py").write_text("raise RuntimeError('it is not imported')")
    names = ["only_there", "numpy", "json", "nowhere_at_all"]
    assert missing_modules(names) == ["only_there", "nowhere_at_all"]
    assert missing_modules(names, tmp_path / "env") == ["numpy", "nowhere_at_all"]


def test_what_is_no_interpreter_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(InterpreterUnusable, match=r"absent: no interpreter is there; name the file bin/python"):
        interpreter(tmp_path / "absent")
    for name, text in (("broken", "#!/bin/sh\necho no >&2; exit 3\n"), ("other", "#!/bin/sh\necho hello\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
        with pytest.raises(UserError, match=rf"{name}: it .*(no$|starts)"):
            interpreter(tmp_path / name)
