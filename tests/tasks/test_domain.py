"""A domain's files are read strictly: every fault names the file and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.errors import DatasetUnavailable, DomainError, UnknownName
from discoenv.tasks import registry as domains
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.sampling import available_datasets
from tests.conftest import MakeVariant

Change = Callable[[dict[str, Any]], object]
BENCH = {"meta_train": ["Line"], "meta_test": ["Wave"], "example": ["model"]}
QUICK = {"module": "model", "meta_train": "Line", "meta_test": "Wave"}


def changed(folder: Path, change: Change) -> Path:
    path = folder / "domain.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    return folder


def test_a_domain_knows_its_parts_in_the_order_of_its_file(toy: Domain) -> None:
    assert (toy.name, toy.version) == ("Toy", 1)
    assert toy.modules == ["model", "features"]
    assert toy.datasets == ["Line", "Wave", "Steps", "Noise"]
    assert toy.backends == ["default"]
    assert toy.specification.metric.sign == 1.0
    assert toy.description().endswith("at other points.\n")
    assert "sine" in toy.dataset_description("Wave")
    assert "features(x)" in toy.prompt("features", backend="default")


def test_config_is_the_common_part_updated_by_the_scale(toy: Domain) -> None:
    assert toy.config("Line", "tiny") == {"n": 128, "noise": 0.1, "held_out": 64}
    assert toy.config("Line", "small") == {"n": 256, "noise": 0.1, "held_out": 256}
    assert toy.scales("Line") == ["tiny", "small", "full"]
    assert toy.scales("Wave") == ["tiny", "small"]


def test_a_config_that_is_changed_by_its_user_does_not_change_for_others(toy: Domain) -> None:
    toy.config("Line", "tiny")["n"] = 0
    assert toy.config("Line", "tiny")["n"] == 128


@pytest.mark.parametrize("scale", ["all", "tinny", "full"])
def test_a_scale_that_a_dataset_lacks_is_unknown(toy: Domain, scale: str) -> None:
    with pytest.raises(UnknownName, match=rf"no scale is called '{scale}' in .*Wave/config\.yaml"):
        toy.config("Wave", scale)


def test_unknown_names_come_with_a_suggestion(toy: Domain) -> None:
    with pytest.raises(UnknownName, match="no domain is called 'Tyo'; did you mean 'Toy'"):
        get_domain("Tyo")
    with pytest.raises(UnknownName, match="no dataset is called 'Waves' in Toy; did you mean 'Wave'"):
        toy.require(dataset="Waves")
    with pytest.raises(UnknownName, match="no module is called 'optimiser' in Toy; known are model, features"):
        toy.require(module="optimiser")
    with pytest.raises(UnknownName, match="no backend is called 'jax' in Toy; known are default"):
        toy.require(backend="jax")
    toy.require(dataset="Wave", module="model", backend="default")


def test_a_domain_is_found_by_its_file_and_read_once(toy: Domain) -> None:
    assert get_domains() == ["Toy"]
    assert get_domain("Toy") is toy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(colour="red"), "domain.yaml: colour: Extra inputs are not permitted"),
        (lambda c: c["metric"].update(best=1), "domain.yaml: metric.best: Extra inputs are not permitted"),
        (lambda c: c.pop("metric"), "domain.yaml: metric: Field required"),
        (lambda c: c.update(version="new"), "domain.yaml: version: Input should be a valid integer"),
        (lambda c: c.update(version=0), "domain.yaml: version: Input should be greater than or equal to 1"),
        (lambda c: c.update(modules={}), "domain.yaml: modules: Dictionary should have at least 1 item"),
        (lambda c: c.update(modules=None), "domain.yaml: modules: Input should be a valid dictionary"),
        (lambda c: c["modules"].update({"a-b": {"prompt": ""}}), "domain.yaml: modules.a-b.[key]: String should match"),
        (lambda c: c["metric"].update(direction="up"), "domain.yaml: metric.direction: Input should be 'max' or 'min'"),
        (lambda c: c["datasets"].update(Line={"source": "web"}), "domain.yaml: datasets.Line.source: Input should be"),
        (lambda c: c.update(datasets={"Line": {"source": "offline"}}), "domain.yaml: datasets: Dictionary should have"),
        (
            lambda c: c["datasets"].update(Line={"source": "download", "data": "mnits"}),
            "domain.yaml: datasets.Line.data.0: Value error, there is no published set 'mnits'; there are mnist, ",
        ),
        (
            lambda c: c["datasets"].update(Line={"source": "download", "data": ["mnist", "fashion_mnist"]}),
            "domain.yaml: datasets.Line: Value error, data, files: t10k-images-idx3-ubyte.gz, t10k-labels",
        ),
        (
            lambda c: c["datasets"].update(Line={"source": "offline", "data": "mnist"}),
            "source: it is 'offline', but data or files have to be fetched; write 'download'",
        ),
        (lambda c: c.update(backends={"jax": {"summary": "x"}}), "there is no backend 'default'"),
        (lambda c: c.update(fixed_files=["interval.py"]), "fixed_files: main.py is missing"),
        (lambda c: c["fixed_files"].append("model.py"), "fixed_files: model.py is a module as well"),
        (
            lambda c: c["backends"]["default"].update(prompts={"loss": "?"}),
            "backends.default.prompts: no module is called loss",
        ),
        (lambda c: c["datasets"].update({"../Line": {"source": "offline"}}), "'../Line' is not a relative path"),
        (lambda c: c["datasets"].update({"/Line": {"source": "offline"}}), "'/Line' is not a relative path"),
        (lambda c: c["datasets"].update({"A/../B": {"source": "offline"}}), "'A/../B' is not a relative path"),
        (lambda c: c["datasets"].update({"A\n": {"source": "offline"}}), "is not a relative path"),
        (
            lambda c: c["datasets"].update({"Far": {"source": "offline"}}),
            "datasets/Far/description.md: the file is",
        ),
        (lambda c: c["modules"].update(loss={"prompt": "?"}), "templates/default/loss.py: the file is missing"),
        (lambda c: c["fixed_files"].append("extra.py"), "extra.py is in none of"),
        (lambda c: c.update(discobench=BENCH | {"colour": 1}), "domain.yaml: discobench.colour: Extra inputs"),
        (lambda c: c.update(discobench=BENCH | {"meta_test": []}), "domain.yaml: discobench.meta_test: Tuple should"),
        (
            lambda c: c.update(discobench=BENCH | {"meta_train": ["Lime"]}),
            "discobench.meta_train: no dataset is called 'Lime'",
        ),
        (
            lambda c: c.update(discobench=BENCH | {"meta_test": ["Line"]}),
            "discobench.meta_test: Line is in discobench.meta_train too",
        ),
        (
            lambda c: c.update(discobench=BENCH | {"meta_test": ["Wave", "Wave"]}),
            "discobench.meta_test: Wave is listed twice",
        ),
        (
            lambda c: c.update(discobench=BENCH | {"example": ["loss"]}),
            "discobench.example: no module is called 'loss'",
        ),
        (
            lambda c: c.update(discobench=BENCH, modules=c["modules"] | {"all": {"prompt": ""}}),
            "modules: 'all' names a DiscoBench task",
        ),
        (lambda c: c.update(quick=QUICK | {"module": "loss"}), "quick.module: no module is called 'loss'"),
        (lambda c: c.update(quick=QUICK | {"meta_test": "Lime"}), "quick.meta_test: no dataset is called 'Lime'"),
        (lambda c: c.update(quick=QUICK | {"meta_test": "Line"}), "quick.meta_test: Line is in quick.meta_train too"),
        (lambda c: c.update(quick={"module": "model"}), "domain.yaml: quick.meta_train: Field required"),
        (lambda c: c.update(name="Other"), "domain.yaml: name: 'Other' is not the folder's name"),
    ],
)
def test_a_fault_in_domain_yaml_names_the_file_and_the_key(
    copy_of_toy: Callable[[], Path], change: Change, message: str
) -> None:
    folder = changed(copy_of_toy(), change)
    with pytest.raises(DomainError) as caught:
        Domain(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_that_begins_with_an_underscore_is_no_domain(make_variant: MakeVariant) -> None:
    folder = make_variant("Variant").directory
    folder.rename(folder.with_name("_template"))
    domains._known.cache_clear()
    assert get_domains() == []
    with pytest.raises(DomainError, match="holds domains"):
        domains.load_pack(folder.parent)


def test_all_faults_are_reported_at_once(copy_of_toy: Callable[[], Path]) -> None:
    folder = changed(copy_of_toy(), lambda c: c.update(colour="red", version=None))
    with pytest.raises(DomainError) as caught:
        Domain(folder)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "name", ["description.md", "examiner.py", "datasets/Wave/config.yaml", "datasets/Wave/description.md"]
)
def test_a_missing_file_is_named(copy_of_toy: Callable[[], Path], name: str) -> None:
    folder = copy_of_toy()
    (folder / name).unlink()
    with pytest.raises(DomainError) as caught:
        Domain(folder)
    assert str(caught.value).startswith(f"{folder / name}: the file is missing")


def test_a_missing_domain_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r"domain\.yaml: the file is missing"):
        Domain(tmp_path)


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\x00", b"a: \x00", b"- a\n- b\n", b"", b"5"])
def test_what_is_not_a_yaml_mapping_is_refused(copy_of_toy: Callable[[], Path], content: bytes) -> None:
    folder = copy_of_toy()
    (folder / "domain.yaml").write_bytes(content)
    with pytest.raises(DomainError, match=r"domain\.yaml: "):
        Domain(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"tiny: [", "not valid YAML"),
        (b"\xff\xfe", "not valid YAML"),
        (b"- tiny", "the keys must be"),
        (b"all: {n: 1}", "the keys must be"),
        (b"tiny: {n: 1}\nhuge: {n: 2}", "the keys must be"),
        (b"tiny: 5", "tiny: must be a mapping"),
        (b"all:\ntiny: {n: 1}", "all: must be a mapping"),
    ],
)
def test_a_faulty_config_yaml_is_named(copy_of_toy: Callable[[], Path], text: bytes, message: str) -> None:
    folder = copy_of_toy()
    path = folder / "datasets" / "Wave" / "config.yaml"
    path.write_bytes(text)
    domain = Domain(folder)
    with pytest.raises(DomainError) as caught:
        domain.config("Wave", "tiny")
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_backends_own_files_come_before_the_default_ones(make_variant: MakeVariant) -> None:
    domain = make_variant(
        change=lambda c: c["backends"].update(other={"summary": "Other.", "prompts": {"model": "Write it otherwise."}}),
        files={"templates/other/model.py": "# other\n", "templates/other/main.py": "# other main\n"},
    )
    assert domain.module_source("model", backend="other") == "# other\n"
    assert domain.module_source("features", backend="other") == domain.module_source("features", backend="default")
    assert domain.file("main.py", dataset="Line", backend="other").parent.name == "other"
    assert domain.file("main.py", dataset="Line", backend="default").parent.name == "default"
    assert domain.file("interval.py", dataset="Line", backend="other").parent.name == "Line"
    assert domain.prompt("model", backend="other") == "Write it otherwise."
    assert domain.prompt("features", backend="other") == domain.prompt("features", backend="default")


def test_a_file_that_no_template_holds_is_named_with_the_places_searched(toy: Domain) -> None:
    with pytest.raises(DomainError, match=r"loss\.py is in none of .*datasets/Line, .*templates/default"):
        toy.file("loss.py", dataset="Line", backend="default")


def test_a_backend_has_the_files_and_prompts_of_the_one_that_it_inherits(make_variant: MakeVariant) -> None:
    def change(content: dict[str, Any]) -> None:
        content["backends"]["parent"] = {"summary": "x", "prompts": {"model": "write a parent"}}
        content["backends"]["child"] = {"summary": "y", "inherits": "parent"}

    files = {"templates/parent/features.py": "parent = 1\n", "templates/child/main.py": "child = 1\n"}
    domain = make_variant(change=change, files=files)
    assert domain.module_source("features", backend="child") == "parent = 1\n"
    assert domain.module_source("model", backend="child") == domain.module_source("model", backend="default")
    assert domain.file("main.py", dataset="Line", backend="child").read_text() == "child = 1\n"
    assert domain.prompt("model", backend="child") == "write a parent"
    assert domain.prompt("features", backend="child") == domain.prompt("features", backend="default")


@pytest.mark.parametrize("inherits", ["nothing", "child"])
def test_a_backend_inherits_from_one_that_exists_and_inherits_from_none(
    copy_of_toy: Callable[[], Path], inherits: str
) -> None:
    folder = copy_of_toy()
    content = yaml.safe_load((folder / "domain.yaml").read_text())
    content["backends"]["child"] = {"summary": "y", "inherits": inherits}
    (folder / "domain.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(DomainError, match=rf"backends.child.inherits: '{inherits}' is not a backend on top of default"):
        Domain(folder)


def test_a_dataset_whose_packages_are_missing_is_not_available_and_says_what_to_install(
    make_variant: MakeVariant,
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["datasets"]["Wave"]["requires"] = ["numpy", "a_package_that_nobody_has"]
        content["datasets"]["Line"]["requires"] = ["numpy"]

    domain = make_variant(change=change)
    assert "Wave" not in available_datasets(domain, "tiny")
    assert "Line" in available_datasets(domain, "tiny")
    with pytest.raises(DatasetUnavailable, match=r"Wave needs a_package_that_nobody_has.* pip install 'discoenv\["):
        domain.data("Wave")
