"""DiscoGen's guide with ``discoenv`` for ``discogen``: its snippets and commands, in its order.

Domains that discoenv does not have (yet) are replaced by one that it has.
"""

from __future__ import annotations

import ast
import inspect
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

import discoenv
from discoenv import objectives
from discoenv.discogen.api import read
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import TaskSide
from tests.conftest import POLYNOMIAL_FEATURES, MakeVariant
from tests.discogen.conftest import Command

EXAMPLE = (
    {"MinAtar/Breakout", "MinAtar/Freeway", "Brax/HalfCheetah"},
    {"MinAtar/Asterix", "MinAtar/SpaceInvaders", "Brax/Humanoid"},
)


def layout(folder: Path | str) -> TaskSide:
    """The side of a task that a workspace holds, after checking that its files are there."""
    found = read(folder)
    assert isinstance(found, TaskSide)
    for name in ("description.md", "requirements.txt", "run_main.py", "discovered"):
        assert (Path(folder) / name).exists()
    for dataset in found.datasets:
        ast.parse((Path(folder) / dataset / "main.py").read_text())
        for module in get_domain(found.domain).modules:
            path = Path(folder) / dataset / f"{module}.py"
            assert path.is_symlink() == (module in found.modules)
            ast.parse(path.read_text())
    return found


def is_stub(folder: Path | str, module: str) -> bool:
    return "NotImplementedError" in (Path(folder) / "discovered" / f"{module}.py").read_text()


# Python API reference


def test_creating_tasks(folder: Path) -> None:
    from discoenv import create_task

    create_task(task_domain="OnPolicyRL", test=False)
    assert layout("task_src/OnPolicyRL").modules == ()

    Path("my_config.yaml").write_text(
        "train_task_id: [BoxModel/CO2]\n"
        "test_task_id: [BoxModel/CH4, BoxModel/CO]\n"
        "source_path: task_src/GreenhouseGasPrediction\n"
        "template_backend: default\n"
        "change_model: true\n"
        "change_data_processing: false\n"
    )
    create_task(task_domain="GreenhouseGasPrediction", test=True, config_path="my_config.yaml")
    assert layout("task_src/GreenhouseGasPrediction").datasets == ("BoxModel/CH4", "BoxModel/CO")
    assert is_stub("task_src/GreenhouseGasPrediction", "model")

    create_task(task_domain="OnPolicyRL", test=False, use_base=True)
    assert layout("task_src/OnPolicyRL").start == "base"


def test_sampling_random_tasks(folder: Path) -> None:
    from discoenv import create_task, sample_task_config

    task_domain, task_config = sample_task_config(
        p_edit=0.3, p_data=[0.4, 0.4, 0.2], p_use_base=0.0, eval_type="random", use_backends=True, seed=42
    )
    create_task(task_domain=task_domain, config_dict=task_config, baseline_scale=0.8)
    train = layout(task_config["source_path"])
    create_task(task_domain=task_domain, config_dict=task_config, baseline_scale=0.8, test=True)
    test = layout(task_config["source_path"])

    assert list(train.datasets) == task_config["train_task_id"]
    assert list(test.datasets) == task_config["test_task_id"]
    for side in (train, test):
        assert side.domain == task_domain
        assert {f"change_{module}" for module in side.modules} == {
            key for key, value in task_config.items() if key.startswith("change_") and value
        }
        assert (side.objective, side.baseline_scale, side.start) == (task_config["eval_type"], 0.8, "stub")


def test_getting_domain_information() -> None:
    from discoenv import get_domains, get_modules

    assert {"GreenhouseGasPrediction", "OnPolicyRL"} <= set(get_domains())
    modules = get_modules()
    assert list(modules) == get_domains()
    assert set(modules["OnPolicyRL"]) >= {"loss", "networks", "optim", "train"}


def test_creating_custom_configurations(folder: Path) -> None:
    from discoenv import create_config, create_task

    config = create_config(task_domain="OnPolicyRL")
    assert config["train_task_id"] == config["test_task_id"] == get_domain("OnPolicyRL").datasets
    assert not any(value for key, value in config.items() if key.startswith("change_"))
    assert (config["source_path"], config["template_backend"]) == ("task_src/OnPolicyRL", "default")
    config["change_optim"] = True
    config["change_loss"] = False
    create_task(task_domain="OnPolicyRL", test=False, config_dict=config)
    assert layout("task_src/OnPolicyRL").modules == ("optim",)


def test_the_arguments_are_those_of_the_guide() -> None:
    def names(function: Any) -> list[str]:
        parameters = inspect.signature(function).parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]

    expected = {
        "create_task": "task_domain test example use_base no_data config_path config_dict eval_type baseline_scale "
        "cache_root",
        "create_config": "task_domain",
        "create_discobench": "task_name test use_base no_data eval_type cache_root source_path baseline_scale",
        "sample_task_config": "p_edit p_data p_use_base eval_type use_backends source_path max_attempts rng seed",
        "get_domains": "",
        "get_modules": "",
    }
    assert {name: names(getattr(discoenv, name)) for name in expected} == {
        name: arguments.split() for name, arguments in expected.items()
    }


# Command line


def test_get_domains(discoenv_command: Command) -> None:
    assert discoenv_command("get-domains").out.split() == get_domains()


def test_get_modules(discoenv_command: Command) -> None:
    lines = discoenv_command("get-modules").out.splitlines()
    assert lines == [f"{name}: {', '.join(get_domain(name).modules)}" for name in get_domains()]


def test_create_task_shows_the_code_base(discoenv_command: Command) -> None:
    done = discoenv_command("create-task", "--task-domain", "OnPolicyRL")
    assert done.code == 0
    assert "python task_src/OnPolicyRL/run_main.py" in done.out
    assert layout("task_src/OnPolicyRL").modules == ()
    assert not list(Path("task_src/OnPolicyRL/discovered").iterdir())
    assert "No module is editable" in Path("task_src/OnPolicyRL/description.md").read_text()
    assert discoenv_command("create-task", "--task-domain", "OnPolicyRL", "--test").code == 0
    assert layout("task_src/OnPolicyRL").datasets == tuple(get_domain("OnPolicyRL").datasets)


def test_create_task_with_every_flag(discoenv_command: Command) -> None:
    train, _ = EXAMPLE
    create = ("create-task", "--task-domain", "OnPolicyRL")
    assert discoenv_command(*create, "--example").code == 0
    assert set(layout("task_src/OnPolicyRL").datasets) == train
    assert is_stub("task_src/OnPolicyRL", "loss")

    flags = ("--eval-type", "energy", "--baseline-scale", "0.8", "--use-base", "--no-data", "--cache-root", "cache")
    assert discoenv_command(*create, "--example", *flags, "--scale", "tiny").code == 0
    found = layout("task_src/OnPolicyRL")
    assert (found.objective, found.baseline_scale, found.start, found.scale) == ("energy", 0.8, "base", "tiny")
    assert not is_stub("task_src/OnPolicyRL", "loss")

    assert discoenv_command("create-config", "--task-domain", "OnPolicyRL").code == 0
    path = Path("task_configs/task_config_OnPolicyRL.yaml")
    path.write_text(path.read_text().replace("change_optim: false", "change_optim: true"))
    assert discoenv_command(*create, "--config-path", str(path), "--test").code == 0
    assert layout("task_src/OnPolicyRL").modules == ("optim",)


@pytest.mark.parametrize("objective", ["performance", "time", "energy", "golf", "memory"])
def test_each_objective_can_be_asked_for(discoenv_command: Command, objective: str) -> None:
    assert objective in objectives.names()
    command = ("create-task", "--task-domain", "GreenhouseGasPrediction", "--example", "--eval-type", objective)
    assert discoenv_command(*command).code == 0
    assert layout("task_src/GreenhouseGasPrediction").objective == objective


def test_create_config(discoenv_command: Command) -> None:
    done = discoenv_command("create-config", "--task-domain", "OnPolicyRL", "--save-dir", "mine/configs")
    assert done.code == 0
    written = yaml.safe_load(Path("mine/configs/task_config_OnPolicyRL.yaml").read_text())
    assert written == discoenv.create_config("OnPolicyRL")


def test_sample_task_config(discoenv_command: Command) -> None:
    assert discoenv_command("sample-task-config").code == 0
    assert Path("task_config.yaml").is_file()
    flags = {
        "--p-edit": "0.5",
        "--p-data": "[0.3, 0.3]",
        "--p-use-base": "0",
        "--eval-type": "time",
        "--source-path": "task_src/mine",
        "--max-attempts": "500",
        "--seed": "3",
        "--config-dest": "configs/mine.yaml",
        "--scale": "tiny",
        "--task-domain": "OnPolicyRL",
    }
    words = [word for flag in flags.items() for word in flag]
    done = discoenv_command("sample-task-config", "--no-backends", *words)
    assert done.code == 0, done.err
    assert "create-task --task-domain OnPolicyRL --config-path configs/mine.yaml" in done.out
    assert (
        yaml.safe_load(Path("configs/mine.yaml").read_text())
        == discoenv.sample_task_config(
            p_edit=0.5,
            p_data=[0.3, 0.3],
            p_use_base=0,
            eval_type="time",
            use_backends=False,
            source_path="task_src/mine",
            max_attempts=500,
            seed=3,
            scale="tiny",
            domains=["OnPolicyRL"],
        )[1]
    )
    assert (
        discoenv_command("create-task", "--task-domain", "OnPolicyRL", "--config-path", "configs/mine.yaml").code == 0
    )
    assert layout("task_src/mine").scale == "tiny"


# Creating tasks: the three workflows


@pytest.fixture
def toy_example(make_variant: MakeVariant) -> None:
    """A variant of the toy domain, whose exams take a fraction of a second, with an example task."""
    split = {"meta_train": ["Line"], "meta_test": ["Wave", "Steps"], "example": ["features"]}
    make_variant("Toy", change=lambda content: content.update(discobench=split))


def test_workflow_1_an_example(
    toy_example: None,
    discoenv_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sandbox_name: str,
) -> None:
    """As written: the fourth step is taken within the folder that the second one went to."""
    assert discoenv_command("create-task", "--task-domain", "Toy", "--example").code == 0
    monkeypatch.chdir("task_src/Toy")
    here = Path.cwd()
    raises_on_one = POLYNOMIAL_FEATURES + '\nimport interval\nassert "Steps" not in interval.__doc__, "not this one"\n'
    Path("discovered/features.py").write_text(raises_on_one)
    assert discoenv_command("create-task", "--task-domain", "Toy", "--example", "--test").code == 0
    assert not Path("task_src").exists()
    assert Path().samefile(here)
    assert Path("discovered/features.py").read_text() == raises_on_one

    # python run_main.py; a dataset that fails does not lose the other's result
    monkeypatch.setattr("sys.argv", ["run_main.py", "--sandbox", sandbox_name])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        runpy.run_path("run_main.py", run_name="__main__")
    assert not end.value.code
    printed = yaml.safe_load(capsys.readouterr().out.splitlines()[-1])
    assert set(printed) == {"results", "errors"}
    assert printed["results"]["Wave"]["r2"] > 0.5
    assert set(printed["errors"]) == {"Steps"}
    assert "not this one" in printed["errors"]["Steps"]


def test_workflow_2_customised_modules(folder: Path) -> None:
    from discoenv import create_config, create_task

    config = create_config("OnPolicyRL")
    config["change_optim"] = True
    config["change_loss"] = True
    create_task("OnPolicyRL", test=False, config_dict=config)
    discovered = Path("task_src/OnPolicyRL/discovered")
    (discovered / "loss.py").write_text("discovered = True\n")
    create_task("OnPolicyRL", test=True, config_dict=config)
    assert set(layout("task_src/OnPolicyRL").modules) == {"loss", "optim"}
    assert (discovered / "loss.py").read_text() == "discovered = True\n"
    assert is_stub("task_src/OnPolicyRL", "optim")


def test_workflow_3_random_tasks(folder: Path) -> None:
    from discoenv import create_task, sample_task_config

    def run_agent(folder: Path) -> dict[str, str]:
        texts = {}
        for path in sorted((folder / "discovered").iterdir()):
            texts[path.name] = f"{path.read_text()}\n# an idea\n"
            path.write_text(texts[path.name])
        return texts

    n_tasks = 12
    for task_id in range(n_tasks):
        task_domain, task_config = sample_task_config(
            p_edit=0.3, p_data=[0.4, 0.4, 0.2], p_use_base=0.0, eval_type="random", use_backends=True, seed=task_id
        )
        create_task(task_domain=task_domain, config_dict=task_config, baseline_scale=0.8)
        source_path = Path(task_config["source_path"])
        written = run_agent(source_path)
        create_task(task_domain=task_domain, config_dict=task_config, baseline_scale=0.8, test=True)
        assert list(layout(source_path).datasets) == task_config["test_task_id"]
        assert {path.name: path.read_text() for path in (source_path / "discovered").iterdir()} == written


# Running DiscoBench


def test_running_discobench(folder: Path) -> None:
    from discoenv import create_discobench, get_discobench_tasks

    tasks = get_discobench_tasks()
    for task in tasks:
        create_discobench(task, eval_type="performance")
        found = layout(f"task_src/{task}")
        assert all(is_stub(f"task_src/{task}", module) for module in found.modules)
    create_discobench(tasks[0], eval_type="energy", test=True)
    assert layout(f"task_src/{tasks[0]}").objective == "energy"


def test_discobench_on_the_command_line(discoenv_command: Command) -> None:
    from discoenv import get_discobench_tasks

    assert discoenv_command("get-discobench").out.split() == get_discobench_tasks()
    flags = ("--use-base", "--no-data", "--eval-type", "golf", "--baseline-scale", "0.9", "--cache-root", "cache")
    command = ("create-discobench", "--task-name", "OnPolicyRL_loss", "--source-path", "here", *flags)
    assert discoenv_command(*command).code == 0
    found = layout("here")
    assert (found.modules, found.objective, found.baseline_scale, found.start) == (("loss",), "golf", 0.9, "base")
    assert discoenv_command("create-discobench", "--task-name", "OnPolicyRL_loss", "--test").code == 0
    assert set(layout("task_src/OnPolicyRL_loss").datasets) == EXAMPLE[1]


def test_the_public_names_are_typed_and_documented() -> None:
    for name in ("create_task", "create_config", "sample_task_config", "create_discobench", "get_modules"):
        function = getattr(discoenv, name)
        assert re.match(r"[A-Z].*\.", inspect.getdoc(function) or "")
        assert "return" in inspect.get_annotations(function)
