"""What fails before agent code runs is this machine's fault, and nothing that agent code does can look like that."""

from __future__ import annotations

import contextlib
import py_compile
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from discoenv.errors import InfraError, LearnerStarved
from discoenv.exams.beginning import Beginning
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.sandbox.base import Command, Limits, Running, Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.conftest import TOY, MakeVariant
from tests.exams.test_runner import line

MAIN = (TOY / "Toy/templates/default/main.py").read_text()
Examine = Callable[..., ExamResult]


@pytest.fixture
def examine(make_variant: MakeVariant, task: Task, sandbox: Sandbox, tmp_path: Path) -> Examine:
    """Examines the toy domain with other beginnings of ``main.py`` and of ``model.py``."""

    def examine(before: str = "", code: str = "", *, budget_s: float = 60.0) -> ExamResult:
        domain = make_variant("Toy", files={"templates/default/main.py": before + MAIN})
        modules = base_modules(task)
        changed = modules | {"model.py": code + modules["model.py"]}
        changed_task = task.model_copy(update={"domain": domain.name})
        with Host(sandbox) as host:
            workspace = materialise(changed_task, tmp_path / "workspace", modules=changed)
            return host.run(workspace, line(domain, budget_s=budget_s))

    return examine


# ---- the program that learners are started with


@pytest.fixture
def begins(tmp_path: Path) -> Iterator[Callable[[str], bool]]:
    """Whether a program in a folder with an agent's module, a state and the compiled programs begins agent code."""
    (tmp_path / "loss.py").write_text("value = 1\n")
    (tmp_path / "gloss.py").write_text("value = 2\n")
    (tmp_path / "alias.py").symlink_to("loss.py")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "f-cache").touch()
    (tmp_path / "state").touch()
    with contextlib.ExitStack() as stack:

        def begins(text: str) -> bool:
            (tmp_path / "main.py").write_text(text)
            (tmp_path / "begun").unlink(missing_ok=True)
            written = [str(tmp_path / name) for name in ("loss.py", "state", "programs")]
            beginning = stack.enter_context(contextlib.closing(Beginning(tmp_path, str(tmp_path), written)))
            argv = [sys.executable, *beginning.argv("main.py")[1:]]
            done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
            return beginning.begun

        yield begins


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import json, sqlite3, gloss\nopen('gloss.py').read()\n",
        "import os\nos.stat('loss.py')\nos.listdir('programs')\n",
        "import os, sys\nassert __name__ == '__main__' and sys.argv == ['main.py']\n"
        "assert __file__ == os.path.abspath('main.py') and sys.path[0] == os.path.dirname(__file__)\n",
    ],
)
def test_fixed_files_alone_do_not_begin_agent_code(begins: Callable[[str], bool], text: str) -> None:
    assert not begins(text)


@pytest.mark.parametrize(
    "text",
    [
        "import loss\n",
        "from loss import value\n",
        "exec(open('loss.py').read())\n",
        "import os\nos.read(os.open(b'./loss.py', os.O_RDONLY), 9)\n",
        "import pathlib\npathlib.Path('x/../loss.py').resolve().read_text()\n",
        "import alias\n",
        "import runpy\nrunpy.run_path('loss.py')\n",
        "import importlib.util as u\ns = u.spec_from_file_location('m', 'loss.py')\n"
        "s.loader.exec_module(u.module_from_spec(s))\n",
        "open('state', 'rb').read()\n",
        "open('programs/f-cache', 'rb').read()\n",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import loss'], check=True)\n",
        "import os\nos.system('true')\n",
        "import os\nif os.fork() == 0:\n    import loss\n    os._exit(0)\nos.wait()\n",
        "import multiprocessing as m\nif __name__ == '__main__':\n    c = m.get_context('spawn')\n"
        "    p = c.Process(target=print)\n    p.start()\n    p.join()\n",
        "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import loss'])\n",
    ],
)
def test_each_way_to_the_agent_s_code_is_seen(begins: Callable[[str], bool], text: str) -> None:
    assert begins(text)


def test_a_module_that_python_has_compiled_is_seen(begins: Callable[[str], bool], tmp_path: Path) -> None:
    (tmp_path / "loss.py").write_text("value = 1\n")
    py_compile.compile(str(tmp_path / "loss.py"))
    assert begins("import loss\nassert '__pycache__' in loss.__cached__\n")


def test_unmarked_nothing_of_an_agent_runs(tmp_path: Path) -> None:
    (tmp_path / "loss.py").write_text("print('the agent runs')\n")
    (tmp_path / "main.py").write_text("try:\n    import loss\nexcept BaseException:\n    print('caught')\n")
    beginning = Beginning(tmp_path, str(tmp_path), [str(tmp_path / "loss.py")])
    beginning.close()
    (tmp_path / "begun").unlink()
    argv = [sys.executable, *beginning.argv("main.py")[1:]]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("", 70)
    assert "the host cannot be told that agent code begins" in done.stderr


# ---- exams: what is the machine's


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("raise OSError('the disk is gone')\n", "OSError: the disk is gone"),
        ("this is no Python\n", "SyntaxError"),
        ("import os\nos.environ['EXAM_DATA'] = '/proc/self/mem/x'\nimport exam\nexam.seed(1)\n", "TypeError"),
        ("import os\nos._exit(3)\n", "exit code 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "exit code -11"),
        ("kept = []\nwhile True:\n    kept.append(bytearray(64 << 20))\n", "MemoryError|exit code|memory"),
    ],
)
def test_what_fixed_files_die_of_is_no_score(examine: Examine, before: str, words: str) -> None:
    with pytest.raises(InfraError, match=f"(?s)before any module of an agent is read: .*({words})"):
        examine(before)


def test_fixed_files_that_spend_the_budget_are_tried_again_alone(examine: Examine) -> None:
    with pytest.raises(LearnerStarved, match="before any module of an agent is read: the compute budget was spent"):
        examine("while True:\n    pass\n", budget_s=0.5)


def test_a_failure_of_fixed_files_that_does_not_come_again_costs_nothing(
    examine: Examine, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, broken = sandbox.start, ["1"]

    def start_broken(command: Command, limits: Limits) -> Running:
        environment = {"BROKEN": broken.pop()} if broken and "EXAM_SEED" in command.env else {}
        return start(replace(command, preload=(), env={**command.env, **environment}), limits)

    monkeypatch.setattr(sandbox, "start", start_broken)
    assert examine("import os\nif 'BROKEN' in os.environ:\n    raise OSError\n").status == "ok"
    assert not broken


# ---- exams: what is the agent's


SAID = "import os, sys\nprint('OSError: the driver does not answer', file=sys.stderr)\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("this is no Python\n", "error"),
        (f"{SAID}os._exit(1)\n", "error"),
        (f"{SAID}os._exit(70)\n", "error"),
        (f"{SAID}os.close(2)\nos._exit(1)\n", "error"),
        ("import os\nos.closerange(3, 256)\n1 / 0\n", "error"),
        ("import os, shutil\nshutil.rmtree('/exam', ignore_errors=True)\nos._exit(1)\n", "error"),
        ("import sys\nfor n in list(sys.modules):\n    del sys.modules[n]\nraise SystemExit(1)\n", "error"),
        ("import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'raise OSError'])\n", "error"),
        ("while True:\n    pass\n", "timeout"),
        ("import no_such_package\n", "error"),
    ],
)  # fmt: skip
def test_an_agent_cannot_make_its_failure_the_machine_s(examine: Examine, code: str, status: str) -> None:
    assert examine("", code, budget_s=3.0).status == status
