"""Agents are named on the command line, and found by their import path."""

from __future__ import annotations

from pathlib import Path

import pytest

from discoenv.bench.agents import GROUP, Agent, parse_agents
from discoenv.errors import BenchError
from discoenv.machine import entry_points
from tests.conftest import Install


def test_reference_agents_go_by_short_names_and_options() -> None:
    agents = parse_agents(["baseline, random_search:steps=3,changes=2.5,scripted", "react:model=gpt-5-mini"])
    assert [agent.text for agent in agents] == [
        "baseline",
        "random_search:steps=3,changes=2.5",
        "scripted",
        "react:model=gpt-5-mini",
    ]
    assert agents[1].function == "discoenv.agents.registry:random_search"
    assert agents[1].options == {"steps": 3, "changes": 2.5}
    assert agents[3].options == {"model": "gpt-5-mini"}


def test_every_reference_agent_can_be_loaded() -> None:
    names = list(entry_points.find(GROUP))
    assert {"baseline", "unchanged", "scripted", "random_search", "evolve"} <= set(names)
    for name in names:
        options = ":model=m" if name in ("react", "best_of_n") else ""
        assert callable(Agent.parse(name + options).load())


def test_an_agent_of_an_installed_package_goes_by_its_name(install: Install) -> None:
    source = "def play(env, seed, *, depth=1):\n    return depth\n"
    install(
        "tree-search", {"discoenv.agents": {"tree_search": "tree_search_a:play"}}, files={"tree_search_a.py": source}
    )
    (agent,) = parse_agents(["tree_search:depth=4"])
    assert (agent.function, agent.options) == ("tree_search_a:play", {"depth": 4})
    assert agent.load()(None, 0) == 4
    with pytest.raises(BenchError, match="did you mean tree_search"):
        Agent.parse("tree_serch")


def test_a_broken_agent_of_an_installed_package_breaks_no_other(install: Install) -> None:
    install("tree-search", {"discoenv.agents": {"tree_search": "tree_search_b:play"}})
    assert callable(Agent.parse("baseline").load())
    agent = Agent.parse("tree_search")  # naming it imports nothing
    with pytest.raises(
        BenchError, match=r"'tree_search'.*tree-search 1\.2.*No module.*update tree-search, or uninstall"
    ):
        agent.load()


def test_an_agent_of_ones_own_goes_by_its_import_path() -> None:
    agent = Agent.parse("tests.bench.players:submitting:note=/tmp/x,sleep=0.5")
    assert agent.function == "tests.bench.players:submitting"
    assert agent.options == {"note": "/tmp/x", "sleep": 0.5}
    assert callable(agent.load())


def test_an_agent_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_agent.py").write_text("def play(env, seed): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert callable(Agent.parse("my_own_agent:play").load())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random_serch", "did you mean random_search"),
        ("random_search:steps", "'steps' is not an option key=value"),
        ("no_such_module_at_all:play", "cannot be imported"),
        ("tests.bench.players:missing", "cannot be imported"),
        ("tests.bench.players:NOT_A_FUNCTION", "is no function"),
        ("tests.bench.players:generating", "is a generator, which nothing runs"),
        ("tests.bench.players:Asynchronous", "is a class"),
        ("tests.bench.players:submitting:speed=3", "unexpected keyword argument 'speed'"),
        ("baseline:steps=3", "unexpected keyword argument 'steps'"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Agent.parse(text).load()


def test_there_must_be_agents_and_each_only_once() -> None:
    with pytest.raises(BenchError, match="no agent to compare"):
        parse_agents([" , "])
    with pytest.raises(BenchError, match="agent baseline is listed twice; to repeat it, raise --seeds"):
        parse_agents(["baseline,scripted", "baseline"])


def test_an_agent_whose_module_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_agent.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BenchError, match="failing_agent:play cannot be imported: RuntimeError: no licence"):
        Agent.parse("failing_agent:play").load()
