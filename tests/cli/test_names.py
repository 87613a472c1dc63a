"""Names on the command line, in whatever case; DiscoGen's names; and what does not fit together, in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import discoenv.utils
from discoenv.agents.options import EnvOptions
from discoenv.discogen.api import create_config, create_task, get_domains, get_modules, task_from_config
from discoenv.errors import ArgumentError, DomainError
from discoenv.tasks.domain import Domain
from discoenv.tasks.names import matching
from discoenv.tasks.reading import read_task
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Task, TaskSide
from tests.cli.commands import fails, invoke
from tests.conftest import MakeVariant

ROOT = Path(__file__).resolve().parents[2]
GASES = {"domain": "GreenhouseGasPrediction", "modules": ["model"], "meta_train": ["CO2", "N2O"], "meta_test": ["CH4"]}


def test_case_does_not_matter_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("show", "onpolicyrl_LOSS"),
        ("create-config", "--task-domain", "bayesianoptimisation"),
        ("sample-task-config", "--task-domain", "BAYESIANOPTIMISATION", "--scale", "TINY", "--seed", 1),
        ("create-discobench", "--task-name", "bayesianoptimisation_all", "--scale", "Tiny"),
        ("count-tasks", "--scale", "Tiny"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output + str(result.exception)
    assert matching("toy", ["Toy", "TOY"]) == "toy"  # which of them is meant, cannot be known
    assert matching("Toy", ["Toy", "TOY"]) == "Toy"


def test_exams_take_datasets_by_any_case_and_alias(workspace: Path, make_variant: MakeVariant) -> None:
    make_variant("Toy", change=lambda content: content["datasets"]["Line"].update(aliases=["Straight"]))
    for name in ("line", "straight", "Straight"):
        result = invoke("exam", workspace, "--dataset", name)
        assert result.exit_code == 0, result.output + str(result.exception)
        assert list(json.loads(result.stdout)["results"]) == ["Line"]


def test_an_unknown_task_is_one_line_with_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "show", "BayesianOptimization_aquisition")
    assert message.count("\n") == 1
    assert "did you mean 'BayesianOptimisation_" in message
    message = fails(capsys, "show", "qqqq")
    assert "the nearest of " in message
    assert len(message) < 250


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "bayesianoptimisation_all", "--domain", "onpolicyrl"], "domain is OnPolicyRL, but the task says"),
        (["--task", "BayesianOptimisation_al"], "did you mean 'BayesianOptimisation_all'"),
        (["--runs", "/dev/null/runs"], "/dev/null is not a folder"),
    ],
)
@pytest.mark.parametrize("script", ["random_search", "scripted"])
def test_what_does_not_fit_together_is_one_line(script: str, arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, f"agents/{script}.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bench run -r . --agents baseline --seeds 3", "--agents, --seeds has no effect beside --resume"),
        ("bench run --agents baseline --tasks BayesianOptimisation_all --domain OnPolicyRL", "--domain has no effect"),
        ("bench run --agents baseline --tasks DiscoBench --task-seed 1", "--task-seed has no effect without --tasks s"),
        ("count-tasks --gpu", "--gpu has no effect without --scale"),
        ("mcp --port 1234", "--port has no effect without --http"),
    ],
)
def test_an_option_without_effect_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    written = fails(capsys, *arguments.split())
    assert message in written
    assert written.count("\n") == 1


def test_options_of_agents_are_refused_as_arguments_are(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(Task.parse({**GASES, "scale": "tiny"}).to_yaml())
    with pytest.raises(ArgumentError, match="scale is small, but the task says scale: tiny"):
        EnvOptions(task=str(tmp_path / "task.yaml"), scale="small").make()


# ---- DiscoGen's names


def test_datasets_go_by_discogens_names_too() -> None:
    task = Task.parse(GASES)
    assert (task.meta_train, task.meta_test) == (("BoxModel/CO2", "BoxModel/N2O"), ("BoxModel/CH4",))
    assert Task(**GASES) == task
    assert read_task({"train_task_id": ["CO2", "N2O"], "test_task_id": "CH4", "change_model": True}) == task
    config = create_config("GreenhouseGasPrediction")
    config |= {"train_task_id": ["CO2", "N2O"], "test_task_id": ["CH4"], "change_model": True}
    assert task_from_config("GreenhouseGasPrediction", config).task_id == task.task_id
    side = TaskSide(domain="GreenhouseGasPrediction", modules=("model",), datasets=("SF6",))
    assert side.datasets == ("BoxModel/SF6",)
    with pytest.raises(ValueError, match=r"BoxModel/CO2 is listed twice"):
        Task.parse({**GASES, "meta_train": ["CO2", "BoxModel/CO2"]})


def test_an_alias_is_a_name_of_one_dataset(make_variant: MakeVariant) -> None:
    for change, message in (
        ({"Line": {"aliases": ["Wave"]}}, "aliases: Wave is the name of a dataset"),
        ({"Line": {"aliases": ["a"]}, "Wave": {"aliases": ["a"]}}, "aliases: a is listed twice"),
    ):
        with pytest.raises(DomainError, match=message):
            make_variant(
                "Toy",
                change=lambda content, change=change: [  # type: ignore[misc]
                    content["datasets"][name].update(values) for name, values in change.items()
                ],
            )


def test_utils_has_the_functions_of_discogens() -> None:
    assert discoenv.utils.get_domains() == get_domains()
    assert discoenv.utils.get_modules() == get_modules()


def test_a_workspace_has_an_installer(toy: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = create_task("Toy")
    (tmp_path / "python").write_text('#!/bin/sh\necho "$@" > "$0.asked"\n')
    (tmp_path / "python").chmod(0o755)
    script = ["sh", str(workspace / "install.sh")]
    subprocess.run(script, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    asked = (tmp_path / "python.asked").read_text().split()
    assert asked == ["-m", "pip", "install", "-r", str(workspace / "requirements.txt")]
    assert (workspace / "requirements.txt").read_text().split() == get_domain("Toy").specification.requirements
