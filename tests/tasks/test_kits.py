"""Kits are copied into workspaces, whole but for solutions, and a kit's file may be the base of a module."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from discoenv.errors import DomainError
from discoenv.tasks import kits, stubs
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import initial_modules, materialise
from tests.conftest import MakeVariant

#: A kit with a file that others import, and with the bases of two modules.
SUMS = {
    "__init__.py": '"""Sums."""\n',
    "columns.py": "import numpy as np\n\n\ndef columns(*values):\n    return np.stack(values, axis=1)\n",
    "straight.py": (
        "import numpy as np\n\nfrom .columns import columns\n\n\n"
        "def features(x):\n    # <solution>\n    return columns(np.ones_like(x), 1.0 * x)\n    # </solution>\n"
    ),
    "crooked.py": "def other(x):\n    # <solution>\n    return x**7\n    # </solution>\n",
}
#: The domains whose workspaces hold kits.
WITH_KITS = [name for name in get_domains() if get_domain(name).specification.kits]


@pytest.fixture
def sums(make_variant: MakeVariant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Domain:
    """The toy domain with the kit ``sums``, in which the base of ``features`` is; one dataset lies in a folder."""
    for name, text in SUMS.items():
        path = tmp_path / "kits" / "sums" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (path.parent / "notes.txt").write_text("not copied")
    (tmp_path / "kits/exam").symlink_to(kits.ROOT / "exam")
    monkeypatch.setattr(kits, "ROOT", tmp_path / "kits")

    def change(content: dict[str, Any]) -> None:
        content["kits"] = ["sums"]
        content["modules"]["features"]["base"] = "sums/straight.py"
        content["datasets"]["Far/Away"] = {"source": "offline"}

    files: dict[str, str | None] = {"templates/default/features.py": None, "datasets/Far/Away/interval.py": ""}
    files |= {f"datasets/Far/Away/{name}": "all: {}\ntiny: {n: 1}\n" for name in ("config.yaml", "description.md")}
    return make_variant(change=change, files=files)


def task_of(domain: Domain, *modules: str, **changes: Any) -> Task:
    sides = {"meta_train": ("Line", "Far/Away"), "meta_test": ("Wave",)}
    return Task(**{"domain": domain.name, "modules": modules, "scale": "tiny"} | sides | changes)


def copied(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "sums").iterdir() if path.is_file()}


def test_a_kit_is_copied_into_each_datasets_folder(sums: Domain, tmp_path: Path) -> None:
    folder = materialise(task_of(sums, "model"), tmp_path / "w")
    for dataset in ("Line", "Far/Away"):
        found = copied(folder / dataset)
        assert set(found) == {"__init__.py", "columns.py", "straight.py"}
        assert found["columns.py"] == SUMS["columns.py"]
        assert "columns(np.ones_like(x), 1.0 * x)" in found["straight.py"]
        assert "solution>" not in found["straight.py"]


def test_the_base_of_an_editable_module_is_left_out(sums: Domain, tmp_path: Path) -> None:
    folder = materialise(task_of(sums, "model", "features"), tmp_path / "w")
    assert set(copied(folder / "Line")) == {"__init__.py", "columns.py"}
    assert "NotImplementedError" in (folder / "discovered/features.py").read_text()
    everything = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    for solution in ("columns(np.ones_like(x), 1.0 * x)", "x**7", "solution>"):
        assert solution not in everything


def test_a_base_is_left_out_where_one_of_two_modules_that_have_it_is_editable(sums: Domain) -> None:
    module = sums.specification.modules["features"]
    modules = {**sums.specification.modules, "model": module}
    sums.specification = sums.specification.model_copy(update={"modules": modules})
    assert "sums/straight.py" in sums.kit_texts()
    assert "sums/straight.py" not in sums.kit_texts(["model"])


def test_a_base_is_a_module_that_runs_beside_its_kit(sums: Domain, tmp_path: Path) -> None:
    task = task_of(sums, "features", start="base")
    text = initial_modules(task)["features.py"]
    assert "from sums.columns import columns" in text
    code = "import numpy as np, features; print(features.features(np.arange(2.0)).tolist())"
    for side in (task, task_of(sums, "model")):  # as what the agent edits, and as a fixed file
        folder = materialise(side, tmp_path / "w")
        printed = subprocess.check_output([sys.executable, "-c", code], cwd=folder / "Line", text=True)
        assert printed.strip() == "[[1.0, 0.0], [1.0, 1.0]]"


def test_a_backends_template_comes_before_a_kits_file(sums: Domain) -> None:
    (sums.directory / "templates/other").mkdir()
    (sums.directory / "templates/other/features.py").write_text("# other\n")
    assert sums.module_source("features", backend="other") == "# other\n"
    assert "<solution>" in sums.module_source("features", backend="default")


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("from .columns import columns\n", "from sums.columns import columns\n"),
        ("def f():\n    from . import columns\n", "def f():\n    from sums import columns\n"),
        ("import columns\nx = 'from .columns'\n", "import columns\nx = 'from .columns'\n"),
    ],
)
def test_relative_imports_of_a_base_become_absolute(
    text: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sums").mkdir()
    (tmp_path / "sums" / "__init__.py").write_text("")
    (tmp_path / "sums" / "base.py").write_text(text)
    monkeypatch.setattr(kits, "ROOT", tmp_path)
    assert kits.base_source("sums/base.py") == absolute


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kits": ["rl_jxa"]}, "domain.yaml: kits: no kit is called 'rl_jxa'; did you mean 'rl_jax'?"),
        ({"base": "rl_jax/adam.py"}, "modules.features.base: rl_jax is not among kits; add it there"),
        ({"kits": ["rl_jax"], "base": "rl_jax/adm.py"}, "no file is called 'rl_jax/adm.py' in the kit rl_jax; did you"),
        ({"kits": ["rl_jax"], "base": "../rl_jax/adam.py"}, "modules.features.base: String should match pattern"),
        (
            {"kits": ["rl_jax"], "base": "rl_jax/adam.py"},
            "features.py: the module's base is rl_jax/adam.py; remove one",
        ),
        ({"kits": ["model"]}, "kits: model.py is a file of the domain and would not be imported"),
    ],
)
def test_a_fault_is_an_error_that_names_it(make_variant: MakeVariant, change: Mapping[str, Any], message: str) -> None:
    def apply(content: dict[str, Any]) -> None:
        content["kits"] = change.get("kits", [])
        if "base" in change:
            content["modules"]["features"]["base"] = change["base"]

    with pytest.raises(DomainError) as caught:
        make_variant(change=apply)
    assert message in str(caught.value)


# --- the kits that there are ------------------------------------------------------------------------------------------


def pairs(text: str) -> set[tuple[str, str]]:
    """Lines of code with those that follow them."""
    return set(itertools.pairwise(line.strip() for line in text.splitlines() if line.strip()))


@pytest.mark.parametrize("name", WITH_KITS)
def test_no_kit_holds_the_solution_of_an_editable_module(name: str) -> None:
    domain = get_domain(name)
    for backend in domain.backends:
        for module in domain.modules:
            source = domain.module_source(module, backend=backend)
            solution = "\n".join(re.findall(r"# <solution>\n(.*?)# </solution>", source, re.S))
            for path, text in domain.kit_texts([module]).items():
                assert not pairs(solution) & pairs(text), f"{path} holds {module} of {backend}"
                assert not stubs.is_marked(text)


@pytest.mark.parametrize("kit", kits.kits())
def test_a_kit_imports_nothing_of_ours_and_what_its_domains_require(kit: str) -> None:
    every = [get_domain(name) for name in get_domains()]
    users = [domain for domain in every if kit == "exam" or kit in domain.specification.kits]
    required = [name for user in users for name in user.specification.requirements]
    if not users:  # a library that no domain uses yet: our own extras install what it needs
        required = [Requirement(line).name for line in metadata.requires("discoenv") or []]
    known = {name.replace("-", "_").lower() for name in required}
    optional = {each for user in users for dataset in user.specification.datasets.values() for each in dataset.packages}
    for path, text in kits.kit_files(kit).items():
        assert "discoenv" not in text, f"{path} speaks of discoenv"
        tree = ast.parse(text)
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for imported in {each.partition(".")[0] for each in names}:
                allowed = imported in sys.stdlib_module_names or imported in known | optional
                assert allowed, f"{path} imports {imported}"


def test_importing_a_kit_compiles_nothing() -> None:
    """What fixed files compile while they are imported looks, to the module that comes next, like others' program."""
    pytest.importorskip("jax")
    light = {"__future__", "flax", "jax", "numpy", "optax", *sys.stdlib_module_names}
    modules = []
    for kit in kits.kits():
        for path, text in kits.kit_files(kit).items():
            nodes = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
            absolute = [node for node in nodes if isinstance(node, ast.Import) or not node.level]
            names = {alias.name for node in absolute for alias in node.names if isinstance(node, ast.Import)}
            names |= {str(node.module) for node in absolute if isinstance(node, ast.ImportFrom)}
            if {name.partition(".")[0] for name in names} <= light and path.endswith(".py") and "/" in path:
                modules.append(f"discoenv.kits.{path.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}")
    assert {"discoenv.kits.marl_jax.particles", "discoenv.kits.worlds.grids"} <= set(modules)
    program = f"import importlib\nfor name in {modules}:\n    importlib.import_module(name)"
    environment = {**os.environ, "JAX_LOG_COMPILES": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Compiling" not in done.stderr
