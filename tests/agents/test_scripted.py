"""The scripted agent plays whole episodes, and is better than the baseline on datasets it never saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from discoenv.agents import scripted
from discoenv.tasks import registry
from discoenv.tasks.registry import get_domain, get_domains
from tests.conftest import MakeVariant


@pytest.mark.parametrize("domain", get_domains())
def test_every_file_of_a_candidate_is_a_module(domain: str) -> None:
    found = get_domain(domain)
    for name, modules in found.candidates().items():
        assert modules
        assert {file.removesuffix(".py") for file in modules} <= set(found.modules), name


def test_the_best_candidate_on_meta_train_is_submitted() -> None:
    agent = scripted.ScriptedAgent("GreenhouseGasPrediction")
    files = {"model.py": "", "data_processing.py": ""}
    scores = [0.2, 0.9, 0.1, 0.3][: len(agent.names)]
    action = agent.act({"files": files, "steps_left": 9}, {})
    for score in scores:
        assert action["command"] == "run"
        action = agent.act({"files": files, "steps_left": 9}, {"score": score, "meta_train_reward": score})
    assert action["command"] == "submit"
    assert agent.names[agent.best] == agent.names[1]


def test_costs_decide_where_costs_count_and_of_equal_candidates_the_first() -> None:
    agent = scripted.ScriptedAgent("GreenhouseGasPrediction")
    info: dict[str, float] = {}
    for score, reward in [(0.5, 2.0), (0.9, 1.0), (0.5, 2.0)]:
        agent.act({"files": {}, "steps_left": 9}, info)
        info = {"score": score, "meta_train_reward": reward}
    agent.act({"files": {}, "steps_left": 1}, info)
    assert agent.best == 0


def test_the_last_action_is_always_a_submission() -> None:
    agent = scripted.ScriptedAgent("GreenhouseGasPrediction")
    files = {"model.py": ""}
    assert agent.act({"files": files, "steps_left": 2}, {})["command"] == "run"
    scores = {"score": 0.5, "meta_train_reward": 0.5}
    assert agent.act({"files": files, "steps_left": 1}, scores)["command"] == "submit"


def test_a_module_that_a_candidate_lacks_is_the_baselines() -> None:
    agent = scripted.ScriptedAgent("OnPolicyRL")
    action = agent.act({"files": {"activation.py": ""}, "steps_left": 9}, {})
    base = get_domain("OnPolicyRL").module_text("activation", backend="default", start="base")
    assert action["edits"] == [{"path": "activation.py", "content": base}]


def test_no_candidates_is_an_error_that_says_where_to_put_them(make_variant: MakeVariant, tmp_path: Path) -> None:
    make_variant("Variant")
    shutil.rmtree(get_domain("Variant").directory / "candidates", ignore_errors=True)
    with pytest.raises(
        LookupError, match=r"no candidates for Variant: put folders of modules into .*/Variant/candidates/"
    ):
        scripted.ScriptedAgent("Variant")
    with pytest.raises(LookupError, match=f"into {tmp_path}/Variant/"):
        scripted.ScriptedAgent("Variant", tmp_path)


def test_a_domain_finds_its_candidates_in_packs_too(
    make_variant: MakeVariant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {"02_b/model.py": "b = 1\n", "00_a/features.py": "a = 1\n", "README.md": ""}
    folder = make_variant(
        "Variant", files={f"candidates/{path}": text for path, text in files.items()}
    ).directory.parent
    monkeypatch.setattr(registry, "_registered", {})
    registry.load_pack(folder.rename(folder.with_name("mine")))
    names = scripted.ScriptedAgent("mine/Variant").names
    assert (names[0], "02_b" in names) == ("00_a", True)
    assert get_domain("mine/Variant").candidates()["02_b"] == {"model.py": "b = 1\n"}
