"""A command line within the process, an empty working directory, and packs in DiscoGen's format."""

from __future__ import annotations

import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import pytest

from discoenv.cli.main import main
from discoenv.tasks import registry


class Done(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def discoenv_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``discoenv`` with these arguments, run in ``folder`` on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["discoenv", *arguments])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        assert code is None or isinstance(code, int)
        return Done(code or 0, *capsys.readouterr())

    return run


#: Guesses numbers; what it prints and how it starts can be changed.
MAIN = """
import json, pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from guess import guess
folder = pathlib.Path(__file__).parent / "data"
numbers = json.loads((folder / "numbers.json").read_text())
error = sum((guess() - number) ** 2 for number in numbers) / len(numbers)
print(json.dumps({"losses": {"mse": error}}))
"""
MAKE_DATASET = """
import json

def download_dataset(place):
    (place / "numbers.json").write_text(json.dumps([NUMBERS]))
"""


class MakePack(Protocol):
    """Makes a pack ``guessing`` with a domain in DiscoGen's format, and returns its folder."""

    def __call__(self, files: Mapping[str, str | None] = ..., *, name: str = ...) -> Path: ...


@pytest.fixture
def make_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePack:
    """Datasets A and B, whose data are numbers; ``files`` are further files of the domain's folder (None: none).

    The user's cache is an empty folder, and no other pack is known.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "_registered", {})

    def make(files: Mapping[str, str | None] = MappingProxyType({}), *, name: str = "Guess") -> Path:
        all_files: dict[str, str | None] = {
            "task_config.yaml": f"train_task_id: [A, B]\ntest_task_id: [A, B]\nsource_path: task_src/{name}\n"
            "template_backend: default\nchange_guess: false\n",
            "utils/task_spec.yaml": "fixed_files: [main.py, make_dataset.py]\nmodule_files: [guess.py]\n",
            "utils/task_information.yaml": "guess_prompt: Write guess().\n",
            "utils/baseline_scores.yaml": "losses.mse:\n  default: {A: 4.0, B: 9.0}\n  objective: min\n",
            "utils/description.md": "Guess the numbers.\n",
            "utils/requirements.txt": "numpy\n",
            "templates/default/main.py": MAIN,
            "templates/default/base/guess.py": "def guess():\n    return 0\n",
            "templates/default/edit/guess.py": "def guess():\n    ...\n",
            "datasets/A/description.md": "Twos.\n",
            "datasets/A/make_dataset.py": MAKE_DATASET.replace("NUMBERS", "2, 2"),
            "datasets/B/description.md": "Threes.\n",
            "datasets/B/make_dataset.py": MAKE_DATASET.replace("NUMBERS", "3, 3"),
        }
        all_files.update(files)
        for path, text in all_files.items():
            if text is not None:
                file = tmp_path / "guessing" / "domains" / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        return tmp_path / "guessing"

    return make


@pytest.fixture
def make_environment(tmp_path: Path) -> Callable[..., Path]:
    """Makes a virtual environment without packages but for modules of these texts, and returns its interpreter."""

    def make(name: str = "other", **modules: str) -> Path:
        venv.create(tmp_path / name, symlinks=True)
        (packages,) = (tmp_path / name / "lib").glob("python*/site-packages")
        for module, text in modules.items():
            (packages / f"{module}.py").write_text(text)
        return tmp_path / name / "bin" / "python"

    return make
