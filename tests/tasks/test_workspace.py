"""Workspaces are complete, reproducible to the byte, atomic, and hold nothing that the agent must not see."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from discoenv.tasks import workspace as workspaces
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import Task, TaskSide
from discoenv.tasks.workspace import base_modules, describe, initial_modules, lay_out, materialise, write_modules
from tests.conftest import MakeVariant


def fingerprint(folder: Path) -> str:
    """Hash of names, modes, contents and symlink targets of a whole tree."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        digest.update(repr((str(path.relative_to(folder)), oct(mode), content)).encode())
    return digest.hexdigest()


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_text()


@pytest.fixture
def stub_of_one(task: Task) -> Task:
    """Only ``features`` is editable; ``model`` keeps its base."""
    return task.model_copy(update={"modules": ("features",), "meta_train": ("Line", "Steps")})


def test_a_workspace_holds_what_the_agent_needs_and_nothing_else(stub_of_one: Task, tmp_path: Path) -> None:
    folder = materialise(stub_of_one, tmp_path / "w")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    files = {"main.py", "interval.py", "model.py", "features.py", "exam/__init__.py", "exam/messages.py", "config.yaml"}
    assert names == {
        "description.md",
        "task.yaml",
        "install.sh",
        "requirements.txt",
        "run_main.py",
        "discovered/features.py",
        *(f"{dataset}/{name}" for dataset in ("Line", "Steps") for name in files),
    }


def test_the_meta_test_side_has_the_other_datasets(stub_of_one: Task, tmp_path: Path) -> None:
    folder = materialise(stub_of_one, tmp_path / "w", side="meta_test")
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"discovered", "Wave"}


def test_the_same_task_gives_the_same_bytes(task: Task, tmp_path: Path) -> None:
    first = fingerprint(materialise(task, tmp_path / "a"))
    assert fingerprint(materialise(task, tmp_path / "b")) == first
    assert fingerprint(materialise(task.model_copy(update={"start": "base"}), tmp_path / "c")) != first


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_users_umask(task: Task, tmp_path: Path, umask: int) -> None:
    before = fingerprint(materialise(task, tmp_path / "a"))
    previous = os.umask(umask)
    try:
        folder = materialise(task, tmp_path / "b")
    finally:
        os.umask(previous)
    assert fingerprint(folder) == before
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_materialising_again_replaces_what_was_there(task: Task, tmp_path: Path) -> None:
    folder = materialise(task, tmp_path / "w")
    before = fingerprint(folder)
    write_modules(folder, {"model.py": "changed = True\n"})
    (folder / "extra").mkdir()
    (folder / "extra" / "file").write_text("x")
    assert fingerprint(folder) != before
    assert fingerprint(materialise(task, folder)) == before
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


@pytest.mark.parametrize("failing", ["symlink_to", "rename", "write_text"])
def test_a_failure_half_way_leaves_the_old_workspace(task: Task, tmp_path: Path, failing: str) -> None:
    """Fails at the first call, then at the second, and so on, until it does not fail any more."""
    folder = materialise(task, tmp_path / "w")
    write_modules(folder, {"model.py": "old = True\n"})
    before = fingerprint(folder)
    original = getattr(Path, failing)
    failures = 0
    for number in range(1, 100):
        calls = 0

        def fail(self: Path, *args: object, number: int = number, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == number:
                raise OSError(28, "No space left on device")
            return original(self, *args, **kwargs)

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(Path, failing, fail)
            try:
                materialise(task, folder)
                break
            except OSError:
                failures += 1
        assert fingerprint(folder) == before
        assert [path.name for path in tmp_path.iterdir()] == ["w"]
    assert failures >= 2
    assert fingerprint(folder) != before


def test_modules_are_symlinks_that_resolve_to_the_shared_file(make_variant: MakeVariant, tmp_path: Path) -> None:
    def nested(content: dict[str, dict[str, object]]) -> None:
        content["datasets"]["Far/Away"] = {"source": "offline"}

    files = {f"datasets/Far/Away/{name}": "all: {}\ntiny: {n: 1}\n" for name in ("config.yaml", "description.md")}
    make_variant(change=nested, files=files | {"datasets/Far/Away/interval.py": ""})
    task = Task(
        domain="Variant", modules=("model",), meta_train=("Far/Away", "Line"), meta_test=("Wave",), scale="tiny"
    )
    folder = materialise(task, tmp_path / "w")
    moved = folder.rename(tmp_path / "moved")
    for dataset in task.meta_train:
        link = moved / dataset / "model.py"
        assert link.is_symlink()
        assert not link.readlink().is_absolute()
        assert link.resolve() == (moved / "discovered" / "model.py").resolve()
        assert not (moved / dataset / "features.py").is_symlink()


def test_editable_modules_start_as_stubs_and_the_others_as_bases(
    stub_of_one: Task, toy: Domain, tmp_path: Path
) -> None:
    folder = materialise(stub_of_one, tmp_path / "w")
    assert "NotImplementedError" in (folder / "discovered" / "features.py").read_text()
    model = (folder / "Line" / "model.py").read_text()
    assert "np.linalg.solve" in model
    assert "solution>" not in model


def test_a_task_that_starts_from_the_base_holds_it(task: Task, tmp_path: Path) -> None:
    base = task.model_copy(update={"start": "base"})
    folder = materialise(base, tmp_path / "w")
    assert initial_modules(base) == base_modules(task)
    for name, text in base_modules(task).items():
        assert (folder / "discovered" / name).read_text() == text


def test_given_modules_replace_the_start(task: Task, tmp_path: Path) -> None:
    modules = {"model.py": "é = 1\r\n", "features.py": ""}
    folder = materialise(task, tmp_path / "w", modules=modules)
    for name, text in modules.items():
        assert (folder / "discovered" / name).read_bytes() == text.encode()


def test_config_and_task_are_those_of_the_task(task: Task, toy: Domain, tmp_path: Path) -> None:
    folder = materialise(task, tmp_path / "w")
    assert yaml.safe_load((folder / "Line" / "config.yaml").read_text()) == toy.config("Line", "tiny")
    assert TaskSide.parse(folder / "task.yaml") == task.side("meta_train")
    assert (folder / "requirements.txt").read_text() == "numpy\n"


def test_a_workspace_holds_nothing_that_the_agent_must_not_see(stub_of_one: Task, toy: Domain, tmp_path: Path) -> None:
    """No solution of an editable module, no examiner, no baselines, nothing of the other side, no marks."""
    folder = materialise(stub_of_one, tmp_path / "w")
    examiner = (toy.directory / "examiner.py").read_text()
    secret = [line.strip() for line in examiner.splitlines() if len(line.strip()) > 25 and "import" not in line]
    solution = [
        line.strip()
        for part in re.findall(
            r"# <solution>\n(.*?)# </solution>", toy.module_source("features", backend="default"), re.S
        )
        for line in part.splitlines()
        if line.strip()
    ]
    assert len(secret) > 10
    assert solution
    for name, text in texts(folder):
        for line in (*secret, *solution):
            assert line not in text, f"{name} holds {line!r}"
        for word in ("Wave", "solution>", "baselines.json", 'r2":'):
            assert word not in text, f"{name} holds {word!r}"
        if name != "run_main.py":
            assert "discoenv" not in text, f"{name} mentions discoenv"
    assert not list(folder.rglob("*.npz"))


def test_exam_is_the_packages_own_kit(task: Task, tmp_path: Path) -> None:
    folder = materialise(task, tmp_path / "w")
    kit = Path(workspaces.__file__).parents[1] / "kits" / "exam"
    for name in ("__init__.py", "messages.py"):
        assert (folder / "Line" / "exam" / name).read_bytes() == (kit / name).read_bytes()


def test_the_description_says_what_the_task_is(task: Task) -> None:
    text = describe(task.side("meta_train"))
    for part in (
        "# Toy regression",
        "stubs that you implement",
        "`r2` (fraction of variance explained; higher is better)",
        "Objective: `performance`. Scale: `tiny`. Backend: `default`",
        "### `discovered/model.py`",
        "### `discovered/features.py`",
        "`predict(x)`",
        "### `Line/`",
    ):
        assert part in text
    assert "Wave" not in text
    base = task.model_copy(update={"start": "base"}).side("meta_test")
    assert "baseline implementations that you improve" in describe(base)


def test_the_description_says_what_modules_may_import(make_variant: MakeVariant, task: Task) -> None:
    variant = make_variant("Toy", change=lambda content: content.update(imports=["numpy", "scipy"]))
    text = describe(task.side("meta_train"))
    assert (
        "Modules may import `numpy`, `scipy`, each other, the Python files beside `main.py`, and of the standard"
        in text
    )
    assert variant.importable == frozenset({"numpy", "scipy", "model", "features", "interval"})
    make_variant("Toy", change=lambda content: content.update(imports=None, extra="jax"))
    assert "Modules may import `jax`, `flax`, `optax`, " in describe(task.side("meta_train"))
    make_variant("Toy", change=lambda content: content.update(imports=None, extra="another"))
    assert "Modules may import" not in describe(task.side("meta_train"))


def test_the_description_of_a_minimised_metric_says_so(make_variant: MakeVariant, task: Task) -> None:
    make_variant("Toy", change=lambda c: c.update(metric={"name": "mse", "unit": "y²", "direction": "min"}))
    assert "`mse` (y²; lower is better)" in describe(task.side("meta_train"))


def test_write_modules_changes_the_modules_and_nothing_else(task: Task, tmp_path: Path) -> None:
    folder = materialise(task, tmp_path / "w")
    before = dict(texts(folder))
    write_modules(folder, {"model.py": "new = '\u2028é'\r\n"})
    after = dict(texts(folder))
    assert {name for name in after if before[name] != after[name]} == {"discovered/model.py", "Line/model.py"}
    assert (folder / "discovered" / "model.py").read_bytes() == "new = '\u2028é'\r\n".encode()
    assert sorted(path.name for path in (folder / "discovered").iterdir()) == ["features.py", "model.py"]


def test_a_layout_without_editable_modules_can_be_laid_out(toy: Domain, tmp_path: Path) -> None:
    folder = lay_out(TaskSide(domain="Toy", modules=(), datasets=("Line",), scale="tiny"), tmp_path / "w")
    assert not (folder / "Line" / "model.py").is_symlink()
    assert "np.linalg.solve" in (folder / "Line" / "model.py").read_text()


@pytest.mark.parametrize("name", get_domains())
def test_no_title_is_doubled(name: str) -> None:
    domain = get_domain(name)
    datasets = tuple(each for each in domain.datasets if "small" in domain.scales(each))
    side = TaskSide(domain=name, modules=tuple(domain.modules), datasets=datasets, scale="small")
    text = describe(side)
    titles = [line for line in text.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    assert text.startswith(titles[0])
    for dataset in datasets:
        assert text.count(f"### `{dataset}/`") == 1
        assert f"# {dataset}\n" not in text
    for metric, meaning in domain.specification.other_metrics.items():
        assert f"`{metric}` ({meaning})" in text
    for picture in re.findall(r"!\[[^\]]*\]\((\S+)\)", text):
        assert any(picture == f"{dataset}/{name}" for dataset in datasets for name in domain.pictures(dataset))
