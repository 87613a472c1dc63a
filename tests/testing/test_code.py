"""A learner's code is written to a folder, imported in this process, and forgotten."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from discoenv.errors import DomainError, UnknownName
from discoenv.tasks.domain import Domain
from discoenv.testing import import_learner, import_workspace, write_workspace
from tests.conftest import POLYNOMIAL_FEATURES


def test_a_workspace_is_imported_and_forgotten(toy: Domain, tmp_path: Path) -> None:
    mine = sys.modules["model"] = type(sys)("model")
    try:
        paths, names = list(sys.path), set(sys.modules)
        with import_workspace(write_workspace(toy, tmp_path / "code")) as code:
            assert {"main", "model", "features", "interval", "exam"} <= set(vars(code))
            assert code.main.Model is code.model.Model is not getattr(mine, "Model", None)
            assert sys.modules["model"] is code.model
        assert sys.modules["model"] is mine
        assert sys.path == paths
        assert not {"main", "features", "interval", "exam"} & (set(sys.modules) - names)
        assert not list((tmp_path / "code").rglob("__pycache__"))
    finally:
        del sys.modules["model"]


def test_two_workspaces_do_not_meet(toy: Domain, tmp_path: Path) -> None:
    base = write_workspace(toy, tmp_path / "base")
    better = write_workspace(toy, tmp_path / "better", modules={"features": POLYNOMIAL_FEATURES})
    x = np.linspace(-1, 1, 5)
    with import_workspace(base) as first, import_workspace(better) as second:
        assert first.main.features(x).shape == (5, 2)
        assert second.main.features(x).shape == (5, 6)
    with import_workspace(base) as again:
        assert again.main.features(x).shape == (5, 2)


def test_a_stub_is_imported_and_says_what_is_missing(toy: Domain, tmp_path: Path) -> None:
    with import_workspace(write_workspace(toy, tmp_path / "stub", stubs=["model"])) as code:
        assert code.features.features(np.ones(3)).shape == (3, 2)
        with pytest.raises(NotImplementedError, match=r"^model\.py: Model\.fit is not implemented$"):
            code.model.Model().fit(None, None, None)


def test_what_a_workspace_raises_is_raised_and_leaves_nothing(toy: Domain, tmp_path: Path) -> None:
    folder = write_workspace(toy, tmp_path / "broken", modules={"model": "import features\n1 / 0\n"})
    paths = list(sys.path)
    with pytest.raises(ZeroDivisionError), import_workspace(folder):
        pass
    assert sys.path == paths
    assert not {"main", "model", "features"} & set(sys.modules)


def test_packages_in_a_workspace_are_forgotten_too(tmp_path: Path) -> None:
    for value in (1, 2):
        folder = tmp_path / str(value)
        (folder / "kit").mkdir(parents=True)
        (folder / "kit" / "__init__.py").write_text("")
        (folder / "kit" / "part.py").write_text(f"VALUE = {value}\n")
        (folder / "main.py").write_text("from kit.part import VALUE\n")
        with import_workspace(folder) as code:
            assert value == code.main.VALUE
        assert not [name for name in sys.modules if name.partition(".")[0] == "kit"]


def test_settings_of_frameworks_are_put_back(tmp_path: Path) -> None:
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    threads, double = torch.get_num_threads(), jax.config.jax_enable_x64
    (tmp_path / "main.py").write_text(
        f"import jax, torch\njax.config.update('jax_enable_x64', {not double})\ntorch.set_num_threads({threads + 1})\n"
    )
    with import_workspace(tmp_path):
        assert (torch.get_num_threads(), jax.config.jax_enable_x64) == (threads + 1, not double)
    assert (torch.get_num_threads(), jax.config.jax_enable_x64) == (threads, double)


def test_errors_name_the_folder_and_what_to_give(toy: Domain, tmp_path: Path) -> None:
    write_workspace(toy, tmp_path / "code")
    with pytest.raises(DomainError, match=r"code: there is no main\.py in it; give the folder of a dataset"):  # noqa: SIM117
        with import_workspace(tmp_path / "code"):
            pass
    with pytest.raises(DomainError, match=r"there is no mian\.py in it; .*features, interval, main, model"):  # noqa: SIM117
        with import_workspace(tmp_path / "code" / "Line", "mian"):
            pass
    with pytest.raises(UnknownName, match="no module is called 'modle' in Toy; did you mean 'model'"):
        write_workspace(toy, tmp_path / "other", stubs=["modle"])
    with pytest.raises(UnknownName, match="no dataset is called 'Lines' in Toy; did you mean 'Line'"):
        write_workspace(toy, tmp_path / "other", dataset="Lines")


def test_the_code_of_a_candidate_is_imported_from_its_folder(toy: Domain) -> None:
    x = np.linspace(-1, 1, 5)
    with import_learner(toy, modules=toy.directory / "candidates" / "02_polynomials") as code:
        place = Path(code.main.__file__)
        assert code.main.features(x).shape == (5, 6)
        assert code.model.RIDGE == 1e-3
    assert not place.exists()
    with pytest.raises(UnknownName, match="no module is called 'interval' in Toy"):  # noqa: SIM117
        with import_learner(toy, modules=toy.directory / "datasets" / "Line"):
            pass
