"""Tasks as folders: what is in them, what is not in what the agent sees, exams for the agent, the verifier's score."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.adapters.harbor import client
from discoenv.adapters.harbor.exam_server import ExamService
from discoenv.adapters.harbor.export import HarborOptions, export, folder_name
from discoenv.adapters.harbor.wheel import build_wheel
from discoenv.adapters.scoring import modules_of, score_folder
from discoenv.adapters.session import SessionHost, TaskEntry
from discoenv.cli.main import main
from discoenv.errors import ArgumentError, InfraError, RunError, UnknownName
from discoenv.exams.host import Host
from discoenv.exams.secrets import SIZE, Secret
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, initial_modules
from tests.adapters.playing import gym_reward
from tests.conftest import TOY, FailingSandbox

SECRET = Secret(bytes(range(SIZE)))
NAME = "GreenhouseGasPrediction_model"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with SessionHost(scale="tiny", sandbox="process", runs_dir=None) as host:
        (folder,) = export(
            [host.find(NAME)], tmp_path_factory.mktemp("tasks"), HarborOptions(secret=SECRET, max_runs=3)
        )
    return folder


def image(folder: Path) -> dict[str, bytes]:
    """What the image of a Dockerfile holds besides packages, by path."""
    found: dict[str, bytes] = {}
    for names, target in re.findall(r"(?m)^COPY (?:--chown=\S+ )?(.+) (\S+)$", (folder / "Dockerfile").read_text()):
        for name in names.split():
            source = folder / name
            for path in [source] if source.is_file() else source.rglob("*"):
                if path.is_file():
                    found[f"{target}/{path.relative_to(source)}"] = path.read_bytes()
    return found


# ---- the folder


def test_the_folder_is_one_of_harbors(exported: Path) -> None:
    assert exported.name == folder_name(TaskEntry("discobench", 0, NAME, 0, None))  # type: ignore[arg-type]
    names = {path.name for path in exported.iterdir()}
    assert names == {"instruction.md", "task.toml", "environment", "tests", "solution"}
    content = tomllib.loads((exported / "task.toml").read_text())
    assert content["artifacts"] == ["/app/discovered"]
    assert content["verifier"]["environment_mode"] == "separate"
    assert content["verifier"]["environment"]["network_mode"] == "no-network"
    assert content["environment"]["memory_mb"] >= 8192
    assert content["metadata"]["task_id"].startswith("GreenhouseGasPrediction-")
    assert content["agent"]["timeout_sec"] > 3600
    for script in ("tests/test.sh", "solution/solve.sh", "environment/discoenv-client"):
        assert os.access(exported / script, os.X_OK)
    text = (exported / "instruction.md").read_text()
    assert "`/app/discovered/model.py`" in text
    assert "You have 3 runs" in text
    assert "discoenv run [DATASET" in text
    assert "submit` ends" not in text


def test_the_agents_image_holds_nothing_of_the_meta_test_side(exported: Path) -> None:
    """Neither data, nor what makes them, nor the secret, nor the names of hidden datasets, nor the baseline."""
    task = Task.from_yaml((exported / "tests" / "task.yaml").read_text())
    domain = task.resolve()
    seen = image(exported / "environment")
    assert any(name.endswith("MaunaLoa/CO2/main.py") for name in seen)
    everything = b"\n".join(seen.values()) + "\n".join(seen).encode() + (exported / "instruction.md").read_bytes()
    hidden = [SECRET.key.hex(), *task.meta_test, *(dataset.split("/")[1] for dataset in task.meta_test)]
    for word in hidden:
        assert not re.search(rf"\b{re.escape(word)}\b".encode(), everything.replace(b"CO2", b"")), word
    for name in ("examiner.py", "box_model.py", "baselines.json", "candidates"):
        assert name.encode() not in everything
        if (domain.directory / name).is_file():
            lines = [line for line in (domain.directory / name).read_bytes().splitlines() if len(line) > 60]
            assert lines or name != "examiner.py"
            assert not [line for line in lines if line in everything]
    for text in base_modules(task).values():
        assert text.encode() not in everything
    assert not [name for name in seen if name.endswith(".whl") or "secret" in name or "solution" in name]
    assert b"import discoenv" not in everything.replace(b"from discoenv", b"import discoenv")


def test_the_verifier_has_what_it_needs_and_the_service_no_secret(exported: Path) -> None:
    tests, exams = exported / "tests", exported / "environment" / "exams"
    assert (tests / "secret").read_text().strip() == SECRET.key.hex()
    assert {path.name for path in exams.iterdir()} >= {"task.yaml", "requirements.txt", "Dockerfile"}
    assert SECRET.key.hex().encode() not in b"".join(path.read_bytes() for path in exams.iterdir())
    for folder in (tests, exams):
        (package,) = folder.glob("*.whl")
        assert package.name in (folder / "Dockerfile").read_text()
    compose = yaml.safe_load((exported / "environment" / "docker-compose.yaml").read_text())
    assert compose["services"]["exams"]["build"]["context"] == "./exams"


def test_the_wheel_is_one_that_pip_takes(tmp_path: Path) -> None:
    path = build_wheel(tmp_path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (record,) = [name for name in names if name.endswith("RECORD")]
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
    assert [row[0] for row in rows] == names
    assert "discoenv/domains/GreenhouseGasPrediction/examiner.py" in names
    assert not [name for name in names if "/tests/" in name and "_template" not in name]
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)
    else:
        subprocess.run([*pip, "install", "-q", "--no-deps", "--target", str(target), str(path)], check=True)
    told = subprocess.run(
        [sys.executable, "-c", "import discoenv; print(discoenv.__file__)"],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(target / "discoenv" / "__init__.py")


def test_candidates_can_be_the_oracle_and_errors_name_them(tmp_path: Path) -> None:
    with SessionHost(scale="tiny", sandbox="process", runs_dir=None) as host:
        entry = host.find(NAME)
        (folder,) = export([entry], tmp_path, HarborOptions(oracle="02_harmonics"))
        assert (folder / "solution" / "model.py").read_text() == entry.task.resolve().candidates()["02_harmonics"][
            "model.py"
        ]
        with pytest.raises(UnknownName, match=r"no candidate is called '02_harmonic'.*did you mean '02_harmonics'"):
            export([entry], tmp_path, HarborOptions(oracle="02_harmonic"))
        with pytest.raises(ArgumentError, match="two tasks are called"):
            export([entry, entry], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_command_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", "harbor", "--tasks", f"{NAME},train-3", "--scale", "tiny", "--out", str(tmp_path / "out")])
    assert ended.value.code in (0, None)
    first, second = capsys.readouterr().out.split()
    assert Path(first).name == "greenhousegasprediction-model"
    assert Path(second).name.endswith("-train-3")
    assert 'split = "train"' in (Path(second) / "task.toml").read_text()


# ---- exams for the agent


@pytest.fixture
def service(task: Task, sandbox: Sandbox, tmp_path: Path) -> Iterator[ExamService]:
    with SessionHost(sandbox=sandbox, runs_dir=tmp_path / "runs", max_steps=4) as host:
        yield ExamService(host, task, 2)


def test_the_service_runs_exams_and_never_scores(
    service: ExamService, task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    base = service.answer("run", {"files": base_modules(task)})
    assert "Meta-train scores" in base.text
    assert "1 of 2 runs are left." in base.text
    better = service.answer("run", {"files": {**good, "other.py": "1"}, "datasets": ["Line"], "seeds": 2})
    assert "0 of 2 runs are left." in better.text
    assert "Run 2" in service.answer("compare", {}).text
    assert "| 2 |" in service.answer("history", {}).text
    over = service.answer("run", {"files": base_modules(task)})
    assert (over.ok, over.text) == (False, "All 2 runs are used up. The files count as they are.")
    assert not service.answer("submit", {}).ok
    assert "holds no files" in ExamService.answer(service, "run", {}).text or not over.ok
    assert b"meta_test" not in b"".join(
        path.read_bytes() for path in (tmp_path / "runs").rglob("episode.jsonl")
    ).replace(b'"meta_test": ["Wave"]', b"").replace(b'"meta_test":["Wave"]', b"")


def test_the_client_talks_to_the_service(task: Task, sandbox: Sandbox, good: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(task.to_yaml())
    (tmp_path / "modules").mkdir()
    for name, text in good.items():
        (tmp_path / "modules" / name).write_text(text)
    command = ["-m", "discoenv.cli.main", "serve-exams", "--task", str(tmp_path / "task.yaml"), "--port", "0"]
    environment = {**os.environ, "DISCOENV_PACKS": str(TOY), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    spelt = {**task.model_dump(mode="json"), "domain": "toy/Toy"}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(spelt))
    server = subprocess.Popen(
        [sys.executable, *command, "--max-runs", "1", "--sandbox", sandbox.name],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        line = server.stderr.readline()
        (url,) = re.findall(r"http\S+", line) or [line]

        def ask(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-I", client.__file__, *words],
                env={"DISCOENV_EXAMS": url, "DISCOENV_MODULES": str(tmp_path / "modules"), "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )

        run = ask("run", "Line")
        assert (run.returncode, "Meta-train scores" in run.stdout) == (0, True), run.stderr
        assert ask("history").returncode == 0
        again = ask("run", "--seeds", "2")
        assert (again.returncode, "used up" in again.stdout) == (1, True)
        assert ask("run", "nothing", "--seeds", "-1").returncode == 1
        assert ask("compare", "x").returncode == 2
    finally:
        server.terminate()
        server.communicate(timeout=60)
    gone = subprocess.run(
        [sys.executable, "-I", client.__file__, "history"], capture_output=True, text=True, check=False
    )
    assert (gone.returncode, "no exams can be held" in gone.stderr) == (1, True)


# ---- the verifier's score


@pytest.fixture
def folder(tmp_path: Path, good: dict[str, str]) -> Path:
    made = tmp_path / "modules"
    made.mkdir()
    for name, text in good.items():
        (made / name).write_text(text)
    return made


def test_a_folder_is_worth_what_its_modules_are_worth_in_gymnasium(
    folder: Path, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    with Host(sandbox, secret=SECRET) as host:
        score = score_folder(folder, task, host, seed=4)
    assert score.reward == gym_reward(task, good, 4, sandbox=sandbox, secret=SECRET) > 1
    numbers = score.numbers()
    assert numbers.keys() == {"reward", "score", "valid", "isolated", "normalised/Wave"}
    assert (numbers["valid"], numbers["isolated"], score.refused) == (1.0, float(sandbox.isolated), {})


def test_what_cannot_be_taken_counts_as_it_was_at_the_start(folder: Path, task: Task) -> None:
    (folder / "model.py").unlink()
    (folder / "model.py").symlink_to("/etc/passwd")
    (folder / "features.py").write_bytes(b"\xff\xfe")
    modules, refused = modules_of(folder, task)
    assert modules == initial_modules(task)
    assert refused["model.py"] == "it is a link"
    assert "utf-8" in refused["features.py"]
    (folder / "features.py").write_bytes(b"x" * 100_000)
    assert "features.py" in modules_of(folder, task)[1]
    (folder / "features.py").unlink()
    assert modules_of(folder, task)[1]["features.py"] == "there is no such file"
    with pytest.raises(RunError, match="not a folder"):
        modules_of(folder / "nothing", task)


def test_a_failing_machine_gives_no_score(folder: Path, task: Task, sandbox: Sandbox) -> None:
    with Host(FailingSandbox(sandbox, 2)) as host, pytest.raises(InfraError):
        score_folder(folder, task, host)


def test_the_command_writes_numbers_or_nothing(
    folder: Path,
    task: Task,
    sandbox: Sandbox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "task.yaml").write_text(task.to_yaml())
    out = tmp_path / "reward.json"
    words = ["score", "--workspace", str(folder), "--task", str(tmp_path / "task.yaml"), "--json", str(out)]
    with contextlib.suppress(SystemExit):
        main([*words, "--sandbox", sandbox.name])
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert json.loads(out.read_text()) == printed
    assert printed["reward"] > 1
    out.unlink()
    monkeypatch.setattr(Host, "run_all", lambda *args, **kwargs: (_ for _ in ()).throw(InfraError("no disk")))
    with pytest.raises(SystemExit) as ended:
        main([*words, "--sandbox", sandbox.name])
    assert (ended.value.code, out.exists()) == (1, False)
