"""Every domain is what it must be, and the checks of a domain that is not say what is wrong and what to do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from discoenv.errors import DomainError, UnknownName
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import registry
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domains
from discoenv.testing import DomainCheck, check_domain, domain_of
from tests.conftest import TOY, MakeVariant

Change = Callable[[dict[str, Any]], object]

# --- the domains ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", get_domains())
def test_a_domain_is_what_every_domain_must_be(name: str, sandbox: Sandbox) -> None:
    checks = check_domain(name, sandbox=sandbox, exams=False)
    assert [check.name for check in checks if not check.ok] == []
    assert checks[-1].name == "imports"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", get_domains())
def test_base_modules_of_a_domain_pass_their_exams_and_stubs_do_not(name: str, sandbox: Sandbox) -> None:
    checks = check_domain(name, sandbox=sandbox)
    assert [check.name for check in checks][-2:] == ["exams", "stub exams"]
    assert all(check.ok for check in checks)


# --- what is found ----------------------------------------------------------------------------------------------------


def problems(domain: Domain, sandbox: Sandbox, **settings: Any) -> dict[str, DomainCheck]:
    """The checks that did not simply pass, by name."""
    done = check_domain(domain, sandbox=sandbox, raise_on_failure=False, **({"exams": False} | settings))
    return {check.name: check for check in done if check.state != "passed"}


def set_keys(**keys: Any) -> Change:
    return lambda content: content.update(keys)


def drop(*keys: str) -> Change:
    return lambda content: [content.pop(key) for key in keys]


def set_in(section: str, key: str, value: Any) -> Change:
    return lambda content: content[section].update({key: value})


MODEL = (TOY / "Toy" / "templates" / "default" / "model.py").read_text()
FEATURES = (TOY / "Toy" / "templates" / "default" / "features.py").read_text()
EXAMINER = (TOY / "Toy" / "examiner.py").read_text()
BASELINES = (TOY / "Toy" / "baselines.json").read_text()
CONFIG = "datasets/Line/config.yaml"

FAULTS: list[tuple[str, str, Change | None, Mapping[str, str | None]]] = [
    ("names", "'toy_2' is not in CamelCase", None, {}),
    ("names", "modules.exam: exam.py is a fixed file", set_in("modules", "exam", {"prompt": "Write all. " * 9}), {
        "templates/default/exam.py": FEATURES}),
    ("names", "other_metrics: r2 is the metric", set_keys(other_metrics={"r2": "the same once more"}), {}),
    ("files", "templates/default/old.py: it is no module and no fixed file", None, {"templates/default/old.py": ""}),
    ("files", "templates/fast: backends of domain.yaml has no such name", None, {"templates/fast/model.py": MODEL}),
    ("files", "datasets/Cubic: datasets of domain.yaml has no such name", None, {
        "datasets/Cubic/config.yaml": "tiny: {}"}),
    ("texts", "description.md: 2 words, too few", None, {"description.md": "A domain."}),
    ("texts", "prompt of model, backend default: it is unfinished (TODO)", set_in(
        "modules", "model", {"prompt": "TODO: say what the module is to do, and what its arguments are"}), {}),
    ("texts", "datasets/Wave/description.md: 1 word, too few", None, {"datasets/Wave/description.md": "Waves"}),
    ("texts", "contract: it does not say what the examiner asks", set_keys(contract={}), {}),
    ("configs", f"{CONFIG}: tiny lacks depth, which other scales have", None, {
        CONFIG: "all: {n: 9, noise: 0.1}\ntiny: {held_out: 4}\nsmall: {held_out: 8, depth: 2}"}),
    ("configs", "there is no scale 'small'", None, {CONFIG: "tiny: {n: 128, noise: 0.1, held_out: 64}"}),
    ("stubs", "features.py, backend default: features.py: nothing is marked", None, {
        "templates/default/features.py": FEATURES.replace("# <solution>", "").replace("# </solution>", "")}),
    ("stubs", "features.py, backend default: features has no docstring", None, {
        "templates/default/features.py": FEATURES.replace('"""Features float64[N, D] of inputs float64[N]."""', "")}),
    ("workspace", "default: Line/interval.py: it is examiner.py, which the learner must not see", None, {
        "datasets/Line/interval.py": EXAMINER}),
    ("workspace", "Line/interval.py: it holds the solution of model.py", None, {
        "datasets/Line/interval.py": "LOW, HIGH = -1, 1\n" + MODEL}),
    ("workspace", "Line/interval.py: it imports discoenv, which no learner can", None, {
        "datasets/Line/interval.py": "LOW, HIGH = -1, 1\nimport discoenv.exams\n"}),
    ("candidates", "candidates/03_new/modle.py: the domain has no module modle", None, {
        "candidates/03_new/modle.py": MODEL}),
    ("candidates", "candidates/03_new/model.py: not valid Python: line 1", None, {
        "candidates/03_new/model.py": "class Model\n"}),
    ("ladder", "ladder/model/huber.py: not valid Python: line 1", None, {
        "ladder/model/huber.py": "def :",
    }),
    ("ladder", "ladder/model/huber.py: it imports discoenv", None, {"ladder/model/huber.py": "import discoenv\n"}),
    ("candidates", "candidates/03_new: there is no module in it", None, {"candidates/03_new/README.md": "Empty."}),
    ("candidates", "candidates/03_new/model.py: it imports discoenv", None, {
        "candidates/03_new/model.py": f"from discoenv.env import DiscoGenEnv\n{MODEL}"}),
    ("baselines", "default:Line:tiny was measured for version 1; domain.yaml has 2", set_keys(version=2), {}),
    ("baselines", "default:Wave:tiny is missing", None, {
        "baselines.json": BASELINES.replace("Wave:tiny", "Wave:full")}),
    ("baselines", "default:Curve:tiny: the domain has no such", None, {
        "baselines.json": BASELINES.replace("Wave:tiny", "Curve:tiny")}),
    ("baselines", "default:Line:tiny is of accuracy, not r2", None, {
        "baselines.json": BASELINES.replace('"metric": "r2"', '"metric": "accuracy"')}),
    ("lists", "quick: Wave has to be downloaded", set_in("datasets", "Wave", {"source": "download"}), {}),
    ("lists", "quick: Wave has no baseline at scale tiny", None, {
        "baselines.json": BASELINES.replace("Wave:tiny", "Wave:full")}),
    ("lists", "discobench: Noise has no baseline at scale small", set_keys(
        discobench={"meta_train": ["Line"], "meta_test": ["Noise"], "example": ["model"]}), {
        "baselines.json": BASELINES.replace("Noise:small", "Noise:full")}),
    ("packages", "requirements: no-such-package is not installed", set_keys(
        requirements=["numpy", "no-such-package"]), {}),
    ("imports", "backend default, base: importing interval.py raises ZeroDivisionError", None, {
        "datasets/Line/interval.py": "LOW, HIGH = -1, 1 / 0\n"}),
    ("imports", "importing model.py raises ModuleNotFoundError: No module named 'no_such_module'", None, {
        "templates/default/model.py": f"import no_such_module\n{MODEL}"}),
]  # fmt: skip


@pytest.mark.parametrize(("check", "message", "change", "files"), FAULTS, ids=[fault[1] for fault in FAULTS])
def test_what_is_wrong_is_found_and_named(
    check: str,
    message: str,
    change: Change | None,
    files: Mapping[str, str | None],
    make_variant: MakeVariant,
    sandbox: Sandbox,
) -> None:
    domain = make_variant("toy_2" if "toy_2" in message else "Variant", change=change, files=files)
    found = problems(domain, sandbox)
    assert message in found[check].detail
    assert found[check].state == "failed"
    assert found[check].fix


def test_what_deserves_a_look_is_a_warning_unless_asked_otherwise(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    domain = make_variant(change=drop("quick"))
    shutil.rmtree(domain.directory / "candidates")
    found = problems(domain, sandbox)
    assert {name: check.state for name, check in found.items()} == dict.fromkeys(
        ("breadth", "candidates", "lists"), "warning"
    )
    assert "2 modules; a domain has four to seven" in found["breadth"].detail
    assert "quick: it is missing" in found["lists"].detail
    assert "discobench: it is missing" in found["lists"].detail
    assert {check.state for check in problems(domain, sandbox, strict=True).values()} == {"failed"}
    with pytest.raises(DomainError, match=r"Variant fails 3 of 14 checks\n\nbreadth: 2 modules.*\n.*\n→ add some"):
        check_domain(domain, sandbox=sandbox, exams=False, strict=True)


def test_baselines_that_are_close_to_the_floor_are_counted_in_standard_errors(toy: Domain, sandbox: Sandbox) -> None:
    assert "baselines" not in problems(toy, sandbox)
    found = problems(toy, sandbox, least_errors=1e6)["baselines"]
    assert found.state == "warning"
    assert "default:Line:tiny: the baseline is better than the floor by" in found.detail


def test_a_base_module_that_is_not_the_measured_one_is_a_warning(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    model = MODEL.replace("RIDGE = 1e-3", "RIDGE = 1e-3 + 0.0")
    found = problems(make_variant(files={"templates/default/model.py": model}), sandbox)["baselines"]
    assert found.state == "warning"
    assert "default:Line:tiny was measured with another model.py" in found.detail


def test_a_baseline_below_the_floor_is_a_warning(make_variant: MakeVariant, sandbox: Sandbox) -> None:
    def change(content: dict[str, Any]) -> None:
        content["metric"]["direction"] = "min"
        del content["metric"]["upper"]

    found = problems(make_variant(change=change), sandbox)["baselines"]
    assert found.state == "warning"
    assert re.search(r"the baseline \(0\.9\d+\) is not better than the floor \(-0\.0\d+\)", found.detail)


EXAM_FAULTS: list[tuple[str, str, Change | None, Mapping[str, str | None]]] = [
    ("exams", "Line: error: ZeroDivisionError: division by zero", None, {
        "templates/default/model.py": MODEL.replace("return phi @", "1 / 0\n        return phi @")}),
    ("exams", "Line: mse: the metrics of domain.yaml have no such name", set_keys(
        other_metrics={"mae": "mean absolute error"}), {}),
    ("exams", "Wave: examine() and floor() do not have the same metrics: mse", None, {
        "examiner.py": EXAMINER.replace("return self._metrics(np.full", 'return {"r2": 0.0} or (np.full')}),
    ("exams", "NameError: name 'nothing' is not defined", None, {
        "examiner.py": EXAMINER.replace("x, y = self._held_out(seed)\n        parts", "nothing\n        parts")}),
    ("exams", "gives r2 0.", set_in("metric", "upper", 0.5), {}),
    ("stub exams", "features.py: the exam is passed with its stub, so nothing calls it", None, {
        "templates/default/main.py": (TOY / "Toy/templates/default/main.py").read_text().replace(
            "from features import features", "features = lambda x: np.stack([x**0, x], axis=1)")}),
    ("stub exams", "model.py: with its stub, the exam ends by error: RuntimeError: no model", None, {
        "templates/default/main.py": (TOY / "Toy/templates/default/main.py").read_text().replace(
            '    model.fit(features(data["x"]), data["y"], rng)',
            '    try:\n        model.fit(features(data["x"]), data["y"], rng)\n'
            '    except NotImplementedError:\n        raise RuntimeError("no model") from None')}),
]  # fmt: skip


@pytest.mark.parametrize(("check", "message", "change", "files"), EXAM_FAULTS, ids=[fault[1] for fault in EXAM_FAULTS])
def test_what_is_wrong_in_an_exam_is_found_and_named(
    check: str,
    message: str,
    change: Change | None,
    files: Mapping[str, str | None],
    make_variant: MakeVariant,
    sandbox: Sandbox,
) -> None:
    found = problems(make_variant(change=change, files=files), sandbox, baselines=False, exams=True)
    assert message in found[check].detail
    assert found[check].state == "failed"


# --- names and folders ------------------------------------------------------------------------------------------------


def test_checks_are_reported_one_by_one_and_returned(toy: Domain, sandbox: Sandbox) -> None:
    seen: list[DomainCheck] = []
    done = check_domain("Toy", sandbox=sandbox, on_check=seen.append)
    assert seen == done
    assert all(check.ok for check in done)
    assert [check.name for check in check_domain(toy, sandbox=sandbox, exams=False, baselines=False)] == [
        check.name for check in done if check.name not in {"baselines", "lists", "exams", "stub exams"}
    ]
    with pytest.raises(UnknownName, match="no domain is called 'Toi'; did you mean 'Toy'"):
        check_domain("Toi", sandbox=sandbox)


def test_the_domain_of_a_folder(
    toy: Domain, copy_of_toy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    assert domain_of(toy.directory) is toy
    folder = copy_of_toy("Toy")
    found = domain_of(folder)
    assert found.name == f"{folder.parent.name}/Toy"
    assert found is domain_of(folder)
    with pytest.raises(DomainError, match=r"datasets/Line: it holds no domain; `discoenv new-domain`|neither it nor"):
        domain_of(folder / "datasets" / "Line")


def test_a_domain_object_that_is_not_known_is_checked_under_its_name(
    toy: Domain, copy_of_toy: Callable[[str], Path], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    folder = copy_of_toy("Other")
    (folder / "domain.yaml").write_text((folder / "domain.yaml").read_text().replace("name: Toy", "name: Other"))
    checks = check_domain(Domain(folder), sandbox=sandbox)
    assert all(check.ok for check in checks)
