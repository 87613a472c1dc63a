"""The server answers the page, and nothing else: no other files, no other host names, no writing."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from discoenv.viewer.page import SERVED_POLICY
from discoenv.viewer.server import ViewerServer, is_local
from tests.viewer.conftest import Serve
from tests.viewer.recorded import TASK


def ask(
    server: ViewerServer, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=120)
    connection.request(method, path, headers=headers or {})
    reply = connection.getresponse()
    return reply, reply.read()


def data(server: ViewerServer, name: str, **parameters: str | int) -> Any:
    reply, body = ask(server, f"/api/{name}?{urlencode(parameters)}")
    assert reply.status == 200, body
    return json.loads(body)


def identity(server: ViewerServer, run: Path) -> str:
    return str(next(each["id"] for each in data(server, "runs")["runs"] if each["name"] == run.name))


def test_the_list_shows_the_outcome_of_each_run(server: ViewerServer, scripted_run: Path, chat_run: Path) -> None:
    answer = data(server, "runs")
    listed = {each["name"]: each for each in answer["runs"]}
    assert set(listed) == {scripted_run.name, chat_run.name}
    scripted, chat = listed[scripted_run.name], listed[chat_run.name]
    assert scripted["id"] == f"scripted/{scripted_run.name}"
    result = json.loads((scripted_run / "result.json").read_text())
    assert (scripted["status"], scripted["reward"], scripted["steps"]) == ("done", result["reward"], result["steps"])
    assert scripted["best"] == max(scripted["scores"])
    assert scripted["costs"]["exams"] == 4 * len(TASK["meta_train"]) + 2 * len(TASK["meta_test"])
    assert scripted["costs"]["seconds"] > 0
    assert (scripted["agent"], scripted["model"]) == (None, None)
    assert (chat["agent"], chat["model"]) == ("react", "example-model")
    assert chat["costs"]["money"] == pytest.approx(5 * 0.0125)
    assert chat["costs"]["completion_tokens"] == 5 * 40


def test_a_step_has_its_changes_scores_and_texts(server: ViewerServer, scripted_run: Path) -> None:
    name = identity(server, scripted_run)
    overview = data(server, "run", id=name)
    assert [step["command"] for step in overview["list"]] == [None, "run", "run", "run", "run", "submit"]
    assert set(overview["list"][-1]["meta_test"]) == set(TASK["meta_test"])
    step = data(server, "step", id=name, step=2)
    assert set(step["scores"]["meta_train"]) == set(TASK["meta_train"])
    assert [change["path"] for change in step["diff"]] == [each["path"] for each in overview["list"][2]["files"]]
    assert step["diff"]
    assert "Meta-train scores" in step["text"]
    start = data(server, "step", id=name, step=0)
    assert set(start["start_files"]) == {"data_processing.py", "model.py"}
    assert start["text"].startswith("# ")
    assert data(server, "run", id=name, after=5)["list"] == overview["list"][5:]


def test_failures_and_refusals_are_reported(server: ViewerServer, chat_run: Path) -> None:
    name = identity(server, chat_run)
    refused, failed = (data(server, "step", id=name, step=step) for step in (1, 2))
    assert "data.csv" in refused["refused"]
    assert refused["scores"] == {}
    record = failed["scores"]["meta_train"]["BoxModel/CFC"]
    assert [exam["status"] for exam in record["exams"]] == ["error"]
    assert "Error" in record["exams"][0]["traceback"]


def test_calls_are_listed_with_their_steps_and_each_message_once(server: ViewerServer, chat_run: Path) -> None:
    name = identity(server, chat_run)
    calls = data(server, "calls", id=name)["list"]
    assert [(call["kind"], call["for_step"]) for call in calls[:6]] == [
        ("model_call", 1), ("tool_call", 1), ("model_call", 2), ("tool_call", 2), ("model_call", 2), ("tool_call", 2)
    ]  # fmt: skip
    first, second = calls[0], calls[2]
    assert (first["earlier"], first["fresh"], first["reply"]) == ([], [0, 1], 2)
    assert (second["earlier"], second["fresh"], second["reply"]) == ([0, 1, 2], [3], 4)
    assert data(server, "message", id=name, message=3)["content"] == "There is no such file."
    assert data(server, "message", id=name, message=4)["tool_calls"][0]["function"]["name"] == "write_file"
    assert data(server, "call", id=name, call=1)["arguments"] == {"path": "data.csv"}
    assert data(server, "call", id=name, call=2)["attempts"] == []
    assert data(server, "calls", id=name, after=8)["list"] == calls[8:]


def test_two_runs_are_compared_by_their_last_modules(server: ViewerServer, scripted_run: Path, chat_run: Path) -> None:
    one, other = identity(server, scripted_run), identity(server, chat_run)
    changes = data(server, "versus", id=one, other=other)
    paths = {change["path"] for change in changes["files"]} | set(changes["same"])
    assert paths == {"data_processing.py", "model.py"}
    assert changes["files"]
    assert data(server, "versus", id=one, other=one) == {"files": [], "same": ["data_processing.py", "model.py"]}


def test_what_has_not_changed_is_not_sent_again(server: ViewerServer) -> None:
    for path in ("/", "/app.js", "/api/runs"):
        first, body = ask(server, path)
        tag = first.getheader("ETag")
        assert body
        assert tag
        again, nothing = ask(server, path, headers={"If-None-Match": tag})
        assert (again.status, nothing) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/app/../../recording.py",
        "/app.js/../../page.py",
        "//etc/passwd",
        "/api/../../etc/passwd",
        "/index.html%00",
        f"/api/run?id={quote('../../../etc', safe='')}",
        f"/api/run?id={quote('/etc', safe='')}",
        "/api/run?id=.",
        "/api/run?id=scripted",
        f"/api/run?id={quote('scripted/../scripted', safe='')}",
        "/api/nothing",
    ],
)
def test_there_is_nothing_beside_the_runs(path: str, server: ViewerServer) -> None:
    reply, body = ask(server, path)
    assert reply.status == 404
    assert b"root:" not in body


def test_a_picture_is_asked_for_by_a_name_that_was_found(serve: Serve, scripted_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "pictures").mkdir(parents=True)
    for name in ("task.yaml", "episode.json", "episode.jsonl"):
        (run / name).write_bytes((scripted_run / name).read_bytes())
    (run / "pictures" / "scores.png").write_bytes(b"\x89PNG")
    (run / "pictures" / "page.html").write_text("<script>")
    shown = serve(tmp_path)
    assert data(shown, "run", id="run")["pictures"] == ["scores.png"]
    reply, body = ask(shown, "/api/picture?id=run&name=scores.png")
    assert (reply.getheader("Content-Type"), body) == ("image/png", b"\x89PNG")
    for name in ("page.html", "../task.yaml", "..%2Ftask.yaml", ""):
        assert ask(shown, f"/api/picture?id=run&name={name}")[0].status in (400, 404)


@pytest.mark.parametrize(
    "query", ["", "step=1", "id=", "id=ID&step=", "id=ID&step=-1", "id=ID&step=x", "id=ID&step=1e9"]
)
def test_the_answer_to_a_wrong_request_says_what_is_wrong(query: str, server: ViewerServer, scripted_run: Path) -> None:
    reply, body = ask(server, f"/api/step?{query.replace('ID', quote(identity(server, scripted_run), safe=''))}")
    assert reply.status == 400
    assert json.loads(body)["error"].startswith("parameter ")


def test_only_reading_is_possible(server: ViewerServer) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(server, "/api/runs", method=method)[0].status == 501
    reply, body = ask(server, "/", method="HEAD")
    assert (reply.status, body) == (200, b"")


def test_another_host_name_that_points_here_is_refused(server: ViewerServer) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        assert ask(server, "/api/runs", headers={"Host": host})[0].status == 403
    for host in ("localhost", "127.0.0.1:1234", "[::1]:80"):
        assert ask(server, "/api/runs", headers={"Host": host})[0].status == 200


def test_every_answer_forbids_foreign_content(server: ViewerServer) -> None:
    for path in ("/", "/app.js", "/app.css", "/api/runs", "/nothing"):
        reply, _ = ask(server, path)
        assert reply.getheader("Content-Security-Policy") == SERVED_POLICY
        assert reply.getheader("X-Content-Type-Options") == "nosniff"
    assert "default-src 'none'" in SERVED_POLICY
    assert "unsafe" not in SERVED_POLICY


def test_addresses_of_this_machine_are_known() -> None:
    assert all(map(is_local, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_local, ("0.0.0.0", "192.168.1.5", "::", "example.org")))
