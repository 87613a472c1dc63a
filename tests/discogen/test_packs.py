"""Packs in DiscoGen's format: names, scales, data, models, metrics, interpreters, and what is said when they fail."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml

import discoenv
from discoenv.discogen.api import (
    config_from_task,
    create_config,
    create_task,
    read,
    sample_task_config,
    task_from_config,
)
from discoenv.discogen.config import discobench_config, example_config
from discoenv.discogen.domain import WORST
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.errors import (
    ArgumentError,
    DatasetUnavailable,
    InfraError,
    SamplingFailed,
    SandboxUnavailable,
    TaskError,
    UnknownName,
)
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.scoring import baselines
from discoenv.scoring.scores import score
from discoenv.tasks.domain import Domain
from discoenv.tasks.reading import read_task
from discoenv.tasks.registry import get_domain, load_pack, load_packs, spelling
from discoenv.tasks.task import Setting, Task
from tests.conftest import MakeVariant, each_exam
from tests.discogen.conftest import MAIN, MAKE_DATASET, Command, MakePack

GUESS = "guessing/Guess"
CONFIG = {"train_task_id": ["A"], "test_task_id": ["B"], "change_guess": True, "use_base": True}
#: A domain of language models: two datasets, one with two metrics, and two models.
MODELS: dict[str, str | None] = {
    "task_config.yaml": "train_task_id: [A, B]\ntest_task_id: [A, B]\ntrain_model_id: [small-1.5B]\n"
    "test_model_id: [small-1.5B]\nsource_path: task_src/Guess\ntemplate_backend: default\nchange_guess: false\n",
    "utils/baseline_scores.yaml": "forgot:\n  default: {A: 0.25}\n  objective: min\n\nkept.all:\n  default: {A: 0.55}\n"
    "  objective: max\n\nutility:\n  default: {B: 0.25}\n  objective: max\n",
    "templates/default/main.py": "import json, pathlib, sys\nhere = pathlib.Path(__file__).parent\n"
    "sys.path.insert(0, str(here))\nfrom guess import guess\nname = (here / 'model_config.yaml').read_text().strip()\n"
    "print(json.dumps({'forgot': guess()[0], 'kept': {'all': guess()[1]}, 'utility': len(name)}))\n",
    "templates/default/base/guess.py": "def guess():\n    return 0.25, 0.55\n",
    "datasets/A/make_dataset.py": "def make_dataset():\n    pass\n",
    "datasets/B/make_dataset.py": "def make_dataset():\n    pass\n",
    "models/small-1.5B/model_config.yaml": "small\n",
    "models/small-1.5B/description.md": "A small model.\n",
    "models/large/model_config.yaml": "large one\n",
    "models/large/description.md": "A large model.\n",
}


def load(folder: Path, python: Path | None = None) -> Domain:
    return get_domain(load_pack(folder, python)[0])


def examine(workspace: Path, domain: Domain, dataset: str) -> ExamResult:
    with Host() as host:
        setting = Setting(domain, "default", dataset, domain.default_scale)
        return host.run(workspace, ExamSpec(setting, 0, 60.0, editable=("guess",)))


class TestScales:
    def test_an_environment_takes_the_one_that_a_pack_has(self, make_pack: MakePack, tmp_path: Path) -> None:
        for domain, task in (
            (GUESS, None),
            (None, {"domain": GUESS, "modules": ["guess"], **_sides()}),
            (None, CONFIG),
        ):
            env = gymnasium.make("DiscoGen-v0", packs=[make_pack()], domain=domain, task=task, runs_dir=None)
            try:
                _, info = env.reset(seed=0)
            finally:
                env.close()
            assert (info["task"]["domain"], info["task"]["scale"]) == (GUESS, "full")

    def test_packs_may_be_one_path(self, make_pack: MakePack) -> None:
        assert load_packs(make_pack()) == load_packs(str(make_pack())) == load_packs([make_pack()]) == [GUESS]

    def test_another_scale_is_refused_with_the_reason(self, make_pack: MakePack) -> None:
        load(make_pack())
        reason = "of a pack in DiscoGen's format, which has one scale"
        with pytest.raises(UnknownName, match=f"no scale is called 'tiny' .*{reason}; known are full"):
            task_from_config(GUESS, {**CONFIG, "scale": "tiny"})
        with pytest.raises(UnknownName, match=f"no scale is called 'small' .*{reason}"):
            Task(domain=GUESS, modules=("guess",), scale="small", **_sides()).resolve()
        with pytest.raises(SamplingFailed, match=f"here at scale small, {reason}: leave the scale out, or take full"):
            sample_task_config(domains=[GUESS], scale="small")

    def test_no_message_names_a_command_that_cannot_work(
        self, make_pack: MakePack, discoenv_command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(make_pack({"templates/default/main.py": f"import no_such_package\n{MAIN}"}))
        shown = " ".join(discoenv_command("doctor").out.split())
        assert "needs no_such_package" in shown
        failed = discoenv_command("calibrate", GUESS, "--scale", "tiny")
        assert failed.code == 1
        assert "which has one scale; known are full" in failed.err
        errors = []
        for attempt in (
            lambda: sample_task_config(domains=[GUESS], scale="tiny"),
            lambda: DiscoGenEnv(domain=GUESS, runs_dir=None).reset(),
            lambda: DiscoGenEnv(task=CONFIG, runs_dir=None).reset(),
        ):
            with pytest.raises((TaskError, DatasetUnavailable)) as caught:
                attempt()
            errors.append(str(caught.value))
        assert "discoenv[]" not in shown + " ".join(errors)
        assert "calibrate" not in " ".join(errors)

    def test_calibrating_a_pack_measures_its_costs_here(self, make_pack: MakePack, discoenv_command: Command) -> None:
        domain = load(make_pack())
        assert discoenv_command("calibrate", GUESS, "--dataset", "A", "--seeds", "1").code == 0
        assert not (domain.directory / "baselines.json").exists()
        local = baselines.local_entry(Setting(domain, "default", "A", "full"))
        assert local is not None
        assert local.seconds.mean > 0


class TestNames:
    @pytest.fixture
    def benched(self, make_pack: MakePack) -> Path:
        """The pack, with its DiscoBench files and an example beside its domains."""
        pack = make_pack()
        split = {"train_task_id": ["A"], "test_task_id": ["B"], "template_backend": "default"}
        for name in ("discobench_configs/Guess_guess", "discobench_configs/Guess_all", "example_configs/Guess"):
            path = pack / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump({**split, "source_path": "task_src/Guess_guess", "change_guess": True}))
        load(pack)
        return pack

    def test_discobench_tasks_and_the_example_are_found_by_name(
        self, benched: Path, folder: Path, discoenv_command: Command
    ) -> None:
        assert {f"{GUESS}_guess", f"{GUESS}_all"} <= set(discoenv.get_discobench_tasks())
        expected = Task(domain=GUESS, modules=("guess",), scale="full", **_sides())
        assert read_task(f"{GUESS}_guess") == read_task(f"{GUESS}_all") == expected
        assert task_from_config(GUESS, example_config(GUESS)) == expected
        assert read_task("Guess_all", {"domain": GUESS}) == expected
        workspace = discoenv.create_discobench(f"{GUESS}_all")
        assert workspace == folder / "task_src" / f"{GUESS}_all"
        assert read(workspace).domain == GUESS
        assert discoenv_command("create-task", "--task-domain", GUESS, "--example").code == 0
        assert read(folder / "task_src" / GUESS).scale == "full"

    def test_sampling_does_not_give_a_discobench_task(self, benched: Path) -> None:
        with pytest.raises(SamplingFailed, match="other than those of DiscoBench"):
            sample_task_config(domains=[GUESS], p_data=[1, 0, 0], p_edit=1.0)

    def test_a_file_of_a_pack_is_a_task_of_that_pack(
        self, benched: Path, make_variant: MakeVariant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.native_twin(make_variant)
        path = benched / "discobench_configs" / "Guess_guess.yaml"
        assert read_task(path).domain == GUESS
        elsewhere = benched.parent / "copy.yaml"
        elsewhere.write_text(path.read_text())
        with pytest.raises(TaskError, match=r"it could be of Twin, guessing/Guess; .* add the key `domain: Twin`"):
            read_task(elsewhere)
        for domain in ("Twin", GUESS):
            assert read_task(elsewhere, {"domain": domain}).domain == domain
            env = DiscoGenEnv(domain=domain, task=elsewhere, runs_dir=None, scale="full")
            assert env._task is not None
            assert env._task.domain == domain
            env.close()

    def test_a_configuration_of_a_pack_names_its_domain(self, benched: Path, make_variant: MakeVariant) -> None:
        self.native_twin(make_variant)
        config = create_config(GUESS) | {"change_guess": True, "train_task_id": ["A"], "test_task_id": ["B"]}
        assert config["domain"] == GUESS
        assert read_task(config).domain == GUESS
        assert read_task(discobench_config(f"{GUESS}_guess")).domain == GUESS
        assert "domain" not in create_config("Twin")
        with pytest.raises(TaskError, match="config: domain: it is of guessing/Guess, not of Twin"):
            task_from_config("Twin", config)
        with pytest.raises(UnknownName, match="did you mean 'guessing/Guess'"):
            read_task({**config, "domain": "guessing/Gues"})

    @staticmethod
    def native_twin(make_variant: MakeVariant) -> None:
        """A domain that comes with discoenv, whose module and datasets have the pack's names."""

        def change(content: dict[str, Any]) -> None:
            content["modules"]["guess"] = content["modules"].pop("features")
            content["exam"] = {"kind": "interactive"}
            content["datasets"] = {"A": {"source": "offline"}, "B": {"source": "offline"}}
            content.pop("quick", None)

        files: dict[str, str | None] = {
            f"datasets/{name}/{file}": text
            for name in ("A", "B")
            for file, text in {
                "description.md": "Data.\n",
                "config.yaml": "full: {n: 1}\nsmall: {n: 1}\n",
                "interval.py": "",
            }.items()
        }
        files["templates/default/guess.py"] = "# <solution>\nx = 1\n# </solution>\n"
        make_variant("Twin", change=change, files=files)


class TestSampling:
    CUDA = "jax[cuda12]\nnumpy\n"

    def test_what_needs_a_gpu_is_sampled_only_if_there_may_be_one(self, make_pack: MakePack) -> None:
        load(make_pack({"utils/requirements.txt": self.CUDA}))
        with pytest.raises(SamplingFailed, match=r"only \[\] can be used here .*A, B: needs a GPU"):
            sample_task_config(domains=[GUESS], p_edit=1.0, seed=0)
        assert sample_task_config(domains=[GUESS], p_edit=1.0, seed=0, gpu=True)[0] == GUESS

    @pytest.mark.parametrize(
        "text",
        [
            "--index-url https://example.invalid/whl/cu128\ntorch\n",
            "--find-links https://example.invalid/jax_cuda_releases.html\njax\n",
        ],
    )
    def test_an_index_of_cuda_builds_asks_for_a_gpu(self, make_pack: MakePack, text: str) -> None:
        assert load(make_pack({"utils/requirements.txt": text})).needs_gpu("A", "full")

    def test_domains_that_were_measured_on_a_cpu_do_not(self, make_pack: MakePack) -> None:
        pack = make_pack({"utils/requirements.txt": self.CUDA}, name="GreenhouseGasPrediction")
        assert not load(pack).needs_gpu("A", "full")

    def test_what_has_to_be_downloaded_is_sampled_only_if_it_may_be_or_is_here(
        self, make_pack: MakePack, discoenv_command: Command
    ) -> None:
        text = f"import urllib.request\n{MAKE_DATASET}".replace("json.dumps", "urllib.request and json.dumps")
        load(make_pack({f"datasets/{name}/make_dataset.py": text.replace("NUMBERS", "1") for name in "AB"}))
        with pytest.raises(SamplingFailed, match=f"A: run `discoenv data fetch {GUESS} A` first; B: run"):
            sample_task_config(domains=[GUESS], p_edit=1.0, seed=0)
        assert sample_task_config(domains=[GUESS], p_edit=1.0, seed=0, download=True)[0] == GUESS
        fetched = discoenv_command("data", "fetch", GUESS)
        assert [line.partition(":")[0] for line in fetched.out.splitlines()] == ["A", "B"]
        assert sample_task_config(domains=[GUESS], p_edit=1.0, seed=0)[0] == GUESS

    def test_requirements_of_training_are_not_asked_of_what_samples_and_creates(
        self, make_pack: MakePack, folder: Path
    ) -> None:
        load(make_pack({"templates/default/main.py": f"import no_such_package\n{MAIN}"}))
        name, config = sample_task_config(domains=[GUESS], p_edit=1.0, seed=0)
        assert (create_task(name, config_dict=config) / "requirements.txt").is_file()


class TestData:
    def test_the_download_gets_a_path(self, make_pack: MakePack, folder: Path) -> None:
        domain = load(make_pack())
        workspace = create_task(GUESS, config_dict=CONFIG)
        assert json.loads((workspace / "A" / "data" / "numbers.json").read_text()) == [2, 2]
        assert examine(workspace, domain, "A").metrics == {"losses.mse": 4.0}

    def test_it_is_found_in_the_working_directory_too(self, make_pack: MakePack, folder: Path) -> None:
        main = MAIN.replace('pathlib.Path(__file__).parent / "data"', 'pathlib.Path("data")')
        domain = load(make_pack({"templates/default/main.py": main}))
        assert examine(create_task(GUESS, config_dict=CONFIG), domain, "A").metrics == {"losses.mse": 4.0}

    def test_a_dataset_need_not_have_a_download(self, make_pack: MakePack) -> None:
        domain = load(make_pack({"datasets/A/make_dataset.py": "import no_such_package\n"}))
        assert domain.data("A") is None
        assert domain.to_fetch() == ["B"]

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("raise urllib.error.URLError('no route')", r"the network failed\. .*(\n.*)*discoenv data fetch"),
            ("raise RuntimeError from TimeoutError('slow')", "the network failed"),
            ("import no_such_package", r"has no package no_such_package\. The pack lists what it requires in"),
            ("place.absent", "its code failed, which is the pack's. It said:\n(.*\n)*AttributeError"),
        ],
    )
    def test_what_failed_is_said(self, make_pack: MakePack, body: str, message: str) -> None:
        text = f"import urllib.error\ndef download_dataset(place):\n    {body}\n"
        domain = load(make_pack({"datasets/A/make_dataset.py": text}))
        with pytest.raises(DatasetUnavailable, match=message):
            domain.data("A")

    def test_the_command_that_is_named_for_a_download_works(
        self, make_pack: MakePack, discoenv_command: Command
    ) -> None:
        text = "import urllib.error, os\ndef download_dataset(place):\n    if not os.environ.get('NETWORK'):\n"
        text += "        raise urllib.error.URLError('none')\n"
        domain = load(make_pack({"datasets/A/make_dataset.py": text}))
        with pytest.raises(DatasetUnavailable) as caught:
            domain.data("A")
        (line,) = [line for line in str(caught.value).splitlines() if "discoenv data fetch" in line]
        variable, *command = line.split()
        assert variable == f"DISCOENV_PACKS='{domain.directory.parent}'"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NETWORK", "yes")
            assert discoenv_command(*command[1:]).code == 0

    def test_a_program_that_fetches_while_it_trains_is_not_played_without_a_network(
        self, make_pack: MakePack, folder: Path
    ) -> None:
        main = f"import huggingface_hub\n{MAIN}"
        fake: dict[str, str | None] = {"templates/default/main.py": main}
        domain = load(make_pack(fake))
        assert "huggingface_hub" in domain.needs_network("A")
        with pytest.raises(SamplingFailed, match=r"A, B: main.py fetches from the network while it trains"):
            sample_task_config(domains=[GUESS], p_edit=1.0)


class TestModels:
    @pytest.fixture
    def domain(self, make_pack: MakePack) -> Domain:
        return load(make_pack(MODELS))

    def test_a_dataset_is_one_with_a_model(self, domain: Domain) -> None:
        assert domain.models == ["large", "small-1.5B"]
        assert domain.datasets == ["A_small-1.5B", "A_large", "B_small-1.5B", "B_large"]
        assert domain.dataset_description("A_large") == "Twos.\n\nA large model.\n"
        assert domain.fixed_texts("A_large", backend="default")["model_config.yaml"] == "large one\n"
        sampled = {
            sample_task_config(domains=[GUESS], p_edit=1.0, seed=seed)[1]["train_task_id"][0] for seed in range(9)
        }
        assert sampled == {"A", "B"}

    def test_configurations_are_discogens(self, domain: Domain, folder: Path) -> None:
        config = create_config(GUESS)
        assert config["train_task_id"] == config["test_task_id"] == ["A", "B"]
        assert config["train_model_id"] == config["test_model_id"] == ["small-1.5B"]
        config |= {"train_task_id": ["A", "B"], "train_model_id": ["large", "small-1.5B"], "test_task_id": "A"}
        config |= {"test_model_id": "small-1.5B", "change_guess": True}
        task = task_from_config(GUESS, config)
        assert (task.meta_train, task.meta_test) == (("A_large", "B_small-1.5B"), ("A_small-1.5B",))
        assert read_task(config) == task
        again = config_from_task(task)
        assert (again["train_task_id"], again["train_model_id"]) == (["A", "B"], ["large", "small-1.5B"])
        assert task_from_config(GUESS, again) == task
        without = {key: value for key, value in config.items() if not key.endswith("model_id")}
        assert task_from_config(GUESS, without | {"test_task_id": "A_large"}).meta_test == ("A_large",)
        workspace = create_task(GUESS, config_dict=config)
        assert (workspace / "A_large" / "model_config.yaml").read_text() == "large one\n"
        assert (workspace / "B_small-1.5B" / "guess.py").is_symlink()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"train_model_id": ["large"] * 3}, "config: train_model_id: 3 models for 1 datasets"),
            ({"test_model_id": "huge"}, r"no model is called 'huge' in guessing/Guess \(config: test_model_id\)"),
        ],
    )
    def test_models_that_do_not_fit_are_named(self, domain: Domain, change: dict[str, Any], message: str) -> None:
        with pytest.raises((TaskError, UnknownName), match=message):
            task_from_config(GUESS, {**CONFIG, **change})

    def test_a_domain_without_models_has_no_such_key(self, make_pack: MakePack) -> None:
        load(make_pack())
        with pytest.raises(UnknownName, match="no key is called 'train_model_id'"):
            task_from_config(GUESS, {**CONFIG, "train_model_id": "large"})

    def test_several_metrics_are_as_good_as_the_worst(self, domain: Domain, folder: Path) -> None:
        setting = Setting(domain, "default", "A_large", "full")
        assert [(metric.name, metric.direction) for metric in domain.metrics("A_large")] == [
            ("forgot", "min"),
            ("kept.all", "max"),
        ]
        assert (setting.metric.name, setting.metric.direction) == (WORST, "max")
        config = {"train_task_id": ["A", "B"], "train_model_id": "large", "test_task_id": "A", "change_guess": True}
        workspace = create_task(GUESS, config_dict=config, use_base=True)
        entry = baselines.entry(setting)
        for returned, expected in (("0.25, 0.55", 1.0), ("0.0, 0.275", 0.5), ("0.125, 1.1", 1.5), ("0.5, 9.0", 0.0)):
            (workspace / "discovered" / "guess.py").write_text(f"def guess():\n    return {returned}\n")
            result = examine(workspace, domain, "A_large")
            assert result.metrics is not None
            assert result.metrics[WORST] == pytest.approx(expected)
            assert score(setting.metric, entry, [result]).normalised == pytest.approx(expected)
        assert examine(workspace, domain, "B_large").metrics == {"forgot": 0.5, "kept.all": 9.0, "utility": 9.0}

    def test_an_agent_reads_which_metrics_there_are(self, domain: Domain, folder: Path) -> None:
        text = (create_task(GUESS, config_dict=CONFIG) / "description.md").read_text()
        assert "`forgot` (as printed; lower is better), `kept.all` (as printed; higher is better)" in text
        assert "as good as the worst" in text
        assert "A small model." in text

    def test_a_metric_that_is_not_printed_is_named(self, domain: Domain, folder: Path) -> None:
        workspace = create_task(GUESS, config_dict={**CONFIG, "train_model_id": "large"})
        (workspace / "discovered" / "guess.py").write_text("def guess():\n    return 0.1, None\n")
        result = examine(workspace, domain, "A_large")
        assert (result.status, result.message) == ("protocol_error", "main.py printed no line of JSON with 'kept.all'")


class TestInterpreters:
    MAIN = f"import only_there\n{MAIN}"

    @pytest.fixture
    def pack(self, make_pack: MakePack) -> Path:
        return make_pack({"templates/default/main.py": self.MAIN})

    def test_a_pack_may_have_its_own(
        self, pack: Path, make_environment: Callable[..., Path], tmp_path: Path, sandbox_name: str
    ) -> None:
        python = make_environment(only_there="")
        env = gymnasium.make(
            "DiscoGen-v0",
            packs=f"{pack}={python.parent.parent}",
            domain=GUESS,
            sampling={"p_edit": 1.0, "p_base": 1.0, "test_seeds": 1},
            runs_dir=tmp_path / "runs",
            sandbox=sandbox_name,
        )
        try:
            env.reset(seed=0)
            info = env.step("submit")[4]
        finally:
            env.close()
        ((dataset, measured),) = info["meta_test"].items()
        assert each_exam(measured, "metrics") == [{"losses.mse": {"A": 4.0, "B": 9.0}[dataset]}]
        recorded = EpisodeRecord.load(info["run_directory"])
        assert recorded.setup.packs == (f"{pack / 'domains'}={python}",)

    def test_without_it_the_package_and_the_file_of_requirements_are_named(self, pack: Path, tmp_path: Path) -> None:
        domain = load(pack)
        listed = domain.directory / "utils" / "requirements.txt"
        message = rf"needs only_there, which cannot be imported here: The pack lists what it requires in {listed}"
        for task in (None, CONFIG):
            env = DiscoGenEnv(domain=GUESS, task=task, runs_dir=None)
            with pytest.raises((DatasetUnavailable, SamplingFailed), match=message if task else "needs only_there"):
                env.reset(seed=0)
            env.close()

    def test_data_is_made_with_it(self, make_pack: MakePack, make_environment: Callable[..., Path]) -> None:
        text = MAKE_DATASET.replace("import json", "import json, only_there").replace("NUMBERS", "1")
        domain = load(make_pack({"datasets/A/make_dataset.py": text}), make_environment(only_there=""))
        place = domain.data("A")
        assert place is not None
        assert (place / "numbers.json").read_text() == "[1]"

    def test_the_variable_names_it(
        self, pack: Path, make_environment: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        python = make_environment(only_there="")
        from discoenv.tasks import registry

        monkeypatch.setenv(registry.VARIABLE, f"{pack}={python}")
        registry.load_configured_packs.cache_clear()
        try:
            domain = get_domain(GUESS)
        finally:
            registry.load_configured_packs.cache_clear()
        assert domain.python == python
        assert spelling(domain) == f"{pack / 'domains'}={python}"
        assert domain.missing_requirements() == []

    def test_discoenv_is_hidden_in_it(
        self, make_pack: MakePack, make_environment: Callable[..., Path], folder: Path
    ) -> None:
        python = make_environment(discoenv="secret = 1")
        main = MAIN + "\ntry:\n    import discoenv\n    print(json.dumps({'losses': {'mse': discoenv.secret}}))\n"
        main += "except (ImportError, AttributeError):\n    pass\n"
        domain = load(make_pack({"templates/default/main.py": main}), python)
        assert examine(create_task(GUESS, config_dict=CONFIG), domain, "A").metrics == {"losses.mse": 4.0}


class TestImages:
    @pytest.mark.parametrize(
        "image", ["learners", "learners:1.0", "registry.example:5000/a/b:v2", "a/b@sha256:" + "0" * 64]
    )
    def test_a_pack_names_one_wherever_it_is_named(
        self, make_pack: MakePack, image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from discoenv.tasks import registry

        pack, other = make_pack(), tmp_path / "other"
        (other / "domains").mkdir(parents=True)
        (pack / "domains" / "Guess").rename(other / "domains" / "Guess")
        pack = make_pack()
        for named in (f"{pack}=docker://{image}", Path(f"{pack}=docker://{image}")):
            load_packs(named)
            domain = get_domain(GUESS)
            assert (domain.image, domain.python) == (image, None)
        assert spelling(domain) == f"{pack / 'domains'}=docker://{image}"
        assert get_domain(load_pack(pack, image=image)[0]).image == image
        monkeypatch.setattr(registry, "_registered", {})
        monkeypatch.setenv(registry.VARIABLE, f"{pack}=docker://{image}:{other}")
        registry.load_configured_packs.cache_clear()
        try:
            assert registry.load_configured_packs() == [GUESS, "other/Guess"]
            assert (get_domain(GUESS).image, get_domain("other/Guess").image) == (image, "")
        finally:
            registry.load_configured_packs.cache_clear()

    def test_it_has_one_or_an_interpreter(self, make_pack: MakePack) -> None:
        with pytest.raises(ArgumentError, match=r"a pack has an interpreter .* or an image \(learners\), not both"):
            load_pack(make_pack(), python="/usr/bin/python3", image="learners")

    def test_nothing_that_it_requires_is_asked_of_the_host(
        self, make_pack: MakePack, discoenv_command: Command
    ) -> None:
        load_pack(make_pack({"templates/default/main.py": f"import only_there\n{MAIN}"}), image="learners")
        domain = get_domain(GUESS)
        assert domain.missing_requirements() == domain.missing_for_training("A") == []
        assert "only_there" not in discoenv_command("doctor").out

    def test_a_sandbox_that_runs_no_images_says_so_before_the_first_step(self, make_pack: MakePack) -> None:
        load_pack(make_pack(), image="learners:1")
        with (
            contextlib.closing(
                DiscoGenEnv(task=CONFIG | {"domain": GUESS}, sandbox="bubblewrap", runs_dir=None)
            ) as env,
            pytest.raises(
                SandboxUnavailable, match="image learners:1, which the bubblewrap sandbox cannot run: use sa"
            ),
        ):
            env.reset(seed=0)

    def test_without_an_engine_the_message_says_so(
        self, make_pack: MakePack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        load_pack(make_pack(), image="learners:1")
        with (
            contextlib.closing(DiscoGenEnv(task=CONFIG | {"domain": GUESS}, sandbox="docker", runs_dir=None)) as env,
            pytest.raises(SandboxUnavailable, match=r"the docker engine at unix://.*none\.sock does not answer"),
        ):
            env.reset(seed=0)


class TestFailures:
    def test_an_import_that_fails_before_the_agents_code_is_not_the_agents(
        self, make_pack: MakePack, folder: Path
    ) -> None:
        main = f"from json import no_such_name\n{MAIN}"
        domain = load(make_pack({"templates/default/main.py": main}))
        workspace = create_task(GUESS, config_dict=CONFIG)
        with pytest.raises(
            InfraError, match=r"main\.py of A does not start: cannot import name 'no_such_name' from 'json'"
        ):
            examine(workspace, domain, "A")

    @pytest.mark.parametrize(
        "before", ["raise OSError('no disk')\n", "import os\nos._exit(3)\n", "print('{}')\nexit()\n"]
    )
    def test_whatever_else_fails_before_it_is_not(self, make_pack: MakePack, folder: Path, before: str) -> None:
        domain = load(make_pack({"templates/default/main.py": before + MAIN}))
        workspace = create_task(GUESS, config_dict=CONFIG)
        (workspace / "discovered" / "guess.py").write_text("raise OSError('of the agent')\n")
        with pytest.raises(InfraError, match=r"main\.py of A fails in the .* before any module of an agent is read: "):
            examine(workspace, domain, "A")

    def test_what_fails_in_a_program_that_it_starts_is_scored(self, make_pack: MakePack, folder: Path) -> None:
        main = (
            "import pathlib, subprocess, sys\nsubprocess.run([sys.executable, '-c', 'from guess import guess'],\n"
            "               cwd=pathlib.Path(__file__).parent, check=True)\n"
        )
        domain = load(make_pack({"templates/default/main.py": main}))
        workspace = create_task(GUESS, config_dict=CONFIG)
        (workspace / "discovered" / "guess.py").write_text("raise OSError('of the agent')\n")
        assert examine(workspace, domain, "A").status == "error"

    @pytest.mark.parametrize("text", ["import no_such_package\n", "from json import guess_what\n", "x = 1\n"])
    def test_an_import_of_the_agents_module_is(self, make_pack: MakePack, folder: Path, text: str) -> None:
        domain = load(make_pack())
        workspace = create_task(GUESS, config_dict=CONFIG)
        (workspace / "discovered" / "guess.py").write_text(text)
        result = examine(workspace, domain, "A")
        assert result.status == "error"
        assert "Error: " in result.message


class TestBaselines:
    @pytest.mark.parametrize(
        ("direction", "table", "dataset", "expected"),
        [
            ("max", "{A: 0.0, B: 0.14}", "A", {0.0: 1.0, 0.1: 2.0, 0.02: 1.2, 1.0: 11.0}),
            ("max", "{A: 0.01, B: 0.14}", "A", {0.01: 1.0, 0.0: 0.9, 0.5: 5.9}),
            ("max", "{A: 0.01, B: 0.14}", "B", {0.14: 1.0, 0.0: 0.0, 0.28: 2.0}),
            ("max", "{A: 0.008572, B: 0.14}", "A", {0.008572: 1.0, 0.0: 0.0}),
            ("max", "{A: -4.5, B: 9.25}", "A", {-4.5: 1.0, 0.0: 2.0, -9.0: 0.0}),
            ("min", "{A: 0, B: 0}", "A", {0.0: 1.0, 10.0: 0.0, 5.0: 0.5}),
        ],
    )
    def test_one_of_zero_or_of_few_digits_is_normalised_by_its_digits(
        self, make_pack: MakePack, direction: str, table: str, dataset: str, expected: dict[float, float]
    ) -> None:
        text = f"losses.mse:\n  default: {table}\n  objective: {direction}\n"
        domain = load(make_pack({"utils/baseline_scores.yaml": text}))
        setting = Setting(domain, "default", dataset, "full")
        entry = baselines.entry(setting)
        found = {value: entry.normalised(value, setting.metric.sign) for value in expected}
        assert found == pytest.approx(expected)


def _sides() -> dict[str, Any]:
    return {"meta_train": ("A",), "meta_test": ("B",)}
