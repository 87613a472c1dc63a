"""``discoenv view`` and ``discoenv export``, and what an exported file is made of."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from discoenv.cli.main import app
from discoenv.viewer import page
from discoenv.viewer.plain import dumps
from tests.viewer import recorded

COMMAND = [sys.executable, "-m", "discoenv.cli.main"]


@pytest.mark.usefixtures("interruptible")
def test_view_serves_until_it_is_interrupted(runs: Path) -> None:
    command = [*COMMAND, "view", str(runs), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=120)
        connection.request("GET", "/")
        assert b"<title>discoenv</title>" in connection.getresponse().read()
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0


def test_a_port_in_use_and_a_missing_folder_are_reported(runs: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["view", str(runs), "--port", port, "--no-browser"])
    assert result.exit_code == 2
    assert "cannot listen on" in " ".join(result.output.replace("│", "").split())
    result = CliRunner().invoke(app, ["view", str(tmp_path / "nowhere"), "--no-browser"])
    assert result.exit_code == 2
    assert "is not a folder" in " ".join(result.output.replace("│", "").split())


def test_export_writes_one_file_with_everything_in_it(chat_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.html"
    result = CliRunner().invoke(app, ["export", str(chat_run), "--html", str(out)])
    assert result.exit_code == 0, result.output
    text = out.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    embedded = carried(text)
    steps = embedded["run"]["list"]
    assert {f"step/{index}" for index in range(len(steps))} < set(embedded)
    assert f"diff/0/{len(steps) - 1}" in embedded
    assert embedded["message/1"]["content"].startswith("# ")
    assert embedded["run"]["reward"] == json.loads((chat_run / "result.json").read_text())["reward"]
    assert str(chat_run.parent) not in text, "the path of the run must not be disclosed"


def test_export_of_a_folder_that_is_not_a_run_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "export", str(tmp_path), "--html", str(tmp_path / "a.html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "task.yaml is missing, so this is not a run directory" in done.stderr
    assert not (tmp_path / "a.html").exists()


def test_text_of_a_run_cannot_end_the_element_that_carries_it(tmp_path: Path) -> None:
    run = recorded.hostile_run(tmp_path / "runs")
    out = tmp_path / "run.html"
    assert CliRunner().invoke(app, ["export", str(run), "--html", str(out)]).exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert carried(text)["step/1"]["text"] == recorded.MARKUP


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_inert_json_says_the_same_without_markup(value: object) -> None:
    text = page.inert(dumps(value))
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


def test_the_policy_of_an_exported_page_names_its_own_script_and_style_and_nothing_else() -> None:
    text = page.standalone("{}", "<b>")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]+'", policy[1])) == 2
    assert "connect-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert "<title>&lt;b&gt;</title>" in text


def carried(text: str) -> dict[str, dict]:  # type: ignore[type-arg]
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    assert found
    content: dict[str, dict] = json.loads(found[1])  # type: ignore[type-arg]
    return content


@pytest.mark.parametrize("name", [*page.SCRIPTS, *page.STYLES])
def test_the_app_asks_nothing_of_other_servers_and_writes_no_markup(name: str) -> None:
    text = (Path(page.__file__).parent / "app" / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"')]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


def test_every_file_of_the_app_is_used() -> None:
    folder = Path(page.__file__).parent / "app"
    assert {path.name for path in folder.iterdir()} == {*page.SCRIPTS, *page.STYLES, "index.html"}
