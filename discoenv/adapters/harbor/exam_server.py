"""The service ``exams``: trains and examines an agent's modules on the meta-train side of a task, over HTTP.

It holds one episode, which never comes to its submission: the meta-test side is the verifier's, which has another
secret.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from discoenv.adapters.session import SessionHost
from discoenv.errors import DiscoenvError, Inconclusive
from discoenv.tasks.task import Task
from discoenv.tools import ToolResult

PORT: Final = 8765
#: Most bytes of a request.
_LARGEST: Final = 16 << 20
#: Actions that an episode is never left with: the last one would be scored.
_RESERVE: Final = 2


class ExamService:
    """Answers requests; thread safe.

    Args:
        host: opens the episode, with room for its reserve of actions; see :func:`serve`.
        task: the task.
        max_runs: runs that the agent may have.
    """

    def __init__(self, host: SessionHost, task: Task, max_runs: int) -> None:
        self._max_runs = max_runs
        self._host = host
        self._task = task
        self._session = host.open(task)
        self._lock = threading.Lock()

    def answer(self, command: str, content: Mapping[str, Any]) -> ToolResult:
        """The result of a request: ``run``, ``history`` or ``compare``."""
        with self._lock:
            if command == "run":
                return self._run(content)
            if command in ("history", "compare"):
                return self._session.call(command, dict(content))
            return ToolResult(f"there is no command {command!r}; they are run, history and compare", ok=False)

    def _run(self, content: Mapping[str, Any]) -> ToolResult:
        play = self._session.play
        if play.steps_left <= _RESERVE:
            return ToolResult(f"All {self._max_runs} runs are used up. The files count as they are.", ok=False)
        files = content.get("files")
        known = play.files
        if not isinstance(files, Mapping):
            return ToolResult("the request holds no files", ok=False)
        written = play.write({name: str(text) for name, text in files.items() if name in known})
        if not written.ok:
            return written
        arguments = {name: content[name] for name in ("datasets", "seeds", "race") if content.get(name)}
        try:
            result = self._session.call("run", arguments)
        except Inconclusive:  # its episode is over: the next request finds another one, without the runs so far
            self._session.close()
            self._session = self._host.open(self._task)
            raise
        left = play.steps_left - _RESERVE
        return ToolResult(f"{result.text}\n{left} of {self._max_runs} runs are left.", ok=result.ok)


def serve(
    task: Task,
    *,
    max_runs: int,
    address: str,
    port: int,
    runs_dir: Path | None,
    sandbox: Any,
    on_start: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT comes.

    Args:
        task: the task.
        max_runs: runs that the agent may have.
        address, port: where to listen; port 0 takes a free one.
        runs_dir: where the episode is recorded; None keeps no record.
        sandbox: as in :class:`discoenv.exams.host.Host`.
        on_start: called with the URL as soon as requests are answered.
    """
    with SessionHost(sandbox=sandbox, runs_dir=runs_dir, max_steps=max_runs + _RESERVE) as host:
        service = ExamService(host, task, max_runs)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Answer one request."""
                status = 200
                try:
                    length = int(self.headers.get("content-length") or 0)
                    if not 0 <= length <= _LARGEST:
                        raise ValueError(f"a request has at most {_LARGEST} bytes")
                    content = json.loads(self.rfile.read(length) or b"{}")
                    result = service.answer(self.path.strip("/"), content)
                    answer = json.dumps({"text": result.text, "ok": result.ok})
                except Inconclusive as error:
                    status, answer = 503, f"the machine failed, which says nothing about your files: {error}"
                except (DiscoenvError, ValueError, AttributeError, TypeError) as error:
                    status, answer = 400, f"{type(error).__name__}: {error}"
                body = answer.encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                """Say that the service is there."""
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *values: object) -> None:
                """Stay silent."""

        with ThreadingHTTPServer((address, port), Handler) as server:
            server.daemon_threads = True

            def stop(*_: object) -> None:
                threading.Thread(target=server.shutdown, daemon=True).start()

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, stop)
            on_start(f"http://{address}:{server.server_address[1]}")
            server.serve_forever()
