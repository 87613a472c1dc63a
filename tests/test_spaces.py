"""Actions come in many forms, are read strictly, and never crash the environment."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from discoenv.episodes.action import COMMANDS, Action, Edit, apply_edits, parse_action
from discoenv.errors import ActionError
from discoenv.spaces import Choice, DatasetNames, Files, UnicodeText, action_space, observation_space

FILES = {"loss.py": "a = 1\nb = 1\n", "optim.py": ""}


@pytest.mark.parametrize(
    ("sent", "parsed"),
    [
        ({}, Action()),
        ({"command": "submit"}, Action(command="submit")),
        ({"command": 0}, Action(command="edit")),
        ({"command": np.int64(2)}, Action(command="submit")),
        ("run", Action()),
        ("submit", Action(command="submit")),
        ('{"command": "edit"}', Action(command="edit")),
        ({"edits": None}, Action()),
        ({"edits": []}, Action()),
        ({"edits": ()}, Action()),
        ({"edits": ""}, Action()),
        ({"edits": {}}, Action()),
        ({"edits": {"path": "loss.py", "content": "x"}}, Action((Edit("loss.py", content="x"),))),
        ({"edits": [{"path": "loss.py", "content": ""}]}, Action((Edit("loss.py", content=""),))),
        ({"edits": [{"path": "a", "old": "x", "new": ""}]}, Action((Edit("a", old="x", new=""),))),
        (
            {"edits": ({"path": "a", "content": "c", "old": "", "new": ""},), "command": "run"},
            Action((Edit("a", content="c"),)),
        ),
        (
            {"edits": [{"path": "a", "content": "", "old": "x", "new": "y"}]},
            Action((Edit("a", old="x", new="y"),)),
        ),
        ({"edits": [{"path": "a", "content": None, "old": "x", "new": "y"}]}, Action((Edit("a", old="x", new="y"),))),
        (Action((Edit("a", old="x", new="y"),), "edit"), Action((Edit("a", old="x", new="y"),), "edit")),
        ({"edits": [Edit("a", content="c")]}, Action((Edit("a", content="c"),))),
        ('{"edits": [{"path": "a", "content": "c"}], "command": "edit"}', Action((Edit("a", content="c"),), "edit")),
        ({"datasets": ["B", "A", "B"]}, Action(datasets=("B", "A"))),
        ({"datasets": None, "command": "submit"}, Action(command="submit")),
        ({"datasets": (), "command": "edit"}, Action(command="edit")),
        (Action(datasets=("A",)), Action(datasets=("A",))),
    ],
)
def test_an_action_may_be_written_in_many_ways(sent: Any, parsed: Action) -> None:
    assert parse_action(sent) == parsed


def test_an_action_can_be_recorded_and_read_back() -> None:
    action = Action((Edit("a", content=""), Edit("b", old="x", new="")), "edit")
    assert parse_action(json.dumps(action.record())) == action
    assert parse_action(pickle.loads(pickle.dumps(action))) == action
    chosen = Action(datasets=("A", "B"))
    assert parse_action(json.dumps(chosen.record())) == chosen


def deep(count: int) -> Any:
    nested: Any = []
    for _ in range(count):
        nested = [nested]
    return nested


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (None, "the action is NoneType; expected"),
        (7, "the action is int; expected"),
        (b"run", "the action is bytes; expected"),
        (["run"], "the action is list; expected"),
        (np.zeros(3), "the action is ndarray; expected"),
        (deep(100_000), "the action is list; expected"),
        ("", "neither a command (edit, run, submit, history, compare) nor a JSON object: ''"),
        ("Run", "neither a command"),
        ("{", "neither a command"),
        ("[" * 100_000, "neither a command"),
        ('"run"', "the action is str; expected"),
        ("[1]", "the action is list; expected"),
        ("x" * 1000, "xxx..."),
        ({"comand": "run"}, "unknown keys 'comand'; known are edits, command, datasets, seeds, race and runs"),
        ({1: 2, "a": 3}, "unknown keys '1', 'a'"),
        ({"command": "stop"}, "command is 'stop'; it must be one of edit, run, submit"),
        ({"command": 5}, "command is 5"),
        ({"command": -1}, "command is -1"),
        ({"command": True}, "command is True"),
        ({"command": 1.0}, "command is 1.0"),
        ({"command": None}, "command is None"),
        ({"command": ["run"]}, "command is ['run']"),
        ({"command": np.array(["run", "edit"])}, "command is array("),
        ({"command": deep(100_000)}, "command is <list>"),
        ({"command": Unshowable()}, "command is <Unshowable>"),
        ({"datasets": "A"}, "datasets is str; expected a list of names"),
        ({"datasets": 3}, "datasets is int"),
        ({"datasets": ["A", 3]}, "datasets[1] is int; expected the name of a dataset"),
        ({"datasets": ["A"], "command": "submit"}, "datasets are chosen for run only; submit takes none"),
        ({"edits": "loss.py"}, "edits is str; expected a list of edits"),
        ({"edits": 5}, "edits is int"),
        ({"edits": False}, "edits is bool"),
        ({"edits": b"x"}, "edits is bytes"),
        ({"edits": np.array([1, 2])}, "edits[0] is int64"),
        ({"edits": ["loss.py"]}, "edits[0] is str"),
        ({"edits": [{"path": "a", "content": "b"}, None]}, "edits[1] is NoneType"),
        ({"edits": [{"content": "x"}]}, "edits[0] has no path"),
        ({"edits": [{"path": "a"}]}, "edits[0] has neither content nor old"),
        (
            {"edits": [{"path": "a", "text": "b"}]},
            "edits[0] has unknown keys 'text'; known are path, content, old, new",
        ),
        ({"edits": [{"path": "a", "content": b"b"}]}, "edits[0].content is bytes; files are text"),
        ({"edits": [{"path": 5, "content": "b"}]}, "edits[0].path is int"),
        ({"edits": [{"path": "a", "content": "b", "old": "c", "new": "d"}]}, "edits[0] has both content and old"),
        ({"edits": [{"path": "a", "old": "c"}]}, "edits[0] has old but no new"),
        ({"edits": [{"path": "a", "content": "x", "new": "d"}]}, "edits[0] has new but no old"),
        (Action(command="stop"), "command is 'stop'"),  # type: ignore[arg-type]
        (Action(edits=(Edit("a", content=b"b"),)), "edits[0].content is bytes"),  # type: ignore[arg-type]
        (Action(edits=(Edit(None, content="b"),)), "edits[0] has no path"),  # type: ignore[arg-type]
        (Action(edits=None), ""),  # type: ignore[arg-type]
    ],
)
def test_anything_else_is_refused_and_says_what_is_possible(sent: Any, message: str) -> None:
    if message == "":
        assert parse_action(sent) == Action()
        return
    with pytest.raises(ActionError) as caught:
        parse_action(sent)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_edits_are_made_in_order_and_leave_their_input_alone() -> None:
    before = dict(FILES)
    edits = [Edit("loss.py", old="a = 1", new="a = 2"), Edit("discovered/loss.py", old="a = 2", new="a = 3")]
    assert apply_edits(FILES, edits, 100) == {"loss.py": "a = 3\nb = 1\n", "optim.py": ""}
    assert before == FILES


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit("main.py", content=""), "'main.py' cannot be edited; the editable files are loss.py, optim.py"),
        (Edit("../loss.py", content=""), "'../loss.py' cannot be edited"),
        (Edit("/discovered/loss.py", content=""), "cannot be edited"),
        (Edit("discovered/../loss.py", content=""), "cannot be edited"),
        (Edit("discovered/discovered/loss.py", content=""), "cannot be edited"),
        (Edit("./loss.py", content=""), "cannot be edited"),
        (Edit("loss.py\0", content=""), "'loss.py\\x00' cannot be edited"),
        (Edit("loss", content=""), "cannot be edited"),
        (Edit("", content=""), "'' cannot be edited"),
        (Edit("\u202eyp.ssol", content=""), "'\\u202eyp.ssol' cannot be edited"),
        (Edit("x" * 10_000, content=""), "cannot be edited"),
        (Edit("loss.py", old="c", new=""), "loss.py: the text to replace does not occur: 'c'"),
        (
            Edit("loss.py", old="= 1", new=""),
            "loss.py: the text to replace occurs 2 times; add lines until it is unique",
        ),
        (
            Edit("optim.py", old="aa", new="b"),
            "optim.py: the text to replace occurs 2 times; add lines until it is unique",
        ),
        (Edit("loss.py", content="a\0b"), "loss.py: the new text holds a NUL character"),
        (Edit("loss.py", content="\ud800"), "loss.py: the new text holds a lone surrogate"),
        (Edit("loss.py", old="a", new="\udcff"), "loss.py: the new text holds a lone surrogate"),
        (Edit("loss.py", content="é" * 51), "loss.py: the new text has 102 bytes; the limit is 100"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused_with_all_others(edit: Edit, message: str) -> None:
    with pytest.raises(ActionError) as caught:
        apply_edits(FILES, [Edit("optim.py", content="aaa"), edit], 100)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    assert FILES["optim.py"] == ""


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("import math\nimport os.path\n", 2, "os"),
        ("def f():\n    from subprocess import run\n", 2, "subprocess"),
        ("import numpy, torch.nn\n", 1, "torch"),
    ],
)
def test_imports_that_a_domain_does_not_list_are_refused_with_their_line(text: str, line: int, name: str) -> None:
    with pytest.raises(ActionError) as caught:
        apply_edits(FILES, [Edit("loss.py", content=text)], 100, {"numpy", "networks"})
    assert f"loss.py, line {line}: {name!r} cannot be imported here. Modules may import networks, numpy" in str(
        caught.value
    )


def test_what_a_domain_lists_and_what_computes_may_be_imported() -> None:
    text = "from __future__ import annotations\nimport functools\nimport numpy.linalg\nfrom networks import Model\n"
    edits = [Edit("loss.py", content=text)]
    assert apply_edits(FILES, edits, 1000, {"numpy", "networks"})["loss.py"] == text
    with_os = FILES | {"optim.py": "import os\n"}  # a base module may import more than an agent's
    assert apply_edits(with_os, edits, 1000, {"numpy", "networks"})["optim.py"] == "import os\n"


def test_a_file_may_be_as_large_as_the_limit() -> None:
    assert apply_edits(FILES, [Edit("loss.py", content="é" * 50)], 100)["loss.py"] == "é" * 50


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["edits", "command", "path", "content", "old", "new", "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
EDITS = st.fixed_dictionaries(
    {"path": st.sampled_from(["loss.py", "discovered/optim.py", "main.py"])},
    optional={key: st.text(max_size=5) for key in ("content", "old", "new")},
)
ACTIONS = st.fixed_dictionaries(
    {}, optional={"edits": st.lists(EDITS, max_size=3), "command": st.sampled_from([*COMMANDS, "stop", 1])}
)


@given(ANYTHING | ACTIONS | ACTIONS.map(json.dumps) | ANYTHING.map(repr))
@settings(max_examples=500, deadline=None)
def test_any_input_is_an_action_or_an_action_error(sent: Any) -> None:
    try:
        action = parse_action(sent)
        files = apply_edits(FILES, action.edits, 1000)
    except ActionError as error:
        assert str(error).isprintable()
        return
    assert action.command in COMMANDS
    assert files.keys() == FILES.keys()
    assert parse_action(action.record()) == action


def test_two_hundred_samples_of_the_action_space_are_valid_and_read() -> None:
    space = action_space()
    space.seed(0)
    commands = set()
    for _ in range(200):
        sample = space.sample()
        assert space.contains(sample)
        commands.add(sample["command"])
        try:
            action = parse_action(sample)
        except ActionError as error:
            reasons = ("has both content and old", "has new but no old", "takes no edits")
            assert any(reason in str(error) for reason in reasons)
            continue
        assert action.command == sample["command"]
    assert commands == set(COMMANDS)


def test_samples_are_reproducible() -> None:
    first, second = action_space(), action_space()
    first.seed(3)
    second.seed(3)
    assert [first.sample() for _ in range(5)] == [second.sample() for _ in range(5)]


def test_the_observation_space_holds_what_the_environment_gives_and_nothing_else() -> None:
    space = observation_space(10)
    good = {
        "text": "Ünïcode \0",
        "files": {"loss.py": "x"},
        "score": np.array(-1e9),
        "steps_left": np.array(10, dtype=np.int64),
    }
    assert space.contains(good)
    for key, value in (
        ("text", "\ud800"),
        ("text", b"x"),
        ("files", {"loss.py": None}),
        ("files", [("loss.py", "")]),
        ("steps_left", np.array(11, dtype=np.int64)),
    ):
        assert not space.contains({**good, key: value})


@pytest.mark.parametrize(
    "space", [UnicodeText(), UnicodeText(5), Choice(COMMANDS), Files(), DatasetNames(), action_space()]
)
def test_spaces_can_be_compared_pickled_and_shown(space: spaces.Space[Any]) -> None:
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert space != spaces.Discrete(3)
    assert repr(again) == repr(space)
    assert space.contains(space.sample())


def test_texts_are_bounded() -> None:
    assert UnicodeText(5).contains("12345")
    assert not UnicodeText(5).contains("123456")
    assert UnicodeText(5) != UnicodeText(6)
    assert all(len(UnicodeText(5, seed=seed).sample()) <= 5 for seed in range(20))
