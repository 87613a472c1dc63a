"""What ``run_main.py`` and ``discoenv exam`` print under each objective: costs, targets, and whether they are met."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from discoenv import module_code
from discoenv.discogen.api import create_task
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import load_pack
from tests.discogen.conftest import Command, MakePack
from tests.discogen.test_packs import CONFIG, GUESS, MODELS

COSTS = {
    "performance": set[str](),
    "time": {"time_to_completion (s)"},
    "energy": {"Energy (kWh)", "Energy (J)", "Energy method"},
    "memory": {"RAM (GB)"},
    "golf": {"Size (Bytes)", "Baseline Size (Bytes)"},
}


def printed(text: str) -> dict[str, Any]:
    content = json.loads(text.splitlines()[-1])
    assert set(content) == {"results", "errors"}
    assert content["errors"] == {}
    return dict(content["results"])


@pytest.mark.parametrize("objective", COSTS)
def test_a_pack_prints_what_discogen_does(
    objective: str, make_pack: MakePack, discoenv_command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_pack(make_pack())
    workspace = create_task(GUESS, config_dict=CONFIG, eval_type=objective)
    for returned, exceeded in (("0", True), ("1", True), ("-1", False)):
        text = f"def guess():\n    return {returned}\n"
        (workspace / "discovered" / "guess.py").write_text(text)
        results = printed(discoenv_command("exam", str(workspace)).out)
        row = results.pop("A")
        of_target = (
            {"Target For losses.mse", "Exceeded Threshold For losses.mse"} if objective != "performance" else set()
        )
        assert set(row) == {"losses.mse", "seconds", *of_target, *COSTS[objective]}
        if of_target:
            assert row["Target For losses.mse"] == 4.0
            assert row["Exceeded Threshold For losses.mse"] is exceeded
        if objective == "golf":
            base = "def guess():\n    return 0\n"
            assert results.pop("Code Golf Score (Bytes)") == len(text)
            assert (row["Size (Bytes)"], row["Baseline Size (Bytes)"]) == (
                module_code.size(text),
                module_code.size(base),
            )
        if objective == "time":
            assert row["time_to_completion (s)"] == row["seconds"] > 0
        if objective == "energy":
            assert row["Energy (kWh)"] == pytest.approx(row["Energy (J)"] / 3.6e6)
            assert row["Energy (J)"] > 0
        assert results == {}


def test_each_metric_has_a_threshold(make_pack: MakePack, discoenv_command: Command, folder: Path) -> None:
    load_pack(make_pack(MODELS))
    workspace = create_task(GUESS, config_dict={**CONFIG, "eval_type": "time", "baseline_scale": 0.5})
    (workspace / "discovered" / "guess.py").write_text("def guess():\n    return 0.3, 0.2\n")
    row = printed(discoenv_command("exam", str(workspace)).out)["A_small-1.5B"]
    assert row["Target For forgot"] == pytest.approx(0.375)
    assert row["Target For kept.all"] == pytest.approx(0.275)
    assert (row["Exceeded Threshold For forgot"], row["Exceeded Threshold For kept.all"]) == (True, False)


def test_a_domain_that_comes_with_discoenv_prints_them_too(
    toy: Domain, discoenv_command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"train_task_id": ["Line"], "test_task_id": ["Wave"], "change_features": True, "scale": "tiny"}
    workspace = create_task("Toy", config_dict=config, eval_type="memory", use_base=True, baseline_scale=0.01)
    monkeypatch.chdir(workspace)
    monkeypatch.setattr("sys.argv", ["run_main.py"])
    with pytest.raises(SystemExit):
        runpy.run_path("run_main.py", run_name="__main__")
    row = printed(capsys.readouterr().out)["Line"]
    assert row["Exceeded Threshold For r2"] is True
    assert row["Target For r2"] < row["r2"]
    assert 0 < row["RAM (GB)"] < 1


def test_this_machines_costs_of_the_baseline_are_printed_if_they_were_measured(
    make_pack: MakePack, discoenv_command: Command, folder: Path
) -> None:
    load_pack(make_pack())
    assert discoenv_command("calibrate", GUESS, "--dataset", "A", "--seeds", "1").code == 0
    workspace = create_task(GUESS, config_dict=CONFIG, eval_type="time")
    row = printed(discoenv_command("exam", str(workspace)).out)["A"]
    assert row["Baseline time_to_completion (s)"] > 0
