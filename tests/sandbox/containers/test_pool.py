"""Containers that were started ahead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from discoenv.machine.owner import owner_tag
from discoenv.sandbox import Limits, Mount
from discoenv.sandbox.containers.docker import DockerSandbox
from discoenv.sandbox.containers.engine import Engine
from tests.sandbox.providers import CONTAINERS, python

pytestmark = pytest.mark.docker


@pytest.fixture
def warm(engine: Engine) -> Iterator[DockerSandbox]:
    provider = CONTAINERS(pool_size=2)
    yield provider
    provider.close()


def own(engine: Engine) -> set[str]:
    return {each.id for each in engine.containers() if each.owner == owner_tag()}


def test_a_waiting_container_serves_one_command_only(warm: DockerSandbox, engine: Engine) -> None:
    command = python("open('/tmp/mark', 'x').close()")
    warm.warm_up(command, Limits())
    waiting = own(engine)
    assert len(waiting) == 2
    for _ in range(4):
        assert warm.run(command, Limits()).exit_code == 0, "the mark of an earlier command was there"
    warm.close()
    assert own(engine) == set()


def test_the_exam_is_seen_and_cannot_be_changed(warm: DockerSandbox, tmp_path: Path) -> None:
    code = """
import os, socket
s = socket.socket(socket.AF_UNIX); s.connect('/exam/socket'); s.sendall(open('/exam/folder/data', 'rb').read())
for path in ("/exam/folder/data", "/exam/new"):
    try: open(path, "w"); print("wrote", path)
    except OSError: pass
try: os.unlink("/exam/folder/data"); print("removed")
except OSError: pass
print(os.readlink("/exam/link"))
"""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/data").write_bytes(b"hello")
    (tmp_path / "link").symlink_to("folder/data")
    command = python(code, cwd="/exam", mounts=(Mount(tmp_path, "/exam"),))
    warm.warm_up(command, Limits())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        (tmp_path / "socket").chmod(0o777)
        server.listen(1)
        outcome = warm.run(command, Limits(wall_s=60.0))
        assert (outcome.exit_code, outcome.stdout) == (0, "folder/data\n"), outcome
        connection, _ = server.accept()
        with connection:
            assert connection.recv(5) == b"hello"
    assert (tmp_path / "folder/data").read_bytes() == b"hello"


def test_a_writable_mount_gets_a_new_container(warm: DockerSandbox, tmp_path: Path) -> None:
    mounts = (Mount(tmp_path, "/out", writable=True),)
    command = python("open('/out/x', 'w').write('1')", mounts=mounts)
    warm.warm_up(command, Limits())
    assert warm.run(command, Limits()).exit_code == 0
    assert (tmp_path / "x").read_text() == "1"


def test_what_died_while_waiting_is_replaced(warm: DockerSandbox, engine: Engine) -> None:
    command = python("print('fine')")
    warm.warm_up(command, Limits())
    for container in own(engine):
        engine.remove(container)
    assert warm.run(command, Limits()).stdout == "fine\n"


def test_a_command_is_given_a_container_that_waits(warm: DockerSandbox, engine: Engine) -> None:
    command = python("while True: pass")
    warm.warm_up(command, Limits())
    waiting = own(engine)
    running = warm.start(command, Limits())
    assert own(engine) == waiting, "none was started for it"
    assert running.kill().reason == "killed"
    assert len(waiting & own(engine)) == 1, "what it had is gone, the other one still waits"


def test_pid_of_the_owner_is_on_the_label(warm: DockerSandbox, engine: Engine) -> None:
    warm.warm_up(python(""), Limits())
    from discoenv.sandbox.inventory import running

    mine = [entry for entry in running() if entry.provider == CONTAINERS.name and entry.owner_pid == os.getpid()]
    assert len(mine) == 2
    assert all(entry.owner_lives for entry in mine)
