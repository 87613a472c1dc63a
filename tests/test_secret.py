"""Seeds fix tasks, and with the host's secret their exams: in every process and sandbox; another secret, other data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.env import DiscoGenEnv
from discoenv.exams.secrets import Secret
from discoenv.tasks.task import Task
from tests.conftest import TOY, each_exam

MakeEnv = Callable[..., DiscoGenEnv]
#: A second process plays the same episode.
PLAY = """
import json, sys
from discoenv.env import DiscoGenEnv
from discoenv.tasks import registry
from pathlib import Path
registry.BUILTIN = Path(sys.argv[1])
env = DiscoGenEnv(domain="Toy", scale="tiny", sampling={"p_base": 1.0}, runs_dir=None, sandbox=sys.argv[2])
_, info = env.reset(seed=7)
task = info["task_id"]
_, reward, *_, info = env.step("submit")
exams = {name: [exam["metric"] for exam in score["exams"]] for name, score in info["meta_test"].items()}
print(json.dumps([task, reward, exams]))
env.close()
"""


def played(sandbox: str) -> list[Any]:
    """Task id, reward and the metrics of all exams of an episode that another process plays."""
    command = [sys.executable, "-c", PLAY, str(TOY), sandbox]
    found: list[Any] = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    return found


def test_a_seed_gives_the_same_task_and_scores_in_other_processes_and_sandboxes() -> None:
    first = played("bubblewrap")
    assert first == played("bubblewrap") == played("process")
    assert first[1] != 0


def test_another_secret_gives_the_same_task_other_data_and_scores_equal_within_noise(
    toy: Any, task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    many = task.model_copy(update={"test_seeds": 20})
    edits = [{"path": name, "content": text} for name, text in good.items()]
    values: list[list[float]] = []
    tasks: set[str] = set()
    for secret in (Secret(bytes([1] * 32)), Secret(bytes([2] * 32))):
        env = DiscoGenEnv(task=many, secret=secret, runs_dir=tmp_path)
        try:
            _, info = env.reset(seed=7)
            tasks.add(info["task_id"])
            *_, info = env.step({"edits": edits, "command": "submit"})
        finally:
            env.close()
        values.append(each_exam(info["meta_test"]["Wave"], "metric"))
        setup = json.loads((Path(info["run_directory"]) / "episode.json").read_text())
        assert setup["secret"] == secret.commitment
        recorded = "".join(path.read_text() for path in Path(info["run_directory"]).glob("*.json*"))
        assert secret.key.hex() not in recorded
    assert len(tasks) == 1
    assert not set(values[0]) & set(values[1])
    first, second = (np.array(each) for each in values)
    error = np.hypot(first.std(ddof=1), second.std(ddof=1)) / np.sqrt(20)
    assert abs(first.mean() - second.mean()) < 4 * error
