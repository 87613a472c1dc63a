"""Harbor's containers without an engine: a folder per container, and bubblewrap to enter it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from harbor.agents.base import BaseAgent
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities

#: What is a container's own; everything else is the host's.
OWN = ("app", "logs", "tests", "solution")


def image_of(folder: Path, root: Path) -> None:
    """Put into ``root`` what the Dockerfile of ``folder`` copies, and make the links that it makes."""
    text = (folder / "Dockerfile").read_text()
    for options, names, target in re.findall(r"(?m)^COPY ((?:--\S+ )*)(.+) (\S+)$", text):
        assert options in ("", "--chown=agent ")
        for name in names.split():
            source, there = folder / name, root / target.lstrip("/")
            if target.endswith("/"):
                there = there / name
            there.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, there, dirs_exist_ok=True)
            else:
                shutil.copy(source, there)
    for target, link in re.findall(r"ln -s (\S+) (\S+)", text):
        (root / link.lstrip("/")).symlink_to(target)


class BubblewrapEnvironment(BaseEnvironment):  # type: ignore[misc, unused-ignore]
    """Runs commands in bubblewrap, over a folder. The service ``exams`` runs beside it."""

    @staticmethod
    def type() -> str:
        """Its name."""
        return "bubblewrap"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """It says that it can do without a network, which none of our commands uses."""
        return EnvironmentCapabilities(disable_internet=True, docker_compose=True)

    def _validate_definition(self) -> None:
        assert (self.environment_dir / "Dockerfile").is_file()

    async def start(self, force_build: bool) -> None:
        """Make the folder, and start the service."""
        self.root = Path(tempfile.mkdtemp(prefix="harbor-"))
        for name in OWN:
            (self.root / name).mkdir()
        for name in ("verifier", "agent", "artifacts"):
            (self.root / "logs" / name).mkdir()
        image_of(self.environment_dir, self.root)
        self.variables = dict(os.environ)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.variables["PATH"] = path
        self.service: subprocess.Popen[str] | None = None
        if (self.environment_dir / "docker-compose.yaml").is_file():
            compose = yaml.safe_load((self.environment_dir / "docker-compose.yaml").read_text())
            assert compose["services"]["main"]["depends_on"] == ["exams"]
            self._serve(self.environment_dir / compose["services"]["exams"]["build"]["context"])
            self.variables["PATH"] = f"{self.root}/usr/local/bin:{path}"  # where the client is

    def _serve(self, folder: Path) -> None:
        last = re.findall(r"(?m)^CMD (\[.*\])$", (folder / "Dockerfile").read_text())[-1]
        words = [word.replace("/exams/", f"{folder}/") for word in yaml.safe_load(last)]
        words[words.index("--port") + 1], words[words.index("--host") + 1] = "0", "127.0.0.1"
        words[words.index("--runs") + 1] = str(self.root / "runs")
        self.service = subprocess.Popen(
            [sys.executable, "-m", "discoenv.cli.main", *words[1:]], stderr=subprocess.PIPE, text=True
        )
        assert self.service.stderr is not None
        self.variables["DISCOENV_EXAMS"] = re.findall(r"http\S+", self.service.stderr.readline())[0]

    async def stop(self, delete: bool) -> None:
        """End the service, and remove the folder."""
        if self.service is not None:
            self.service.send_signal(signal.SIGTERM)
            self.service.communicate(timeout=60)
        shutil.rmtree(self.root, ignore_errors=True)

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a command."""
        argv = ["bwrap", "--tmpfs", "/"]
        for path in sorted(Path("/").iterdir()):
            if path.is_symlink():
                argv += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir() and path.name not in OWN:
                argv += ["--dev-bind", str(path), str(path)]
        for name in OWN:
            argv += ["--bind", str(self.root / name), f"/{name}"]
        argv += ["--chdir", cwd or "/", "/bin/sh", "-c", command]
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**self.variables, **(env or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), timeout_sec)
        return ExecResult(stdout=out.decode(), stderr=err.decode(), return_code=process.returncode or 0)

    def _at(self, path: Path | str) -> Path:
        return self.root / str(path).lstrip("/")

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Copy a file into it."""
        self._at(target_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source_path, self._at(target_path))

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Copy a folder into it."""
        shutil.copytree(source_dir, self._at(target_dir), dirs_exist_ok=True)

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Copy a file out of it."""
        Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._at(source_path), target_path)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Copy a folder out of it."""
        shutil.copytree(self._at(source_dir), target_dir, dirs_exist_ok=True)


class ClientAgent(BaseAgent):  # type: ignore[misc, unused-ignore]
    """Runs the solution of the task through the client, reads the scores, and stops."""

    @staticmethod
    def name() -> str:
        """Its name."""
        return "client"

    def version(self) -> str:
        """Its version."""
        return "1"

    async def setup(self, environment: BaseEnvironment) -> None:
        """Nothing to install."""

    async def run(self, instruction: str, environment: BubblewrapEnvironment, context: Any) -> None:
        """Play."""
        assert "discoenv run [DATASET" in instruction
        solution = Path(os.environ["TEST_SOLUTION"])
        await environment.upload_dir(solution, "/app/discovered")
        for command in ("discoenv run", "discoenv history", "discoenv run --nonsense", "ls /tests"):
            result = await environment.exec(command, cwd="/app")
            text = f"$ {command}\n{result.stdout}{result.stderr}[{result.return_code}]\n"
            with (self.logs_dir / "client.txt").open("a") as file:
                file.write(text)
