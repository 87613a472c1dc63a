"""Rehearsals: short exams with the settings of a scale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from discoenv.cli.main import app
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.scoring import rehearsal
from discoenv.scoring.rehearsal import rehearse
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.specification import Length
from discoenv.tasks.task import Setting
from tests.conftest import TOY, MakeVariant

# The toy's model, which takes as long as STEPS says.
SLOW = """
import time
from pathlib import Path

import yaml

STEPS = yaml.safe_load(Path("config.yaml").read_text())["STEPS"]
print("STEPS", STEPS)
time.sleep(STEPS * 0.001)
"""


@pytest.fixture
def long(make_variant: MakeVariant) -> Domain:
    """The toy domain, whose training takes STEPS milliseconds."""

    def change(content: dict[str, Any]) -> None:
        content["length"] = {"key": "STEPS", "unit": ["BATCH"]}
        content["requirements"] = ["numpy", "pyyaml"]

    config = yaml.safe_load((TOY / "Toy/datasets/Line/config.yaml").read_text())
    config["all"] = {**config.get("all", {}), "STEPS": 1_000_000, "BATCH": 100}
    model = (TOY / "Toy/templates/default/model.py").read_text()
    files = {"templates/default/model.py": SLOW + model, "datasets/Line/config.yaml": yaml.safe_dump(config)}
    return make_variant("Long", change=change, files=files)


def test_the_length_is_a_share_in_whole_updates() -> None:
    length = Length(key="STEPS", unit=("ENVS", "ROLLOUT"))
    config = {"STEPS": 10_000, "ENVS": 16, "ROLLOUT": 4}
    assert [length.shortened(config, share) for share in (1e-9, 0.01, 0.5, 1.0, 3.0)] == [64, 128, 5056, 10_000, 10_000]


def test_two_short_exams_are_run_with_the_settings_of_the_scale(long: Domain, host: Host) -> None:
    found = rehearse(host, Setting(long, "default", "Line", "tiny"), budget_s=600)
    assert found.passed, found.result.message
    assert "STEPS 2000" in found.result.stdout
    assert found.trained == 0.002
    assert found.memory_bytes > 0


def test_what_grows_with_training_is_told_from_the_start(
    long: Domain, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = Setting(long, "default", "Line", "tiny")
    result = rehearse(host, setting, budget_s=600).result
    asked: list[int] = []

    def exam(host: Host, setting: Setting, changes: dict[str, int], budget_s: float) -> ExamResult:
        asked.append(changes["STEPS"])
        return replace(result, wall_s=2.0 + 0.001 * changes["STEPS"])

    monkeypatch.setattr(rehearsal, "_short_exam", exam)
    found = rehearse(host, setting, budget_s=600)
    assert asked == [1000, 2000]
    assert found.starting_s == pytest.approx(2.0)
    assert found.whole_s == pytest.approx(1002.0)


def test_a_failure_is_reported(long: Domain, host: Host) -> None:
    found = rehearse(host, Setting(long, "default", "Line", "tiny"), budget_s=1.5)
    assert not found.passed
    assert found.result.status == "timeout"


def test_a_share_is_at_most_a_half(long: Domain, host: Host) -> None:
    with pytest.raises(ValueError, match=r"share is 0\.7"):
        rehearse(host, Setting(long, "default", "Line", "tiny"), budget_s=1, share=0.7)


@pytest.mark.parametrize("name", get_domains())
def test_domains_name_keys_of_their_configurations(name: str) -> None:
    domain = get_domain(name)
    length = domain.specification.length
    for dataset in domain.datasets if length else ():
        for scale in domain.scales(dataset):
            config = domain.config(dataset, scale)
            assert length
            assert {length.key, *length.unit} <= set(config), (dataset, scale)


def test_the_command_prints_a_line_for_each_and_writes_json(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    command = ["rehearse", "GreenhouseGasPrediction", "--dataset", "BoxModel/N2O", "--scale", "tiny"]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "--out", str(out)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(out.read_text())
    assert row["status"] == "ok"
    assert "GreenhouseGasPrediction default:BoxModel/N2O:tiny on cpu: starts in" in result.output
