"""What a killed host process leaves is stopped by itself, and removed by the next start."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from discoenv.sandbox import Limits
from discoenv.sandbox.containers.engine import Engine
from tests.sandbox.programs import until
from tests.sandbox.providers import CONTAINERS, FAMILY, REPOSITORY, python

pytestmark = pytest.mark.docker

HOST = """
import sys
sys.path.insert(0, {repository!r})
from discoenv.env import DiscoGenEnv
from tests.sandbox.providers import CONTAINERS
from tests.real_domains import tiny_task
env = DiscoGenEnv(task=tiny_task("GreenhouseGasPrediction"), sandbox=CONTAINERS(pool_size=1), runs_dir=None)
env.reset(seed=7)
source = "print('training', flush=True)\\nwhile True: pass\\n"
print("stepping", flush=True)
env.step({{"edits": [{{"path": "model.py", "content": source}}], "command": "submit"}})
"""


def of(engine: Engine, pid: int) -> list[str]:
    return [each.id for each in engine.containers() if each.owner.split("-")[1] == str(pid)]


def folders_of(pid: int) -> list[Path]:
    place = Path(tempfile.gettempdir())
    return [path for path in place.glob("discoenv-*") if str(pid) in path.name.split("-")]


def programs(engine: Engine, container: str) -> str:
    from docker.errors import APIError

    try:
        return str(engine.client.top(container)["Processes"])
    except APIError:  # it has just ended
        return ""


def is_up(engine: Engine, container: str) -> bool:
    return bool(engine.client.inspect_container(container)["State"]["Running"])


def test_nothing_of_a_killed_run_remains_after_the_next_start(engine: Engine) -> None:
    from discoenv.machine import scratch

    host = subprocess.Popen([sys.executable, "-c", HOST.format(repository=str(REPOSITORY))], stdout=subprocess.PIPE)
    assert host.stdout
    assert host.stdout.readline() == b"stepping\n"
    until(lambda: of(engine, host.pid))
    until(lambda: any("main.py" in programs(engine, each) for each in of(engine, host.pid)))
    assert folders_of(host.pid)
    host.kill()
    host.communicate()

    left = of(engine, host.pid)
    assert left, "no process was there to remove them"
    until(lambda: not any(is_up(engine, each) for each in left))  # the watchdog inside saw the host die

    sandbox = CONTAINERS()
    assert sandbox.run(python("print(1)"), Limits()).stdout == "1\n"
    sandbox.close()
    scratch.reap()
    assert of(engine, host.pid) == []
    assert folders_of(host.pid) == []


def test_nothing_survives_a_normal_end_of_the_host_process(engine: Engine) -> None:
    source = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from tests.sandbox.providers import CONTAINERS\nfrom discoenv.sandbox import Command, Limits\n"
        "sandbox = CONTAINERS(pool_size=1)\n"
        f"command = Command(('python', '-c', 'while True: pass'), cwd='/tmp', family={FAMILY!r})\n"
        "sandbox.warm_up(command, Limits())\nsandbox.start(command, Limits())\n"
    )
    host = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert host.stderr == ""
    assert [each.name for each in engine.containers() if each.abandoned] == []
