"""Exported functions of examiners: loaded they compute the same, any change traces them anew, no learner sees them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import base_modules, materialise

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("flatbuffers")

from discoenv.examiners import jax_export  # noqa: E402

Load = Callable[..., jax_export.ExportedFunctions]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A domain's folder."""
    folder = tmp_path / "Walks"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "walk.py").write_text("STEP = 1\n")
    return folder


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where entries are, at first nowhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "discoenv" / "examiner-programs"


@pytest.fixture
def traced() -> list[Mapping[str, Any]]:
    """The settings of every definition that was asked for."""
    return []


@pytest.fixture
def load(store: Path, folder: Path, traced: list[Mapping[str, Any]]) -> Load:
    """Loads a random walk whose state is a list of leaves, one of them a key."""

    def define(settings: Mapping[str, Any]) -> jax_export.Definition:
        traced.append(settings)

        def start(seed: Any) -> Any:
            return [jnp.zeros(settings["walkers"]), jax.random.key(seed)]

        def step(state: Any) -> Any:
            place, key = state
            key, now = jax.random.split(key)
            return [place + jax.random.normal(now, place.shape), key]

        state = jax.eval_shape(start, np.int32(0))
        return jax_export.Definition({"start": (start, (np.int32(0),)), "step": (step, (state,))}, {"low": -1.5})

    def load(settings: Mapping[str, Any] | None = None, **where: Any) -> jax_export.ExportedFunctions:
        return jax_export.load(define, settings or {"walkers": 4}, folder=folder, **{"packages": ()} | where)

    return load


def walk(programs: jax_export.ExportedFunctions, seed: int = 3) -> np.ndarray[Any, Any]:
    """Where the walkers are after two steps."""
    state = programs.functions["start"](np.int32(seed))
    for _ in range(2):
        state = programs.functions["step"](state)
    return np.asarray(state[0])


def test_a_loaded_program_is_not_traced_and_computes_the_same(load: Load, traced: list[Any]) -> None:
    first, second = load(), load()
    assert len(traced) == 1
    np.testing.assert_array_equal(walk(first), walk(second))
    assert np.ptp(walk(second)) > 0 and (walk(second) != walk(second, seed=4)).any()
    assert first.facts == second.facts == {"low": -1.5}


def test_a_change_of_anything_that_defines_a_program_traces_it_anew(
    load: Load, traced: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    assert walk(load({"walkers": 5})).shape == (5,)
    assert len(traced) == 2
    (folder / "templates" / "walk.py").write_text("STEP = 2\n")
    load()
    assert len(traced) == 3
    (folder / "another.py").write_text("")
    load()
    assert len(traced) == 4
    monkeypatch.setattr(jax_export, "_versions", lambda names: {"jax": "9.9.9"})
    load()
    assert len(traced) == 5
    with jax.enable_x64(True):
        assert walk(load()).dtype == np.float64
    assert len(traced) == 6
    load()
    assert len(traced) == 6


def test_a_change_in_a_further_file_or_folder_traces_it_anew(load: Load, traced: list[Any], tmp_path: Path) -> None:
    kit, file = tmp_path / "kit", tmp_path / "file.txt"
    (kit / "inner").mkdir(parents=True)
    for number, path in enumerate((kit / "walk.py", kit / "inner" / "walk.py", file), start=1):
        file.touch()
        path.write_text(f"STEP = {number}\n")
        for _ in range(2):
            load(also=(kit, file))
            assert len(traced) == number


def test_the_versions_of_what_a_package_requires_count() -> None:
    versions = jax_export._versions(("jax", "flatbuffers", "no-such-distribution"))
    assert {"jax", "jaxlib", "numpy", "flatbuffers"} <= set(versions)
    assert "no-such-distribution" not in versions


@pytest.mark.parametrize("damage", [b"", b"no archive", None], ids=["empty", "something else", "a flipped bit"])
def test_an_entry_that_cannot_be_read_is_replaced(load: Load, traced: list[Any], store: Path, damage: bytes) -> None:
    expected = walk(load())
    [entry] = store.iterdir()
    whole = entry.read_bytes()
    middle = len(whole) // 2
    entry.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :] if damage is None else damage)
    np.testing.assert_array_equal(walk(load()), expected)
    assert len(traced) == 2
    load()
    assert len(traced) == 2


def test_a_store_that_others_can_write_to_is_not_used(load: Load, traced: list[Any], store: Path) -> None:
    load()
    store.chmod(0o777)
    load()
    assert len(traced) == 2
    [entry] = store.iterdir()
    entry.unlink()
    load()
    assert not list(store.iterdir())


def test_a_cache_that_cannot_be_written_only_costs_time(load: Load, traced: list[Any], store: Path) -> None:
    store.parents[1].write_text("a file where a folder should be")
    np.testing.assert_array_equal(walk(load()), walk(load()))
    assert len(traced) == 2


def test_the_entries_used_least_recently_go_first(
    load: Load, traced: list[Any], monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setattr(jax_export, "MOST_ENTRIES", 2)
    for walkers in (1, 2, 1, 3, 1):
        load({"walkers": walkers})
    assert [settings["walkers"] for settings in traced] == [1, 2, 3]
    assert len(list(store.iterdir())) == 2
    load({"walkers": 2})
    assert len(traced) == 4


def test_learners_neither_see_nor_change_what_is_stored(sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
    if sandbox.name == "process":
        pytest.skip("a process without a sandbox sees what the user sees")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_CACHE_HOME", raising=False)
        store = jax_export._store()
        assert store.is_relative_to(Path.home())
        compiled = store.parent / "examiner-jax"
        marks = [place / "mark-of-a-test" for place in (store, compiled)]
        for mark in marks:
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.write_text("mark")
        code = f"""
            import contextlib, os
            for path in {[str(mark) for mark in marks]}:
                if os.path.exists(path):
                    raise SystemExit(f"found {{path}}")
                with contextlib.suppress(OSError):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    open(path, "w").write("changed")
        """
        model = textwrap.dedent(code) + base_modules(task)["model.py"]
        workspace = materialise(task, tmp_path / "workspace", modules={**base_modules(task), "model.py": model})
        domain, host = Domain(task.resolve().directory), Host(sandbox)
        try:
            result = host.run(workspace, ExamSpec(Setting(domain, "default", "Line", "tiny"), 1, 60.0))
            assert result.status == "ok", result.message
            assert [mark.read_text() for mark in marks] == ["mark", "mark"]
        finally:
            host.close()
            for mark in marks:
                mark.unlink()
