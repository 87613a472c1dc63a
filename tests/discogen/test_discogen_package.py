"""The package discogen as a pack: all of its domains, DiscoBench files and examples, and its scores to the last bit."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import discoenv
from discoenv.discogen.api import create_task, sample_task_config
from discoenv.env import DiscoGenEnv
from discoenv.errors import DatasetUnavailable, SamplingFailed
from discoenv.exams import learner_environment
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Limits
from discoenv.sandbox.environment import minimal_environment
from discoenv.scoring import baselines
from discoenv.tasks import registry
from discoenv.tasks.reading import read_task
from discoenv.tasks.registry import get_domain, load_pack
from discoenv.tasks.task import Setting


def package() -> Path | None:
    """The discogen package: unpacked at DISCOGEN_PACK, or installed."""
    if os.environ.get("DISCOGEN_PACK"):
        return Path(os.environ["DISCOGEN_PACK"])
    spec = importlib.util.find_spec("discogen")
    return Path(spec.origin).parent.parent if spec and spec.origin else None


pytestmark = pytest.mark.skipif(package() is None, reason="needs the discogen package: set DISCOGEN_PACK to its folder")
NAMES = [
    *("BayesianOptimisation", "BrainSpeechDetection", "ComputerVisionClassification", "ContinualLearning"),
    *("GreenhouseGasPrediction", "LanguageModelling", "ModelUnlearning", "NeuralCellularAutomata", "OffPolicyRL"),
    *("OfflineRL", "OnPolicyMARL", "OnPolicyRL", "TrajectoryPrediction", "UnsupervisedEnvironmentDesign"),
]
GHG = "discogen/GreenhouseGasPrediction"


@pytest.fixture(autouse=True)
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The pack's folder; it is loaded, and the working directory and the user's cache are empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "_registered", {})
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    load_pack(package() or Path())
    yield get_domain(GHG).directory.parents[1]


@pytest.mark.parametrize("name", NAMES)
def test_each_domain_is_sampled_created_and_played_or_says_why_not(name: str) -> None:
    domain = get_domain(f"discogen/{name}")
    _, config = sample_task_config(domains=[domain.name], seed=0, gpu=True, download=True)
    assert (config["domain"], config["scale"]) == (domain.name, "full")
    workspace = create_task(domain.name, config_dict=config, no_data=True)
    for dataset in read_task(config).meta_train:
        assert (workspace / dataset / "main.py").is_file()
        assert baselines.has_entry(Setting(domain, config["template_backend"], dataset, "full"))
    env = DiscoGenEnv(packs=[domain.directory.parent], domain=domain.name, runs_dir=None, device="cpu")
    try:
        _, info = env.reset(seed=0)
    except SamplingFailed as error:
        reasons = ("needs a GPU", "which cannot be imported", "discoenv data fetch", "from the network while it trains")
        assert any(reason in str(error) for reason in reasons)
        assert "calibrate" not in str(error)
    else:
        assert info["task"]["domain"] == domain.name
        chosen = {*info["task"]["meta_train"], *info["task"]["meta_test"]}
        assert not any(domain.needs_gpu(dataset, "full") for dataset in chosen)
    finally:
        env.close()


def test_what_needs_no_gpu_and_no_network_is_known() -> None:
    offline = {
        f"{name}/{dataset}"
        for name in NAMES
        for dataset, entry in get_domain(f"discogen/{name}").specification.datasets.items()
        if entry.source == "offline" and not entry.gpu
    }
    bayesian = {f"BayesianOptimisation/{dataset}" for dataset in get_domain("discogen/BayesianOptimisation").datasets}
    games = {f"OffPolicyRL/MinAtar/{game}" for game in ("Asterix", "Breakout", "Freeway", "SpaceInvaders")}
    gases = {f"GreenhouseGasPrediction/{gas}" for gas in ("CH4", "CO2", "N2O", "SF6")}
    assert offline == bayesian | games | gases | {"NeuralCellularAutomata/MatrixOperations"}


def test_its_discobench_tasks_and_examples_are_found_by_name_and_by_file(pack: Path) -> None:
    names = [name for name in discoenv.get_discobench_tasks() if name.startswith("discogen/")]
    files = sorted((pack / "discobench_configs").glob("*.yaml"))
    assert [f"discogen/{path.stem}" for path in files] == names
    assert len(names) == 75
    for name, path in zip(names, files, strict=True):
        assert read_task(name) == read_task(path)
    examples = sorted((pack / "example_configs").glob("*.yaml"))
    assert [path.stem for path in examples] == sorted(NAMES)
    for path in examples:
        workspace = create_task(f"discogen/{path.stem}", example=True, no_data=True)
        written = {each.parent.relative_to(workspace).as_posix() for each in workspace.rglob("main.py")}
        content = yaml.safe_load(path.read_text())
        model = content.get("train_model_id")
        assert written == {f"{name}_{model[0]}" if model else name for name in content["train_task_id"]}


def test_unlearning_has_models_and_metrics_with_directions() -> None:
    domain = get_domain("discogen/ModelUnlearning")
    assert len(domain.models) == 13
    dataset = "tofu_Qwen2.5-1.5B-Instruct"
    assert {metric.name: metric.direction for metric in domain.metrics(dataset)} == {
        "model_utility": "max",
        "forget_Q_A_Prob": "min",
    }
    workspace = create_task(domain.name, example=True)
    folder = workspace / "muse_Qwen2.5-1.5B-Instruct"
    assert "Qwen/Qwen2.5-1.5B-Instruct" in (folder / "model_config.yaml").read_text()
    assert not (folder / "data").exists()
    printed = {"wmdp_cyber/acc": 0.24761, "mmlu_stem/acc": 0.51792}
    found = domain.with_score(printed, "wmdp_cyber_phi-1_5", backend="default")
    assert found["worst normalised metric"] == pytest.approx(1.0)


def test_what_the_automata_need_is_made_as_discogen_makes_it() -> None:
    domain = get_domain("discogen/NeuralCellularAutomata")
    place = domain.data("MatrixOperations")
    assert place is not None
    assert list(place.iterdir()) == []
    for dataset in ("GrowingLizard", "GrowingButterfly", "SelfClassifyingMNIST", "MNISTInpainting"):
        try:
            domain.data(dataset)
        except DatasetUnavailable as error:
            assert "AttributeError" not in str(error)  # a text has no mkdir
            assert "the network failed" in str(error) or "has no package torchvision" in str(error)


def test_a_task_of_a_backend_has_its_prompts() -> None:
    domain = get_domain("discogen/OnPolicyRL")
    own = [domain.prompt("networks", backend=backend) for backend in ("default", "recurrent", "transformer")]
    assert len(set(own)) == 3


@pytest.mark.parametrize("objective", ["performance", "energy"])
def test_its_greenhouse_gas_baseline_scores_as_its_own_program_does(objective: str, pack: Path, tmp_path: Path) -> None:
    theirs = self_made(pack, tmp_path / "theirs", objective)
    workspace = create_task(GHG, config_dict={**config_of(pack), "source_path": "ours"}, use_base=True)
    domain = get_domain(GHG)
    with Host() as host:
        for dataset in ("CH4", "SF6"):
            environment = minimal_environment(Limits(), home=str(tmp_path))
            command = [sys.executable, f"{dataset}/main.py"]
            done = subprocess.run(command, cwd=theirs, env=environment, capture_output=True, text=True, check=True)
            expected = json.loads(done.stdout.strip().splitlines()[-1])["Test MSE"]
            result = host.run(workspace, ExamSpec(Setting(domain, "default", dataset, "full"), 0, 600.0))
            assert result.metrics is not None
            assert result.metrics["Test MSE"] == expected  # to the last bit
            published = domain.published(dataset, backend="default")[1]  # type: ignore[index]
            assert expected == pytest.approx(published, rel=1e-6)
            if objective == "energy":
                target = json.loads((theirs / dataset / "baseline_scores.json").read_text())
                assert target == {"Test MSE": [published, "min"]}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_bayesian_optimisation_scores_as_its_own_program_does(pack: Path, tmp_path: Path) -> None:
    name, dataset = "BayesianOptimisation", "Ackley1d"
    pytest.importorskip("tinygp", reason="DiscoGen's Bayesian optimisation needs the package tinygp")
    theirs = self_made(pack, tmp_path / "theirs", "performance", name)
    domain = get_domain(f"discogen/{name}")
    config = {**config_of(pack, name), "source_path": "ours"}
    workspace = create_task(f"discogen/{name}", config_dict=config, use_base=True)
    environment = {**minimal_environment(Limits(), home=str(tmp_path)), **learner_environment.on_cpu()}
    command = [sys.executable, f"{dataset}/main.py"]
    done = subprocess.run(command, cwd=theirs, env=environment, capture_output=True, text=True, check=True)
    expected = json.loads(done.stdout.strip().splitlines()[-1])
    with Host() as host:
        result = host.run(workspace, ExamSpec(Setting(domain, "default", dataset, "full"), 0, 800.0))
    assert result.metrics is not None
    assert expected
    assert {metric: result.metrics[metric] for metric in expected} == expected  # to the last bit


def config_of(pack: Path, name: str = "GreenhouseGasPrediction") -> dict[str, Any]:
    return dict(yaml.safe_load((pack / "example_configs" / f"{name}.yaml").read_text()))


def self_made(pack: Path, place: Path, objective: str, name: str = "GreenhouseGasPrediction") -> Path:
    """The example's workspace as the package itself makes it, in another process."""
    code = (
        "import json, sys\nsys.path.insert(0, sys.argv[1])\nfrom discogen.utils.make_files import MakeFiles\n"
        "MakeFiles(sys.argv[5], cache_root=sys.argv[2] + '-cache').make_files(json.loads(sys.argv[3]), "
        "train=True, use_base=True, no_data=False, eval_type=sys.argv[4])\n"
    )
    config = json.dumps({**config_of(pack, name), "source_path": str(place)})
    subprocess.run([sys.executable, "-c", code, str(pack.parent), str(place), config, objective, name], check=True)
    return place
