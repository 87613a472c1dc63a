"""Tools: schemas that others accept, calls that never raise, edits that are free until they are run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discoenv.episodes.transcript import read_calls
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from discoenv.tools import TOOLS, ToolSession
from tests.conftest import POLYNOMIAL_FEATURES, MakeSession


@pytest.fixture
def session(make_session: MakeSession) -> ToolSession:
    """One session for many calls."""
    return make_session()


# ---- what tools there are


def test_schemas_are_plain_json_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for tool in TOOLS:
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
        assert tool.parameters["type"] == "object"
        for name, argument in tool.parameters["properties"].items():
            assert argument["type"] in {"string", "integer", "boolean", "array"}, (
                name
            )  # no anyOf, $ref: some servers know neither
            assert argument["description"]
        assert json.loads(json.dumps(tool.openai()))["function"]["name"] == tool.name
        assert json.loads(json.dumps(tool.mcp()))["inputSchema"] == tool.parameters
        assert len(tool.description) < 200


def test_the_tools_are_those_of_the_documentation() -> None:
    names = ["list_files", "read_file", "write_file", "replace_in_file", "run", "history", "compare", "submit"]
    names += ["add_note", "read_notes"]
    assert [tool.name for tool in TOOLS] == names
    assert [tool.name for tool in TOOLS if tool.read_only] == [
        "list_files",
        "read_file",
        "history",
        "compare",
        "read_notes",
    ]


# ---- the course of an episode


def test_an_episode_is_played_through_tools(make_session: MakeSession, task: Task) -> None:
    session = make_session(max_steps=4)
    assert "You have 4 actions" in session.introduction
    assert "## Your tools" in session.introduction
    for name, text in base_modules(task).items():
        assert session.call("write_file", {"path": name, "content": text}).ok
    assert session.pending == ["features.py", "model.py"]
    assert session.steps_left == 4
    first = session.call("run", "{}")
    assert (first.ok, first.stepped, session.steps_left, session.pending) == (True, True, 3, [])
    assert "This was run 1; the best so far is run 1" in first.text
    session.call("write_file", {"path": "discovered/features.py", "content": POLYNOMIAL_FEATURES})
    second = session.call("run", {"datasets": ["Line"]})
    assert "run 2; the best so far is run 2" in second.text
    assert [run.step for run in session.runs] == [1, 2]
    assert session.runs[1].score > session.runs[0].score
    last = session.call("submit", {})
    assert session.over
    assert session.reward > 1
    assert f"Reward: {session.reward:.3f}" in last.text
    for tool in TOOLS:
        if tool.name != "read_notes":
            after = session.call(tool.name, {"path": "model.py", "content": "", "old": "x", "new": "y", "text": "z"})
            assert not after.ok


def test_reading_costs_nothing_and_shows_edits(make_session: MakeSession) -> None:
    session = make_session()
    listed = session.call("list_files").text
    assert "features.py" in listed
    assert "Line/main.py" in listed
    assert "Line/exam/__init__.py" in listed
    session.call("write_file", {"path": "features.py", "content": "x = 1\ny = 2\nz = 3\n"})
    assert "features.py (18 bytes, changed since the last run)" in session.call("list_files").text
    for path in ("features.py", "discovered/features.py", "./features.py", "Line/features.py"):
        assert session.call("read_file", {"path": path}).text == "x = 1\ny = 2\nz = 3\n"
    assert session.call("read_file", {"path": "features.py", "start_line": 2, "end_line": 2}).text == "y = 2\n"
    assert "Toy regression" in session.call("read_file", {"path": "description.md"}).text
    assert session.steps_left == 10


def test_files_that_datasets_share_are_listed_once(make_session: MakeSession, task: Task) -> None:
    session = make_session(task=task.model_copy(update={"meta_train": ("Line", "Steps")}))
    listed = session.call("list_files").text
    assert listed.count("/main.py (") == 1
    shared = listed.index("Fixed, the same in Line/, Steps/:")
    assert shared < listed.index("  Line/main.py (")
    for name in ("Line", "Steps"):
        assert listed.index(f"Fixed, of {name}/ alone:") < listed.index(f"  {name}/interval.py (")
    for path in re.findall(r"^  (\S+) \(", listed, re.MULTILINE):
        assert session.call("read_file", {"path": path}).ok


def test_a_file_that_is_too_long_is_cut_at_the_end_of_a_line(make_session: MakeSession) -> None:
    session = make_session()
    session.call("write_file", {"path": "model.py", "content": "x = 1  # one of many\n" * 3000})
    shown, _, notice = session.call("read_file", {"path": "model.py"}).text.rpartition("\n[cut before line ")
    assert shown.endswith("x = 1  # one of many\n")
    assert int(notice.split()[0]) == shown.count("\n") + 1


def test_long_files_are_read_in_parts(make_session: MakeSession) -> None:
    session = make_session()
    text = "".join(f"x{number} = {number}\n" for number in range(4000))
    session.call("write_file", {"path": "model.py", "content": text})
    shown, _, notice = session.call("read_file", {"path": "model.py"}).text.rpartition("\n[cut")
    start = int(notice.split("start_line=")[1].rstrip("]"))
    rest = session.call("read_file", {"path": "model.py", "start_line": start}).text
    assert "".join(shown.splitlines(keepends=True)[: start - 1]) + rest == text


def test_edits_are_kept_until_they_are_run_or_submitted(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session(max_steps=1)
    for name, text in good.items():
        session.call("write_file", {"path": name, "content": text + "# todo\n"})
    done = session.call("replace_in_file", {"path": "model.py", "old": "# todo\n", "new": "# done\n"})
    assert done.ok
    assert session.files["model.py"].endswith("# done\n")
    assert "todo" not in session.files["model.py"]
    session.submit()
    assert session.observation["files"] == session.files
    assert session.reward > 1


def test_the_files_of_an_earlier_run_can_be_submitted(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session()
    assert session.write(good).ok
    session.run()
    session.call("write_file", {"path": "features.py", "content": "broken("})
    assert "not valid Python: line 1" in session.call("write_file", {"path": "model.py", "content": "def f(:\n"}).text
    session.run()
    assert session.best is session.runs[0]
    refused = session.call("submit", {"run": 3})
    assert not refused.ok
    assert "there is no run 3; there were 2 runs so far" in refused.text
    session.call("submit", {"run": 1})
    assert session.reward > 1
    assert session.observation["files"] == good


def test_the_best_run_is_one_of_all_datasets_if_there_is_one(
    make_session: MakeSession, task: Task, good: dict[str, str]
) -> None:
    session = make_session(task=task.model_copy(update={"meta_train": ("Line", "Steps")}))
    session.write(base_modules(task))
    session.run()
    session.write(good)
    session.run(["Line"])
    assert session.runs[1].score > session.runs[0].score
    assert session.runs[1].datasets == ("Line",)
    assert session.best is session.runs[0]
    session.submit_best()
    assert session.observation["files"] == base_modules(task)


def test_without_a_run_the_best_is_what_was_written(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session()
    session.write(good)
    session.submit_best()
    assert session.reward > 1


def test_the_last_step_is_announced(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session(max_steps=2)
    session.write(good)
    assert "One action is left: submit now" in session.run().text
    session.write({"features.py": good["features.py"] + "# another\n"})
    assert "The episode is over" in session.run().text
    assert session.over
    assert session.reward > 1


def test_notes_are_kept(make_session: MakeSession) -> None:
    session = make_session()
    assert session.call("read_notes").text == "No notes yet."
    session.call("add_note", {"text": "tried x²"})
    session.call("add_note", {"text": "better: x³"})
    assert session.call("read_notes").text == "1. tried x²\n2. better: x³"
    assert session.steps_left == 10


def test_gymnasium_wrappers_do_not_matter(sandbox: Sandbox, task: Task, good: dict[str, str]) -> None:
    env: gymnasium.Env[Any, Any] = gymnasium.make("DiscoGen-v0", task=task, sandbox=sandbox, runs_dir=None)
    session = ToolSession(env, seed=0)
    assert session.recorder is None
    session.write(good)
    session.run()
    session.submit_best()
    assert session.reward > 1
    session.close()


# ---- what goes wrong


WRONG: list[tuple[str, Any, str]] = [
    ("", {}, "there is no tool ''; the tools are list_files"),
    ("write_files", {}, "there is no tool 'write_files'; did you mean write_file? the tools are"),
    ("run", "{", "run: the arguments are not valid JSON"),
    ("run", "[" * 100_000, "run: the arguments are not valid JSON"),
    ("run", "[]", "run: the arguments are list; expected a JSON object"),
    ("run", "3", "run: the arguments are int"),
    ("run", {"datasets": "Line"}, "datasets: input should be a valid list, not 'Line'"),
    ("run", {"datasets": ["Wave"]}, "'Wave' is not a meta-train dataset; they are Line"),
    ("run", {"dataset": ["Line"]}, "'dataset' is not an argument. Its arguments are: datasets"),
    ("read_file", {}, "path is missing. Its arguments are: path, start_line, end_line"),
    ("read_file", {"path": "nothing.py"}, "there is no file 'nothing.py'; list_files shows"),
    ("read_file", {"path": "../../../etc/passwd"}, "there is no file"),
    ("read_file", {"path": "/etc/passwd"}, "there is no file"),
    ("read_file", {"path": "Line"}, "there is no file"),
    ("read_file", {"path": "\0"}, "there is no file"),
    ("read_file", {"path": "x" * 5000}, "there is no file"),
    ("read_file", {"path": "Wave/model.py"}, "there is no file"),
    ("read_file", {"path": "model.py", "start_line": 10_000}, "start_line is 10000"),
    ("read_file", {"path": "model.py", "start_line": "one"}, "start_line: input should be a valid integer"),
    ("write_file", {"path": "main.py", "content": ""}, "'main.py' cannot be edited; the editable files are"),
    ("write_file", {"path": "Line/main.py", "content": ""}, "'Line/main.py' cannot be edited"),
    ("write_file", {"path": "model.py"}, "content is missing"),
    ("write_file", {"path": "model.py", "content": "x" * 70_000}, "has 70000 bytes; the limit is 65536"),
    ("write_file", {"path": "model.py", "content": "\ud800"}, "lone surrogate"),
    ("replace_in_file", {"path": "model.py", "old": "nowhere", "new": ""}, "does not occur"),
    ("replace_in_file", {"path": "model.py", "old": "e", "new": ""}, "add lines until it is unique"),
    ("replace_in_file", {"path": "model.py", "old": "", "new": ""}, "at least 1 character"),
    ("submit", {"run": 1}, "there is no run 1"),
    ("submit", {"run": -1}, "greater than or equal to 0"),
    ("add_note", {"text": ""}, "at least 1 character"),
]


def test_calls_that_cannot_be_made_say_why_and_change_nothing(session: ToolSession) -> None:
    before = session.files
    for name, arguments, message in WRONG:
        result = session.call(name, arguments)
        assert (result.ok, result.stepped) == (False, False), message
        assert result.text.startswith("Error: ")
        assert message in result.text
        assert result.text.endswith("Nothing was changed.")
        assert (session.files, session.steps_left, session.runs, session.notes) == (before, 10, [], []), message


def test_common_ways_to_write_arguments_are_understood(session: ToolSession) -> None:
    for arguments in (
        '{"path": "model.py"}',
        '"{\\"path\\": \\"model.py\\"}"',
        {"path": "model.py", "start_line": None},
    ):
        assert "class Model" in session.call("read_file", arguments).text


def test_raw_newlines_in_arguments_are_understood(make_session: MakeSession) -> None:
    session = make_session()
    assert session.call("write_file", '{"path": "model.py", "content": "a = 1\nb = 2\n"}').ok
    assert session.files["model.py"] == "a = 1\nb = 2\n"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FREE = [tool.name for tool in TOOLS if tool.name not in {"run", "submit"}]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(FREE) | st.text(max_size=10),
    arguments=st.text() | st.dictionaries(st.sampled_from(["path", "content", "old", "text"]), ANYTHING) | ANYTHING,
)
def test_whatever_is_sent_the_answer_is_text(session: ToolSession, name: str, arguments: Any) -> None:
    assert isinstance(session.call(name, arguments).text, str)
    assert session.steps_left == 10


def test_a_failure_of_the_machine_ends_the_episode(make_session: MakeSession, sandbox: Sandbox) -> None:
    from tests.conftest import FailingSandbox

    session = make_session(sandbox=FailingSandbox(sandbox, failures=100))
    result = session.run()
    assert session.over
    assert "The machine failed" in result.text
    assert (session.reward, session.runs) == (0.0, [])


# ---- for agents without tools, and for the record


def test_the_context_holds_what_the_modules_interact_with(make_session: MakeSession, task: Task) -> None:
    session = make_session(task=task.model_copy(update={"meta_train": ("Line", "Steps")}))
    context = session.context()
    assert "### `model.py` (editable)" in context
    assert context.count("### `Line/main.py` (fixed)") == 1
    assert "### `Steps/main.py`" not in context  # the same text as Line's
    assert "### `Steps/interval.py`" in context
    assert "Not shown for lack of room: Line/exam/" in session.context(max_characters=3000)
    session.write({"model.py": '"""\n```\n"""'})
    assert '````\n"""\n```\n"""\n````' in session.context()


def test_tool_calls_are_recorded(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session()
    session.call("write_file", {"path": "model.py", "content": good["model.py"]}, call_id="call_7")
    session.call("jump", "high")
    session.run()
    written, jumped, run = read_calls(Path(session.info["run_directory"]))
    assert written["arguments"] == {"path": "model.py", "content": good["model.py"]}
    assert (written["call_id"], written["stepped"], written["step"], written["steps_left"]) == ("call_7", False, 0, 10)
    assert (jumped["name"], jumped["arguments"], jumped["ok"]) == ("jump", "high", False)
    assert (run["stepped"], run["step"], run["steps_left"], run["source"]) == (True, 1, 9, "agent")
    assert [call["number"] for call in (written, jumped, run)] == [1, 2, 3]
