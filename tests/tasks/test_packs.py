"""Packs: further domains from other folders, in our format and in DiscoGen's."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.errors import DatasetUnavailable, DomainError, EntryPointError, UnknownName
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.scoring import baselines
from discoenv.tasks import registry
from discoenv.tasks import registry as domains
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains, load_pack
from discoenv.tasks.task import Setting
from discoenv.testing import check_domain, domain_of
from tests.conftest import TOY, Install, each_exam

MAIN = """
import json, pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from guess import guess
numbers = json.loads((pathlib.Path(__file__).parent / "data" / "numbers.json").read_text())
pathlib.Path("checkpoint.txt").write_text("this layout writes to its working directory")
error = sum((guess() - number) ** 2 for number in numbers) / len(numbers)
print("training ...")
print(json.dumps({"losses": {"mse": error}}))
"""
MAKE_DATASET = """
import json, pathlib
def download_dataset(dest_loc):
    pathlib.Path(dest_loc, "numbers.json").write_text(json.dumps([NUMBERS]))
"""


@pytest.fixture(autouse=True)
def own_cache_and_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(domains, "_registered", {})
    domains.load_configured_packs.cache_clear()  # other tests may have looked for packs
    yield
    domains.load_configured_packs.cache_clear()


@pytest.fixture
def discogen_pack(tmp_path: Path) -> Path:
    """A pack in DiscoGen's layout: guess a number; three datasets, one of which has to be downloaded."""
    files = {
        "task_config.yaml": "train_task_id: [A, B, C]\ntest_task_id: [A, B, C]\nsource_path: task_src/Guess\n"
        "template_backend: default\nchange_guess: false\n",
        "utils/task_spec.yaml": "fixed_files: [main.py, configs/]\nmodule_files: [guess.py]\n",
        "utils/task_information.yaml": "guess_prompt: Write guess().\n",
        "utils/baseline_scores.yaml": "losses.mse:\n  default: {A: 4.0, B: 9.0, C: 1.0}\n  objective: min\n",
        "utils/description.md": "Guess the numbers.\n",
        "utils/requirements.txt": "--index-url https://example.invalid\n\nnumpy  # not that it needs it\n",
        "templates/default/main.py": MAIN,
        "templates/default/configs/deep/one.yaml": "a: 1\n",
        "templates/default/base/guess.py": "def guess():\n    return 0\n",
        "templates/default/edit/guess.py": "def guess():\n    ...\n",
        "datasets/A/description.md": "Twos.\n",
        "datasets/A/make_dataset.py": MAKE_DATASET.replace("NUMBERS", "2, 2, 2"),
        "datasets/B/description.md": "Threes.\n",
        "datasets/B/make_dataset.py": MAKE_DATASET.replace("NUMBERS", "3, 3, 3"),
        "datasets/C/description.md": "Far away.\n",
        "datasets/C/make_dataset.py": "def download_dataset(dest_loc):\n    raise OSError('no network here')\n",
    }
    root = tmp_path / "guessing" / "domains" / "Guess"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "guessing"


def guess_task(**changes: object) -> dict[str, object]:
    return {
        "domain": "guessing/Guess",
        "modules": ["guess"],
        "meta_train": ["A"],
        "meta_test": ["B"],
        "start": "base",
        "scale": "full",
        "test_seeds": 1,
        **changes,
    }


@pytest.fixture
def env(discogen_pack: Path, tmp_path: Path) -> Iterator[DiscoGenEnv]:
    load_pack(discogen_pack)
    env = DiscoGenEnv(task=guess_task(), runs_dir=tmp_path / "runs")
    yield env
    env.close()


def test_a_native_pack_is_known_under_its_name(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    assert registry.load_pack(tmp_path / "mine") == ["mine/Toy"]
    assert get_domain("mine/Toy").name == "mine/Toy"
    assert "mine/Toy" in get_domains()


def test_files_and_texts_of_a_domain_without_an_examiner_are_checked(discogen_pack: Path) -> None:
    checks = check_domain(domain_of(discogen_pack / "domains" / "Guess"), raise_on_failure=False)
    assert {check.name: check.ok for check in checks} == {"names": True, "files": True, "texts": False, "configs": True}
    assert "description.md: 3 words, too few for an agent" in checks[2].detail


def test_packs_are_found_through_the_environment(discogen_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.VARIABLE, str(discogen_pack))
    assert registry.load_configured_packs() == ["guessing/Guess"]


def test_packs_are_found_through_installed_packages(discogen_pack: Path, install: Install) -> None:
    source = f"FOLDER = {str(discogen_pack)!r}\n\ndef toys():\n    return {str(TOY)!r}\n"
    points = {"guessing": "packs_of_a_package:FOLDER", "toy": "packs_of_a_package:toys"}
    install("more-domains", {"discoenv.packs": points}, files={"packs_of_a_package.py": source})
    assert registry.load_configured_packs() == ["guessing/Guess", "toy/Toy"]
    assert get_domain("toy/Toy").name == "toy/Toy"


def test_a_broken_pack_of_an_installed_package_breaks_no_other_domain(
    discogen_pack: Path, install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = f"FOLDER = {str(discogen_pack)!r}\nEMPTY = {str(tmp_path / 'nowhere')!r}\n"
    points = {"empty": "half_broken_packs:EMPTY", "guessing": "half_broken_packs:FOLDER", "lost": "no_such_package:X"}
    install("half-broken", {"discoenv.packs": points}, files={"half_broken_packs.py": source})
    assert "guessing/Guess" in get_domains()
    assert [record.getMessage().count("half-broken 1.2") for record in caplog.records] == [1, 1]
    with pytest.raises(EntryPointError, match=r"half-broken 1\.2 cannot be imported.*update half-broken"):
        get_domain("lost/Domain")
    with pytest.raises(
        EntryPointError, match=r"half-broken 1\.2 is no pack of domains \(.*nowhere.*update half-broken"
    ):
        get_domain("empty/Domain")
    with pytest.raises(UnknownName, match="did you mean 'guessing/Guess'"):
        get_domain("guessing/Gues")


def test_a_folder_without_domains_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=str(tmp_path)):
        registry.load_pack(tmp_path)


def test_a_discogen_domain_is_read(discogen_pack: Path) -> None:
    registry.load_pack(discogen_pack)
    domain = get_domain("guessing/Guess")
    assert domain.modules == ["guess"]
    assert domain.datasets == ["A", "B", "C"]
    assert domain.backends == ["default"]
    assert domain.specification.requirements == ["numpy"]
    assert domain.metric("A").direction == "min"
    assert domain.module_text("guess", backend="default", start="stub").endswith("...\n")
    assert set(domain.fixed_texts("A", backend="default")) == {"main.py", "configs/deep/one.yaml"}
    with pytest.raises(UnknownName, match="full"):
        domain.config("A", "tiny")


def test_published_baselines_are_used_and_the_floor_lies_one_baseline_away(discogen_pack: Path) -> None:
    registry.load_pack(discogen_pack)
    entry = baselines.entry(Setting(get_domain("guessing/Guess"), "default", "A", "full"))
    assert (entry.baseline.mean, entry.floor.mean) == (4.0, 8.0)
    assert entry.normalised(4.0, -1.0) == 1.0
    assert entry.normalised(0.0, -1.0) == 2.0


def test_an_episode_takes_what_main_prints_and_says_so(env: DiscoGenEnv) -> None:
    _, info = env.reset(seed=0)
    assert info["integrity"]["level"] == "self-reported"
    observation, _, _, _, info = env.step("run")
    assert each_exam(info["meta_train"]["A"], "metrics") == [{"losses.mse": 4.0}]
    assert observation["score"] == 1.0
    edit = {"path": "guess.py", "content": "def guess():\n    return 3\n"}
    _, reward, terminated, _, info = env.step({"edits": [edit], "command": "submit"})
    assert terminated
    assert info["meta_test"]["B"]["normalised"] == 2.0
    assert reward == pytest.approx(1 + math.log(2))
    assert each_exam(info["meta_test"]["B"], "metrics") == [{"losses.mse": 0.0}]


def test_a_failure_has_the_frames_of_the_task(env: DiscoGenEnv) -> None:
    env.reset(seed=0)
    edit = {"path": "guess.py", "content": "def guess():\n    raise ValueError('no idea')\n"}
    observation, reward, *_ = env.step({"edits": [edit], "command": "submit"})
    assert reward == -1.0
    assert "ValueError: no idea" in observation["text"]
    assert 'File "B/guess.py"' in observation["text"] or 'File "discovered/guess.py"' in observation["text"]


def test_printing_no_metric_is_a_scored_failure(env: DiscoGenEnv) -> None:
    env.reset(seed=0)
    source = "import os\ndef guess():\n    print('{}', flush=True)\n    os._exit(0)\n"
    _, reward, _, _, info = env.step({"edits": [{"path": "guess.py", "content": source}], "command": "submit"})
    assert reward == -1.0
    assert each_exam(info["meta_test"]["B"], "status") == ["protocol_error"]


def test_data_that_cannot_be_made_says_which_and_why(discogen_pack: Path) -> None:
    registry.load_pack(discogen_pack)
    with pytest.raises(DatasetUnavailable, match=r"guessing/Guess: the data of C .*(\n.*)*no network here"):
        get_domain("guessing/Guess").data("C")


def test_data_are_made_once(discogen_pack: Path) -> None:
    registry.load_pack(discogen_pack)
    domain = get_domain("guessing/Guess")
    first = domain.data("A")
    assert first is not None
    stamp = (first / "numbers.json").stat().st_mtime_ns
    assert domain.data("A") == first
    assert (first / "numbers.json").stat().st_mtime_ns == stamp


def real_discogen() -> Path | None:
    """The discogen package: unpacked at DISCOGEN_PACK, or installed."""
    if os.environ.get("DISCOGEN_PACK"):
        return Path(os.environ["DISCOGEN_PACK"])
    spec = importlib.util.find_spec("discogen")
    return Path(spec.origin).parent if spec and spec.origin else None


PUBLISHED = {"CO2": 62.411583, "CH4": 1026.526802, "N2O": 3.240422, "SF6": 0.673511}


@pytest.mark.skipif(real_discogen() is None, reason="needs the discogen package: set DISCOGEN_PACK to its folder")
class TestRealDiscogenPackage:
    @pytest.fixture
    def domains(self) -> list[Domain]:
        return [get_domain(name) for name in registry.load_pack(real_discogen() or Path())]

    def test_all_its_domains_are_read(self, domains: list[Domain]) -> None:
        assert len(domains) == 14
        for domain in domains:
            for dataset in domain.datasets:
                assert domain.metric(dataset).name
                assert domain.dataset_description(dataset)
            for module in domain.modules:
                assert domain.module_text(module, backend="default", start="stub")
                assert domain.prompt(module, backend="default")

    def test_the_published_scores_of_its_greenhouse_gas_baseline_come_out(self, tmp_path: Path) -> None:
        load_pack(real_discogen() or Path())
        env = DiscoGenEnv(
            task={
                "domain": "discogen/GreenhouseGasPrediction",
                "modules": ["model", "data_processing"],
                "meta_train": ["CO2", "CH4"],
                "meta_test": ["N2O", "SF6"],
                "start": "base",
                "scale": "full",
                "test_seeds": 1,
            },
            runs_dir=tmp_path,
        )
        try:
            env.reset(seed=0)
            trained = env.step("run")[4]["meta_train"]
            tested = env.step("submit")[4]["meta_test"]
        finally:
            env.close()
        measured = {name: record["exams"][0]["metrics"]["Test MSE"] for name, record in {**trained, **tested}.items()}
        assert measured == pytest.approx(PUBLISHED, rel=1e-6)


def test_a_created_task_keeps_its_data_in_the_folder_that_is_asked_for(discogen_pack: Path, tmp_path: Path) -> None:
    from discoenv import create_task

    registry.load_pack(discogen_pack)
    config = {"train_task_id": ["A"], "test_task_id": ["B"], "change_guess": True, "use_base": True}
    config["source_path"] = str(tmp_path / "work")
    workspace = create_task("guessing/Guess", config_dict=config, cache_root=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "cache" / "discoenv" / "data").exists()
    with Host() as host:
        result = host.run(workspace, ExamSpec(Setting(get_domain("guessing/Guess"), "default", "A", "full"), 0, 60.0))
    assert result.metrics == {"losses.mse": 4.0}
    assert not (tmp_path / "cache" / "discoenv" / "data").exists()
