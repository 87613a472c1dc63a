"""Importing discoenv is cheap, and registers its environment in whatever order things are imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import discoenv

HEAVY = (
    *("gymnasium", "numpy", "jax", "torch", "flax", "sklearn", "pydantic", "yaml", "docker", "openai", "typer"),
    *("mcp", "gepa", "inspect_ai", "harbor", "openenv", "trl", "nemo_gym"),
)
MAKE = "env = gymnasium.make({!r}, sandbox='process', runs_dir=None); print(env.spec.id); env.close()"


def run(program: str) -> str:
    command = [sys.executable, "-W", "error::DeprecationWarning:discoenv", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_discoenv_imports_nothing_heavy() -> None:
    assert run(f"import discoenv, sys; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "program",
    [
        "import discoenv; import gymnasium",
        "import gymnasium; import discoenv",
        "import discoenv; import gymnasium.envs.registration; import gymnasium",
        "import discoenv; from gymnasium import spaces; import gymnasium",
        "import discoenv.tasks.task; import gymnasium",
        # What a library does that only wants to know whether Gymnasium is installed:
        "import discoenv, importlib.util; importlib.util.find_spec('gymnasium'); import gymnasium",
        "import discoenv, importlib; importlib.reload(discoenv); import gymnasium; importlib.reload(discoenv)",
    ],
)
def test_the_environment_is_registered_in_any_order_of_imports(program: str) -> None:
    check = """
assert "DiscoGen-v0" in gymnasium.registry
import sys
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("discoenv")]
"""
    assert run(f"{program}\n{check}print('registered')") == "registered"


def test_the_environment_is_made_by_its_id() -> None:
    assert run(f"import discoenv; import gymnasium\n{MAKE.format('DiscoGen-v0')}") == "DiscoGen-v0"
    assert run(f"import gymnasium\n{MAKE.format('discoenv:DiscoGen-v0')}") == "DiscoGen-v0"


def test_an_import_of_gymnasium_that_fails_is_not_hidden() -> None:
    program = """
import discoenv, sys
sys.path_importer_cache.clear()
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
try:
    import gymnasium
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(program) == "gymnasium"


def test_all_public_names_are_there() -> None:
    assert len(discoenv.__all__) <= 25
    assert set(discoenv.__all__) == set(discoenv._HOMES)
    for name in discoenv.__all__:
        assert getattr(discoenv, name) is not None
        assert name in dir(discoenv)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = discoenv.nonsense


def test_the_docstring_says_what_is_where() -> None:
    assert discoenv.__doc__
    folder = Path(discoenv.__file__).parent
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert set(re.findall(r"(?m)^    (\S+)  ", discoenv.__doc__)) == files | folders
