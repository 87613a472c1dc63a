"""The command: published flags, a small run from training to the table, and what docs/meta_rl.md says."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.kits.meta_rl.__main__ import _dashed, _parser, _settings, main
from discoenv.kits.meta_rl.evaluation import Result, names_of, table
from discoenv.kits.meta_rl.settings import EXPERIMENTS, Settings, as_dict, from_dict, small

pytestmark = pytest.mark.timeout(900)  # compilation takes most of the time, and depends on what else runs

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "meta_rl.md").read_text(encoding="utf-8")
PUBLISHED = {
    "lpg": "--num_agents 512 --num_mini_batches 16 --train_steps 5000",
    "groove": "--num_agents 512 --num_mini_batches 16 --train_steps 5000 --score_function alg_regret",
    "ta_lpg": "--num_agents 512 --num_mini_batches 8 --train_steps 2500 --use_es --lifetime_conditioning "
    "--lpg_learning_rate 0.01 --env_mode all_vrandlife",
}


def parsed(arguments: str) -> Settings:
    return _settings(_parser().parse_args(_dashed(shlex.split(arguments))))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_published_flags_are_those_of_the_experiment(name: str) -> None:
    assert parsed(f"train {PUBLISHED[name]}") == parsed(f"train --experiment {name}") == EXPERIMENTS[name]


@pytest.mark.parametrize("settings", [*EXPERIMENTS.values(), *map(small, EXPERIMENTS.values())])
def test_settings_survive_a_file(settings: Settings) -> None:
    assert from_dict(json.loads(json.dumps(as_dict(settings)))) == settings
    assert hash(settings) == hash(replace(settings))


TINY = (
    "--small --env-mode debug --lifetime 4 --train-steps 2 --num-agents 2 --env-workers 2 --hidden 4 "
    "--buffer-size 4 --log-every 1"
)


def run(arguments: str) -> int:
    return main(shlex.split(arguments))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_run_from_training_to_the_table(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert run(f"train --experiment {name} {TINY} --out {out}") == 0
    assert run(f"train {TINY} --out {out}") == 2
    assert "--resume" in capsys.readouterr().err
    assert run(f"train --resume --out {out}") == 0
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [1, 2]
    assert run(f"test {out} --envs debug sparse --agents 2 --lifetime 3 --untrained") == 0
    shown = capsys.readouterr().out
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows] == ["environment", "---", "debug", "sparse", "mean"]
    curves = json.loads((out / "meta_test.json").read_text())
    assert curves["rule"]["sparse"]["updates"] == [0, 1, 2, 3]
    assert np.shape(curves["untrained"]["debug"]["returns"]) == (2, 4)


@pytest.mark.slow
def test_environments_of_gymnax_can_be_played(tmp_path: Path) -> None:
    pytest.importorskip("gymnax")
    assert run(f"train {TINY} --out {tmp_path}") == 0
    assert run(f"test {tmp_path} --envs catch cartpole rand_tiny --agents 2 --lifetime 2") == 0
    assert set(json.loads((tmp_path / "meta_test.json").read_text())["rule"]) == {"catch", "cartpole", "rand_tiny"}


def test_unknown_environments_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"test {tmp_path}") == 2
    assert "settings.json" in capsys.readouterr().err
    with pytest.raises(ValueError, match="there is no mode 'maze'"):
        names_of(["tabular", "maze"])
    assert names_of(["tabular", "dense", "small"]) == ["dense", "sparse", "long", "longer", "long_dense", "small"]


def test_normalised_returns_and_their_table() -> None:
    returns = np.array([[0.0, 1.0, 3.0], [0.0, -9.0, 1.0]])
    result = Result("x", np.array([0, 5, 10]), returns, np.array([1.0, 0.0]), np.array([3.0, 2.0]), True)
    np.testing.assert_allclose(result.normalised, [[-0.5, 0, 1], [0, -1, 0.5]])
    assert result.score == (0.75, 0.25)
    assert result.area == pytest.approx((-0.25 / 2 - 0.5 + 0.75 / 2) / 2)
    assert table({"a": [result]}).splitlines()[2:] == [
        "| x | 10 | 0.50 | 2.50 | 2.00, 0.75 ± 0.25 |",
        "| mean |  |  |  | 0.75 ± 0.25 |",
    ]


@pytest.mark.slow
def test_the_example_of_the_page_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert -1 <= scope["result"].score[0] <= 1


def test_the_page_names_the_published_flags_and_commands_that_exist() -> None:
    for flags in PUBLISHED.values():
        assert flags in PAGE
    commands = re.findall(r"python -m discoenv\.kits\.meta_rl ((?:train|test)[^#|`\n]*)", PAGE)
    assert commands
    for command in commands:
        _parser().parse_args(_dashed(shlex.split(command)))
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert link.startswith("https:") or (ROOT / "docs" / link).exists(), link
