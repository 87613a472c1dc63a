"""The command's help is readable, and its errors say what to do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from discoenv import create_task, objectives, sample_task_config
from discoenv.cli import tasks
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from tests.discogen.conftest import Command

COMMANDS = [
    "create-task",
    "create-config",
    "sample-task-config",
    "get-domains",
    "get-modules",
    "get-discobench",
    "create-discobench",
    "count-tasks",
    "show",
]


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_fits_80_columns_and_nothing_is_cut_off(discoenv_command: Command, words: list[str]) -> None:
    done = discoenv_command(*words, "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert not re.search(r"[a-z]…( |│)", done.out.replace("task_src/…", ""))
    if not words:
        for name in COMMANDS:
            assert f" {name} " in done.out


def test_show_lists_what_a_discobench_task_contains(discoenv_command: Command) -> None:
    out = discoenv_command("show", "OnPolicyRL_loss").out
    assert max(map(len, out.splitlines())) <= 80
    for part in ("OnPolicyRL-", "editable modules", "loss", "MinAtar/Breakout", "MinAtar/Asterix", "return_mean"):
        assert part in out


def test_show_lists_what_a_file_and_a_folder_contain(discoenv_command: Command) -> None:
    assert discoenv_command("sample-task-config", "--seed", "1", "--eval-type", "time").code == 0
    out = discoenv_command("show", "task_config.yaml").out
    assert "time, if each normalised score reaches 1" in out
    create_task("GreenhouseGasPrediction")
    out = discoenv_command("show", "task_src/GreenhouseGasPrediction").out
    assert "none: a view of the code base" in out


def test_count_tasks_prints_formula_and_numbers(discoenv_command: Command) -> None:
    out = discoenv_command("count-tasks").out
    assert "(2^M − 1) · (3^D − 2·2^D + 1) · B · O · 2" in out
    assert max(map(len, out.splitlines())) <= 80
    for name in get_domains():
        assert name in out
    counts = [int(line.split("│")[-2].replace(",", "")) for line in out.splitlines() if line.startswith("│")]
    assert counts[-1] == sum(counts[:-1])


def test_count_tasks_of_the_toy_domain(toy: Domain, discoenv_command: Command) -> None:
    assert f"{3 * (81 - 32 + 1) * 5 * 2:,}" in discoenv_command("count-tasks").out
    assert "│ all    │   │   │   │   │     0 │" in discoenv_command("count-tasks", "--scale", "full").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["create-task", "--task-domain", "OnPolicyLR"],
            "no domain is called 'OnPolicyLR'; did you mean 'OnPolicyRL'?",
        ),
        (["create-discobench", "--task-name", "OnPolicyRL_los"], "did you mean 'OnPolicyRL_loss'?"),
        (["show", "OnPolicyRL_los"], "did you mean 'OnPolicyRL_loss'?"),
        (["create-config", "--task-domain", "OnPolicy"], "did you mean 'OnPolicyRL'?"),
        (["sample-task-config", "--eval-type", "tim"], "did you mean 'time'?"),
        (["sample-task-config", "--p-data", "[0.4,x]"], "--p-data: '[0.4,x]' is not a list of numbers"),
        (["sample-task-config", "--p-data", "0.5,0.6"], "two probabilities"),
        (["sample-task-config", "--p-edit", "1.5"], "p_edit and p_base are probabilities"),
        (["sample-task-config", "--scale", "tinny"], "'tinny' is not one of 'tiny', 'small', 'full'"),
        (["create-task", "--task-domain", "OnPolicyRL", "--example", "--config-path", "x"], "give only one of"),
        (["create-task"], "Missing option '--task-domain'"),
        (["create-tsk"], "No such command 'create-tsk'"),
    ],
)
def test_errors_say_what_to_do(discoenv_command: Command, folder: Path, words: list[str], message: str) -> None:
    done = discoenv_command(*words)
    assert done.code != 0
    assert message in re.sub(r"[│\s]+", " ", done.err)
    assert "Traceback" not in done.err
    assert list(folder.iterdir()) == []


def test_an_error_on_a_domains_own_name_is_not_needed(discoenv_command: Command) -> None:
    """Every name that get-domains prints can be used."""
    for name in discoenv_command("get-domains").out.split():
        assert discoenv_command("create-config", "--task-domain", name).code == 0
        assert Path(f"task_configs/task_config_{name}.yaml").is_file()
        assert get_domain(name).name == name


def test_help_names_the_objectives_that_are_registered() -> None:
    for command in (tasks.create_task, tasks.create_discobench, tasks.sample_task_config):
        text = inspect.get_annotations(command, eval_str=True)["eval_type"].__metadata__[0].help
        assert [name for name in objectives.names() if name not in text] == []


def test_defaults_of_the_command_are_those_of_the_function() -> None:
    """They are written twice, because importing the function takes longer than a command may take to start."""
    command = inspect.signature(tasks.sample_task_config).parameters
    function = inspect.signature(sample_task_config).parameters
    for name in ("p_edit", "p_use_base", "eval_type", "source_path", "max_attempts", "seed"):
        assert command[name].default == function[name].default, name
