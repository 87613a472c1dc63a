"""Whole episodes of the real domains: honest ones, and ones that cheat."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from discoenv.env import DiscoGenEnv
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.task import Setting
from tests.conftest import each_exam
from tests.real_domains import base_source, tiny_module, tiny_task, trained_domains, trains_fast

MakeEnv = Callable[..., DiscoGenEnv]
LONG = pytest.mark.timeout(900)
DOMAINS = get_domains()
TRAINED = trained_domains(LONG)


def tree_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        if path.is_symlink():
            digest.update(str(path.readlink()).encode())
        elif path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def play(env: DiscoGenEnv, module: str, source: str, **reset: Any) -> tuple[float, dict[str, Any], str]:
    """Submit one module at once."""
    env.reset(**({"seed": 7} | reset))
    action = {"edits": [{"path": f"{module}.py", "content": source}], "command": "submit"}
    observation, reward, terminated, _, info = env.step(action)
    assert terminated
    return float(reward), info, observation["text"]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.timeout(600)
def test_gymnasium_accepts_the_environment_and_random_actions_do_no_harm(domain: str, tmp_path: Path) -> None:
    env = gym.make("DiscoGen-v0", task=tiny_task(domain), max_steps=50, runs_dir=tmp_path).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m(in|ax)imum value is -?infinity.*")
        check_env(env)
    env.action_space.seed(3)
    ended = True
    for _ in range(200):
        if ended:
            env.reset(seed=3)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        ended = terminated or truncated
        assert reward == (-1.0 if ended else 0.0)
        assert "infra_error" not in info
    env.close()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_seed_gives_the_same_task_and_the_same_bytes(domain: str, make_env: MakeEnv) -> None:
    digests = set()
    for _ in range(2):
        env = make_env(domain=domain, scale="tiny")
        observation, info = env.reset(seed=7)
        digests.add((info["task_id"], tree_digest(Path(info["workspace"])), observation["text"]))
    assert len(digests) == 1


@pytest.mark.parametrize("domain", TRAINED)
def test_the_same_modules_and_seed_give_the_same_score(domain: str, make_env: MakeEnv) -> None:
    module = tiny_module(domain)
    source = base_source(domain, module)
    played = [play(make_env(task=tiny_task(domain)), module, source) for _ in range(2)]
    assert len({reward for reward, _, _ in played}) == 1
    (record,) = played[0][1]["meta_test"].values()
    printed = record["exams"][0]["stdout"].splitlines()
    curve = [line for line in printed if re.search(r"\d.*(\d\.\d|no episode ended)", line) and "nan" not in line]
    assert len(curve) >= 2, f"training prints how it goes, not {printed}"


@pytest.mark.parametrize("domain", DOMAINS)
def test_stubs_get_the_floor_and_hear_which_function_is_missing(domain: str, make_env: MakeEnv) -> None:
    env = make_env(task=tiny_task(domain))
    env.reset(seed=7)
    observation, reward, *_ = env.step("submit")
    assert reward == -1.0
    assert re.search(
        rf"NotImplementedError: {tiny_module(domain)}\.py: \w+(\.\w+)* is not implemented", observation["text"]
    )


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_stub_imports(domain: str, make_env: MakeEnv) -> None:
    found = get_domain(domain)
    imports = "\n".join(f"import {module}" for module in found.modules if module != tiny_module(domain))
    env = make_env(task=tiny_task(domain, modules=tuple(found.modules)))
    observation, _ = env.reset(seed=7)
    source = f"{imports}\nraise SystemExit('all stubs import')\n{observation['files'][tiny_module(domain) + '.py']}"
    _, info, _ = play(env, tiny_module(domain), source)
    (record,) = info["meta_test"].values()
    assert "all stubs import" in record["exams"][0]["message"]


TRICKS = {
    "prints a score": "print('{\"METRIC\": 1e9}', flush=True)",
    "prints a score at exit": "import atexit\natexit.register(print, '{\"METRIC\": 1e9}')",
    "leaves at once": "import os\nos._exit(0)",
}


@pytest.mark.parametrize("domain", trained_domains(LONG, pytest.mark.long))
def test_tricks_gain_nothing(domain: str, make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(domain)
    source = base_source(domain, module)
    env = make_env(task=tiny_task(domain))
    env.reset(seed=7)
    edit = {"path": f"{module}.py", "content": f"{TRICKS['leaves at once']}\n{source}"}
    assert f"{module}.py, line 1: 'os' cannot be imported here" in env.step({"edits": [edit]})[4]["refused"]
    monkeypatch.setattr(Domain, "importable", None)  # that is a fence, and not what stops them
    honest = play(env, module, source)[0]
    for trick, code in TRICKS.items():
        printing = code.replace("METRIC", get_domain(domain).specification.metric.name)
        cheating = play(env, module, f"{printing}\n{source}")[0]
        assert cheating == (-1.0 if "_exit" in code else honest), trick


FAULTS = {
    "a syntax error": ("def broken(:\n", "SyntaxError", "error"),
    "an exception": ("raise ValueError('of my own')\n", "ValueError: of my own", "error"),
    "an endless loop": ("while True: pass\n", "budget", "timeout"),
}


#: One fault in every domain, and the others in those that train fast: what tells them apart is no domain's.
FAULTY = [
    pytest.param(domain, fault, marks=[] if fault == "an exception" or trains_fast(domain) else [pytest.mark.slow])
    for domain in DOMAINS
    for fault in FAULTS
]


@pytest.mark.parametrize(("domain", "fault"), FAULTY)
def test_a_fault_is_scored_and_explained(
    domain: str, fault: str, make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = get_domain(domain).specification.limits
    monkeypatch.setattr(
        get_domain(domain).specification,
        "__dict__",
        {
            **get_domain(domain).specification.__dict__,
            "limits": limits.model_copy(update={"minimum_budget_s": 3.0, "start_s": 0.0}),
        },
    )
    source, expected, status = FAULTS[fault]
    env = make_env(task=tiny_task(domain), limits={"budget_scale": 0.01 if status == "timeout" else 20.0})
    reward, info, text = play(env, tiny_module(domain), source)
    (record,) = info["meta_test"].values()
    assert reward == -1.0
    assert each_exam(record, "status") == [status]
    assert expected in text
    assert "site-packages" not in record["exams"][0]["traceback"]
    assert f"{tiny_module(domain)}.py" in record["exams"][0]["traceback"] or status == "timeout"


@pytest.mark.slow
@LONG
@pytest.mark.parametrize("domain", DOMAINS)
def test_nothing_hidden_can_be_read_inside(domain: str, make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module searches every file it can open: for the base solution, the examiner's code and held-out data."""
    monkeypatch.setattr(Domain, "importable", None)  # that is a fence, and not what hides them
    module = tiny_module(domain)
    found = get_domain(domain)
    marked = found.module_source(module, backend="default")
    parts = re.match(r"(.*?)^ *# <solution>\n(.*?)^ *# </solution>", marked, flags=re.DOTALL | re.MULTILINE)
    assert parts is not None
    before, solution = parts.groups()
    assert f"{before}{solution}" in base_source(domain, module)
    needles = [f"{before[-40:]}{solution}".encode()]
    needles += [b"discoenv.exams.examiner import", b"class Examiner(ABC)"]
    packages = Path(np.__file__).parent.parent
    for hidden in found.specification.hidden_packages:
        files = [path for path in [packages / hidden, *(packages / hidden).rglob("*")] if path.is_file()]
        if not files and not (packages / hidden).exists():
            continue  # of an extra that is not installed
        content = max(files, key=lambda path: path.stat().st_size).read_bytes()
        needles.append(content[len(content) // 2 :][:60])
    source = SEARCH.replace("NEEDLES", repr([needle[::-1].hex() for needle in needles]))
    env = make_env(task=tiny_task(domain), limits={"budget_scale": 500.0})
    _, info, _ = play(env, module, source)
    (record,) = info["meta_test"].values()
    printed = record["exams"][0]["stdout"]
    assert re.search(r"searched [1-9]\d{3,} files, found \[\]", printed), printed


SEARCH = """
import os, stat
needles = [bytes.fromhex(needle)[::-1] for needle in NEEDLES]
count, found = 0, []
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys", "/dev")]
    for name in files:
        path = os.path.join(folder, name)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        count += 1
        found += [path for needle in needles if needle in content]
print(f"searched {count} files, found {found}", flush=True)
"""


@pytest.mark.parametrize("domain", DOMAINS)
def test_baselines_stand_well_above_their_floors(domain: str) -> None:
    """As measured by ``discoenv calibrate``, at small scale over three seeds."""
    from discoenv.scoring import baselines

    found = get_domain(domain)
    for dataset in available_datasets(found, "small"):
        entry = baselines.entry(Setting(found, "default", dataset, "small"))
        count = len(entry.seeds)
        standard_error = (entry.baseline.std**2 / count + entry.floor.std**2 / count) ** 0.5
        assert count >= 3
        gain = found.specification.metric.sign * (entry.baseline.mean - entry.floor.mean)
        assert gain >= 5 * standard_error, (dataset, entry.baseline, entry.floor)
        assert entry.work_s <= 120.0, (dataset, entry.work_s)  # the scale's limit
