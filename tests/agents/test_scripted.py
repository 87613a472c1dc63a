"""The scripted agent plays whole episodes, and is better than the baseline on datasets it never saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from discoenv.agents import scripted
from discoenv.tasks.registry import get_domain, get_domains
from tests.conftest import MakeVariant


@pytest.mark.parametrize("domain", get_domains())
def test_every_file_of_a_candidate_is_a_module(domain: str) -> None:
    for candidate in (path for path in sorted(scripted.candidates_of(domain).iterdir()) if path.is_dir()):
        files = {path.stem for path in candidate.glob("*.py")}
        assert files
        assert files <= set(get_domain(domain).modules), candidate


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
    domain = make_variant("Bare")
    shutil.rmtree(domain.directory / "candidates", ignore_errors=True)
    with pytest.raises(LookupError, match=f"put folders of modules into {domain.directory}/candidates/"):
        scripted.ScriptedAgent("Bare")
    with pytest.raises(LookupError, match=f"put folders of modules into {tmp_path}/Bare/"):
        scripted.ScriptedAgent("Bare", tmp_path)
    with pytest.raises(LookupError, match="no domain is called 'Nowhere'"):
        scripted.ScriptedAgent("Nowhere")


def test_candidates_are_those_of_the_domains_folder(make_variant: MakeVariant) -> None:
    domain = make_variant("Rich", files={f"candidates/{name}/model.py": name for name in ("02_b", "01_a")})
    assert scripted.candidates_of("Rich") == domain.directory / "candidates"
    agent = scripted.ScriptedAgent("Rich")
    assert agent.names == ["01_a", "02_b"]
    action = agent.act({"files": {"model.py": ""}, "score": 0.0, "steps_left": 9}, {})
    assert action["edits"] == [{"path": "model.py", "content": "01_a"}]
