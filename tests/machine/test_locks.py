"""Where the machine's locks are: in one place for all its users, and safe from them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from discoenv.errors import SandboxError
from discoenv.machine import locks
from discoenv.machine.locks import FOLDER_VARIABLE, machine_folder, try_lock


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like /dev/shm, which is where locks are."""
    place = tmp_path / "shm"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setattr(locks, "_PLACES", (tmp_path / "absent", place))
    monkeypatch.setattr(locks, "_said", set())
    monkeypatch.delenv(FOLDER_VARIABLE)
    return place


def test_there_is_one_place_whatever_the_folder_for_temporary_files_is(tmp_path: Path) -> None:
    show = "import sys; from discoenv.machine import locks; print(locks.machine_folder('discoenv-test'))"
    seen = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        environment = {key: value for key, value in os.environ.items() if key != FOLDER_VARIABLE}
        done = subprocess.run(
            [sys.executable, "-c", show],
            env=environment | {"TMPDIR": str(tmp_path / name), "XDG_RUNTIME_DIR": str(tmp_path / name)},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout.strip())
    (folder,) = seen
    assert not Path(folder).is_relative_to(tmp_path)
    Path(folder).rmdir()


def test_all_users_may_lock_and_the_folder_can_be_chosen(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine_folder("cores")
    assert (folder, folder.stat().st_mode & 0o7777) == (place / "cores", 0o1777)
    before = os.umask(0o077)
    try:
        descriptor = try_lock(folder / "core-0", fcntl.LOCK_EX)
    finally:
        os.umask(before)
    assert descriptor is not None
    os.close(descriptor)
    assert (folder / "core-0").stat().st_mode & 0o777 == 0o644
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "chosen"))
    assert machine_folder("cores") == tmp_path / "chosen/cores"


@pytest.mark.parametrize("what", ["a link", "a file", "a folder that only its owner may use"])
def test_another_user_who_holds_the_name_is_avoided_and_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    if what == "a link":
        (place / "cores").symlink_to(place)
    elif what == "a file":
        (place / "cores").touch()
    else:
        (place / "cores").mkdir(mode=0o755)
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    (place / f"cores-{uid + 1}").mkdir()
    with pytest.raises(SandboxError, match=f"belongs to another user, it should hold locks: set {FOLDER_VARIABLE}"):
        machine_folder("cores")
    (place / f"cores-{uid + 1}").rmdir()
    monkeypatch.setattr(os, "getuid", lambda: uid)
    if what == "a folder that only its owner may use":
        assert machine_folder("cores") == place / "cores"  # the owner's own
        return
    assert machine_folder("cores") == place / f"cores-{uid}"
    assert "do not wait for those of other users: its owner should remove it" in caplog.text


def test_a_pipe_in_the_place_of_a_lock_does_not_hang(place: Path) -> None:
    os.mkfifo(place / "core-0")
    descriptor = try_lock(place / "core-0", fcntl.LOCK_EX)
    assert descriptor is not None
    os.close(descriptor)
