"""Plain replies are read generously: tool calls in text, and whole files in code blocks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discoenv.agents.llm.code_blocks import parse_modules
from discoenv.agents.llm.text_tools import guide, parse_calls
from discoenv.tools import TOOLS

CALL = {"tool": "read_file", "arguments": {"path": "a.py"}}
READ = [("read_file", {"path": "a.py"})]


def calls(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(arguments)) for name, arguments in parse_calls(text)]


@pytest.mark.parametrize(
    "text",
    [
        f"```tool\n{json.dumps(CALL)}\n```",
        f"I read.\n\n```tool\n{json.dumps(CALL, indent=2)}\n```\nand wait",
        f"```json\n{json.dumps(CALL)}\n```",
        f"```tool_call\n{json.dumps(CALL)}\n```",
        f"```\n{json.dumps(CALL)}\n```",
        f"~~~tool\n{json.dumps(CALL)}\n~~~",
        f"```tool\n{json.dumps(CALL)}",
        f"```tool {json.dumps(CALL)}```",
        f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>",
        '```tool\n{"name": "read_file", "parameters": {"path": "a.py"}}\n```',
        '```tool\n{"tool": "read_file", "path": "a.py"}\n```',
        '```tool\n{"name": "read_file", "arguments": "{\\"path\\": \\"a.py\\"}"}\n```',
        '```tool\n{"type": "function", "function": {"name": "read_file", "arguments": {"path": "a.py"}}}\n```',
    ],
)
def test_a_call_may_be_written_in_many_ways(text: str) -> None:
    assert calls(text) == READ


def test_several_calls_are_read_in_order() -> None:
    text = f"```tool\n{json.dumps(CALL)}\n```\nthen\n```tool\n" + '{"tool": "run", "arguments": {}}\n```\n'
    assert calls(text) == [*READ, ("run", {})]


@pytest.mark.parametrize("content", ["x = 1\n", 'doc = """\n```tool\n{}\n```\n"""\n', "a = '\\n'\n", "```\n"])
def test_a_file_in_json_may_contain_anything(content: str) -> None:
    call = {"tool": "write_file", "arguments": {"path": "a.py", "content": content}}
    assert calls(f"```tool\n{json.dumps(call)}\n```\n") == [("write_file", call["arguments"])]


def test_raw_newlines_in_json_are_understood() -> None:
    text = '```tool\n{"tool": "write_file", "arguments": {"path": "a.py", "content": "x = 1\ny = 2\n"}}\n```'
    assert calls(text) == [("write_file", {"path": "a.py", "content": "x = 1\ny = 2\n"})]


@pytest.mark.parametrize("between", ["", "\n", "\n\n"])
def test_a_code_block_after_write_file_is_its_content(between: str) -> None:
    text = f'```tool\n{{"tool": "write_file", "arguments": {{"path": "a.py"}}}}\n```\n{between}```python\nx = 1\n```\n'
    run = '```tool\n{"tool": "run", "arguments": {}}\n```'
    expected = ("write_file", {"path": "a.py", "content": "x = 1\n"})
    assert calls(text + run) == [expected, ("run", {})]
    assert calls(text.removesuffix("```\n")) == [expected]


def test_json_that_is_no_call_is_not_taken_for_one() -> None:
    assert calls('The configuration:\n```json\n{"lr": 0.1}\n```\n```python\n{"tool": "run"}\n```\n') == []


def test_a_broken_call_is_passed_on_for_its_error_message() -> None:
    text = '```tool\n{"tool": "run", "arguments": {"datasets": [}}\n```\n'
    ((name, arguments),) = parse_calls(text)
    assert name == "run"
    assert arguments.startswith('{"tool": "run", "arguments": {"datasets": [}}')
    assert parse_calls('```tool\n{"lr": 1}\n```') == [("tool", '{"lr": 1}')]


@given(st.text(alphabet='`~{}"tol:\n ,[]jsn<>_ca/\\'))
def test_whatever_a_model_writes_can_be_read(text: str) -> None:
    assert isinstance(parse_calls(text), list)
    assert set(parse_modules(text, ["a.py"])) <= {"a.py"}


def test_the_guide_names_every_tool_and_argument_and_its_examples_can_be_read() -> None:
    told = guide([tool.openai() for tool in TOOLS])
    for tool in TOOLS:
        assert f"* `{tool.name}`: {tool.description}" in told
        for name in tool.parameters["properties"]:
            assert f"`{name}` (" in told
    assert [name for name, _ in calls(told)] == ["read_file", "write_file"]


# ---- whole files


@pytest.mark.parametrize(
    "text",
    [
        "### `loss.py`\n\n```python\na = 1\n```\n\n### `optim.py`\n\n```python\nb = 2\n```\n",
        "**loss.py**:\n```python\na = 1\n```\nNow discovered/optim.py:\n```python\nb = 2\n```",
        "```python loss.py\na = 1\n```\n```python title=optim.py\nb = 2\n```",
        "loss.py\n````python\na = 1\n````\noptim.py\n```\nb = 2\n```",
        "loss.py\n```\nwrong\n```\nBetter loss.py:\n```\na = 1\n```\noptim.py\n```\nb = 2\n```\nAnd:\n```\nc\n```",
    ],
)
def test_files_are_found_by_the_names_beside_them(text: str) -> None:
    assert parse_modules(text, ["loss.py", "optim.py"]) == {"loss.py": "a = 1\n", "optim.py": "b = 2\n"}


def test_a_name_in_the_first_comment_counts() -> None:
    assert parse_modules("```python\n# loss.py\na = 1\n```", ["loss.py", "m.py"]) == {"loss.py": "# loss.py\na = 1\n"}


def test_names_that_contain_each_other_are_distinguished() -> None:
    text = "train_step.py\n```\na\n```\nstep.py\n```\nb\n```\n"
    assert parse_modules(text, ["step.py", "train_step.py"]) == {"train_step.py": "a\n", "step.py": "b\n"}


def test_a_single_file_needs_no_name() -> None:
    assert parse_modules("```sh\nls\n```\nHere:\n```python\na = 1\nb = 2\n```", ["loss.py"]) == {
        "loss.py": "a = 1\nb = 2\n"
    }
    assert parse_modules("```python\na = 1\n```", ["loss.py", "optim.py"]) == {}


def test_a_file_that_is_cut_off_is_missing() -> None:
    assert parse_modules("loss.py\n```\na = 1\n```\noptim.py\n```\nb =", ["loss.py", "optim.py"]) == {
        "loss.py": "a = 1\n"
    }
