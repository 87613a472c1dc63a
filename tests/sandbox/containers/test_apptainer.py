"""Apptainer, on the constructed command line only: the program is not needed, and not tried."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from discoenv.errors import SandboxError, SandboxUnavailable
from discoenv.sandbox import Command, Limits, Mount
from discoenv.sandbox.containers.apptainer import ApptainerSandbox, definition, exec_argv, image_path


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    for name in ("scratch", "exam", "out"):
        (tmp_path / name).mkdir()
    command = Command(
        ("python", "main.py"),
        cwd="/workspace",
        mounts=(Mount(tmp_path / "exam", "/exam"), Mount(tmp_path / "out", "/out", writable=True)),
        env={"EXAM_SEED": "1,2"},
        hidden_packages=("statsmodels/datasets/co2",),
        gpus=("GPU-1",),
    )
    return exec_argv(command, Limits(), Path("/images/x.sif"), tmp_path / "scratch")


def test_everything_is_contained(argv: list[str]) -> None:
    options = argv[: argv.index("/images/x.sif")]
    for option in ("--containall", "--cleanenv", "--no-home", "--no-privs", "--net", "--nv"):
        assert option in options
    assert options[options.index("--network") + 1] == "none"
    assert options[options.index("--pwd") + 1] == "/workspace"


def test_mounts_are_read_only_unless_asked(argv: list[str], tmp_path: Path) -> None:
    binds = [value for option, value in itertools.pairwise(argv) if option == "--bind"]
    assert f"{tmp_path}/scratch/tmp:/tmp:rw" in binds
    assert f"{tmp_path}/exam:/exam:ro" in binds
    assert f"{tmp_path}/out:/out:rw" in binds
    assert f"{tmp_path}/scratch/empty:/opt/learner/packages/statsmodels/datasets/co2:ro" in binds


def test_the_environment_is_set_inside_and_nothing_is_inherited(argv: list[str]) -> None:
    inside = argv[argv.index("-i") - 1 :]
    assert inside[:2] == ["env", "-i"]
    assert "EXAM_SEED=1,2" in inside
    assert inside[-2:] == ["/opt/learner/bin/python", "main.py"]


def test_paths_that_cannot_be_mounted_are_refused(tmp_path: Path) -> None:
    odd = tmp_path / "a,b"
    odd.mkdir()
    with pytest.raises(SandboxError, match="commas or colons"):
        exec_argv(Command(("true",), "/", mounts=(Mount(odd, "/x"),)), Limits(), Path("/i.sif"), tmp_path)


def test_the_definition_installs_the_family_and_not_discoenv() -> None:
    text = definition("sklearn", "python:3.11-slim")
    assert "From: python:3.11-slim" in text
    assert "scikit-learn==" in text
    assert "discoenv" not in text


def test_its_absence_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    check = ApptainerSandbox.check()
    assert (check.works, check.detail) == (False, "the program apptainer is not installed")
    with pytest.raises(SandboxUnavailable, match="not installed"):
        ApptainerSandbox().start(Command(("true",), "/"), Limits())


def test_images_are_files_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert image_path("sklearn").parent == tmp_path / "discoenv/images"
    assert image_path("sklearn") != image_path("jax")
