"""An episode behind the Model Context Protocol, so that Claude Code, Codex, Cursor, Goose and others can play it.

One server holds one episode, which all of its clients play. It needs the package ``mcp`` (``pip install
'discoenv[mcp]'``). The tools are those of :mod:`discoenv.tools`, ``read_task`` and ``stop_run``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import queue
import secrets
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from discoenv import __version__
from discoenv.asynchronous import ExamCounts
from discoenv.env import DiscoGenEnv
from discoenv.exams.spec import Progress
from discoenv.tools import TOOLS, Tool, ToolResult, ToolSession
from discoenv.tools.registry import Arguments

TASK_URI: Final = "discoenv://task"
#: Fixed files, pictures among them, are resources of this address and their path.
FILES_URI: Final = "discoenv://files/"
_HEARTBEAT_S: Final = 5.0
_POLL_S: Final = 0.2
#: How long a step that was stopped may take to be recorded, before the server ends.
_PATIENCE_S: Final = 1.0
_READ_TASK: Final = Tool(
    "read_task", "Read the task: what to discover, what counts, and how to act. Start here.", Arguments, True
)
_STOP_RUN: Final = Tool(
    "stop_run", "Stop the run that goes on, within a second. It counts as a step; finished exams stay known.", Arguments
)
_STEPS: Final = ("run", "submit")
_EDITS: Final = ("write_file", "replace_in_file")
_INSTRUCTIONS: Final = (
    "An episode of machine-learning algorithm discovery. Call read_task first; then write the editable files, run "
    "them, read the scores, improve, and submit. Training takes from seconds to many minutes; wait for it, or end it "
    "with stop_run. Files of this episode are reached by these tools only: they are not in your working directory."
)

_MARKDOWN: Final = "text/markdown"
#: Tells clients of the same name apart, where a session of the protocol does not.
_COOKIE: Final = "discoenv-client"

Context = ServerRequestContext[Any, Any]


@dataclass(eq=False)
class _Client:
    """Who calls.

    Attributes:
        name: as it is recorded and shown to others.
        seen: number of :class:`_Change` records that it knows of.
        unseen: results of its calls that it did not wait for.
    """

    name: str
    seen: int
    unseen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Change:
    """Something that a client did and that others should know of."""

    client: _Client
    text: str


@dataclass(eq=False)
class _Job:
    """A step that was asked for.

    Attributes:
        name: ``run`` or ``submit``.
        work: takes the step.
        client: who asked for it.
        finished: gets the result.
        abandoned: the client does not wait any more.
        begun, over: whether it has begun and ended.
    """

    name: str
    work: Callable[[], ToolResult]
    client: _Client
    finished: asyncio.Future[types.CallToolResult]
    abandoned: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class ServedEpisode:
    """A session that many requests share.

    Steps are taken one after another, in a thread; the server goes on answering everything else. Each client is told
    what the others did since its last call. A client that cancels a ``run``, or vanishes, ends it; a submission goes
    on, and its result is reported with the client's next call.

    Args:
        make_session: starts the episode; it gets a function for the environment's ``on_progress``.
        on_end: called with the session when the episode has ended.

    Attributes:
        session: the episode.
    """

    def __init__(
        self,
        make_session: Callable[[Callable[[Progress], None]], ToolSession],
        on_end: Callable[[ToolSession], None] = lambda session: None,
    ) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[object, ...], _Client] = {}
        self._changes: list[_Change] = []
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._present: _Job | None = None
        self._exams = ExamCounts()
        self._on_end = on_end
        self._closing = threading.Lock()
        self._closed = False
        self.session = make_session(self._exams.take)
        threading.Thread(target=self._take_steps, name="discoenv-steps", daemon=True).start()

    async def call(self, context: Context, parameters: types.CallToolRequestParams) -> types.CallToolResult:
        """Use a tool, with notifications of progress while it works. A failure is a result with ``is_error``."""
        client, name = self.client(context), parameters.name
        if name == _READ_TASK.name:
            return self._answer(client, ToolResult(self.session.introduction))
        if name == _STOP_RUN.name:
            return self._answer(client, await self._stop())
        work = functools.partial(
            self.session.call,
            name,
            parameters.arguments or {},
            call_id=None if context.request_id is None else str(context.request_id),
            source=f"mcp:{client.name}",
        )
        if name in _STEPS:
            return await self._step(context, name, functools.partial(work, files=self.session.files), client)
        result = _tried(work)
        if name in _EDITS and result.ok:
            self._changed(client, f"changed {(parameters.arguments or {}).get('path')}")
        return self._answer(client, result)

    def client(self, context: Context) -> _Client:
        """Who sent a request. At first sight, it is recorded as an agent of the episode."""
        info = getattr(context.session.client_params, "client_info", None)
        name = str(getattr(info, "name", None) or "client")
        key = (name, *_connection(context))
        with self._lock:
            known = self._clients.get(key)
            if known is not None:
                return known
            same = sum(other[0] == name for other in self._clients)
            client = _Client(f"{name} ({same + 1})" if same else name, len(self._changes))
            self._clients[key] = client
        if self.session.recorder is not None:
            version = getattr(info, "version", None)
            facts = {"adapter": "mcp", "version": version, "protocol": context.session.protocol_version}
            self.session.recorder.agent(client.name, facts)
        return client

    def close(self, reason: str = "the server was closed") -> None:
        """End the episode and the exams that still run. If it has not ended, its record says that it was left.

        Args:
            reason: why, for the record.
        """
        with self._closing:  # a second caller waits for the first
            if self._closed:
                return
            self._closed = True
            present = self._present
            if present is not None and self.session.stop_run():
                present.over.wait(_PATIENCE_S)
            left = not self.session.over
            self.session.close()
            if left and self.session.recorder is not None:
                self.session.recorder.end({"ended_by": "left", "reason": reason, "reward": None})

    # ---- steps

    async def _step(
        self, context: Context, name: str, work: Callable[[], ToolResult], client: _Client
    ) -> types.CallToolResult:
        job = _Job(name, work, client, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        reported, sent_s = None, time.monotonic()
        try:
            while True:
                done, _ = await asyncio.wait([job.finished], timeout=min(_POLL_S, _HEARTBEAT_S))
                if done:
                    return job.finished.result()
                state = self._state(job)
                if state != reported or time.monotonic() - sent_s >= _HEARTBEAT_S:
                    await context.session.report_progress(*state)
                    reported, sent_s = state, time.monotonic()
        except asyncio.CancelledError:  # the client gave up, or is gone
            job.abandoned.set()
            threading.Thread(target=self._end, args=(job,), daemon=True).start()
            raise

    def _state(self, job: _Job) -> tuple[int, int | None, str]:
        if not job.begun.is_set():
            present = self._present
            return 0, None, f"waiting for the {present.name} of {present.client.name}" if present else "waiting"
        return self._exams.state(cast(DiscoGenEnv, self.session.env.unwrapped).host.cores.waiting)

    def _end(self, job: _Job) -> None:
        """End a run that its client does not wait for any more; a submission goes on."""
        while job.name == "run" and job.begun.is_set() and not job.over.wait(0.05) and not self.session.stop_run():
            pass  # its exams have not begun yet

    async def _stop(self) -> ToolResult:
        """The tool ``stop_run``."""
        job = self._present
        if job is None:
            return ToolResult("Error: no run goes on; nothing was stopped.", ok=False)
        if job.name != "run":
            return ToolResult("Error: a submission goes on. It ends the episode and cannot be stopped.", ok=False)
        deadline = time.monotonic() + _PATIENCE_S
        while not self.session.stop_run():  # its exams have not begun yet, or have ended
            if job.over.is_set() or time.monotonic() > deadline:
                return ToolResult("Error: the run has just ended; nothing was stopped.", ok=False)
            await asyncio.sleep(0.02)
        return ToolResult(f"The run of {job.client.name} is stopped; its call returns what had finished.")

    def _take_steps(self) -> None:
        """Take the steps that are asked for, one after another, as the target of a thread."""
        while True:
            job = self._jobs.get()
            self._exams.begin()
            self._present = job
            job.begun.set()
            if not job.abandoned.is_set() and not self._closed:
                self._take(job)
            self._present = None
            job.over.set()

    def _take(self, job: _Job) -> None:
        before = self.session.over
        result = _tried(job.work)
        if result.stepped:
            self._changed(job.client, _done(job.name, self.session))
        if result.stepped and self.session.over and not before:
            self._report_end(job)
        if job.abandoned.is_set():
            with self._lock:
                job.client.unseen.append(result.text)
        else:
            answer = self._answer(job.client, result)
            with contextlib.suppress(RuntimeError):  # the server was stopped meanwhile
                job.finished.get_loop().call_soon_threadsafe(_set, job.finished, answer)

    def _report_end(self, job: _Job) -> None:
        session = self.session
        if session.recorder is not None:
            reason = str(session.info.get("infra_error", ""))
            ended_by = "infra_error" if reason else "submit" if job.name == "submit" else "steps"
            reward = session.reward if session.scored else None
            session.recorder.end({"ended_by": ended_by, "reason": reason, "reward": reward})
        if not self._closed:
            self._on_end(session)

    # ---- what clients are told

    def _changed(self, client: _Client, text: str) -> None:
        with self._lock:
            self._changes.append(_Change(client, text))

    def _answer(self, client: _Client, result: ToolResult) -> types.CallToolResult:
        """A result, with what the client has not seen: results that it did not wait for, and what others did."""
        with self._lock:
            others = [change for change in self._changes[client.seen :] if change.client is not client]
            client.seen = len(self._changes)
            earlier, client.unseen = client.unseen, []
        parts = [result.text]
        if earlier:
            missed = "\n\n".join(earlier)
            parts.insert(0, f"[Result of an earlier call that you did not wait for:]\n{missed}\n[Result of this call:]")
        if others:
            lines = "\n".join(dict.fromkeys(f"* {change.client.name} {change.text}" for change in others))
            parts.append(f"\n[Since your last call, other clients of this episode acted:]\n{lines}")
        content: list[Any] = [types.TextContent(text="\n".join(parts))]
        if result.picture is not None:
            data = base64.b64encode(result.picture.data).decode()
            content.append(types.ImageContent(data=data, mime_type=result.picture.mime_type))
        return types.CallToolResult(content=content, is_error=not result.ok)


def _done(name: str, session: ToolSession) -> str:
    """A step in words."""
    if name == "submit":
        return f"submitted; the episode is over (reward {session.reward:.3f})"
    if "stopped" in session.info:
        return "ran the files; the run was stopped"
    over = "; the episode is over" if session.over else ""
    score = f" (run {len(session.runs)}, score {session.runs[-1].score:.3f})" if "meta_train" in session.info else ""
    return f"ran the files{score}{over}"


def _tried(work: Callable[[], ToolResult]) -> ToolResult:
    try:
        return work()
    except Exception as error:
        return ToolResult(f"The environment failed: {type(error).__name__}: {error}", ok=False)


def _connection(context: Context) -> tuple[object, ...]:
    """What tells the connections of clients of the same name apart."""
    request = context.request
    if not isinstance(request, HTTPConnection):
        return (context.lifespan_context,)
    session = request.headers.get("mcp-session-id") or request.cookies.get(_COOKIE)
    return (session or (request.client.host if request.client else None),)


def _set(future: asyncio.Future[types.CallToolResult], result: types.CallToolResult) -> None:
    if not future.done():
        future.set_result(result)


@contextlib.asynccontextmanager
async def _lifespan(server: Server[object]) -> AsyncIterator[object]:
    """A new object per connection, over stdin and stdout; one for all of them over HTTP."""
    yield object()


def make_server(episode: ServedEpisode) -> Server[Any]:
    """The MCP server of an episode: its tools; its task as a tool, a resource and a prompt; its pictures."""

    async def list_tools(context: Context, parameters: Any) -> types.ListToolsResult:
        episode.client(context)
        tools = [types.Tool.model_validate(tool.mcp()) for tool in (_READ_TASK, _STOP_RUN, *TOOLS)]
        return types.ListToolsResult(tools=tools)

    async def list_resources(context: Context, parameters: Any) -> types.ListResourcesResult:
        task = types.Resource(uri=TASK_URI, name="task", description="The task of this episode.", mime_type=_MARKDOWN)
        pictures = [
            types.Resource(uri=f"{FILES_URI}{path}", name=path, description="A picture of the task.", mime_type=kind)
            for path, kind in episode.session.pictures().items()
        ]
        return types.ListResourcesResult(resources=[task, *pictures])

    async def read_resource(context: Context, parameters: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        uri = str(parameters.uri)
        path = uri.removeprefix(FILES_URI)
        if path != uri and path in episode.session.pictures():
            picture = episode.session.picture(path)
            blob = base64.b64encode(picture.data).decode()
            content = types.BlobResourceContents(uri=uri, mime_type=picture.mime_type, blob=blob)
            return types.ReadResourceResult(contents=[content])
        if uri != TASK_URI:
            raise ValueError(f"there is no resource {uri}; there is {TASK_URI}")
        text = types.TextResourceContents(uri=TASK_URI, mime_type=_MARKDOWN, text=episode.session.introduction)
        return types.ReadResourceResult(contents=[text])

    async def list_prompts(context: Context, parameters: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[types.Prompt(name="play", description="Play this episode to its end.")])

    async def get_prompt(context: Context, parameters: types.GetPromptRequestParams) -> types.GetPromptResult:
        if parameters.name != "play":
            raise ValueError(f"there is no prompt {parameters.name!r}; there is 'play'")
        text = f"{episode.session.introduction}\nPlay this episode with the tools of the discoenv server, and submit."
        message = types.PromptMessage(role="user", content=types.TextContent(text=text))
        return types.GetPromptResult(messages=[message])

    return Server(
        "discoenv",
        version=__version__,
        instructions=_INSTRUCTIONS,
        lifespan=_lifespan,
        on_list_tools=list_tools,
        on_call_tool=episode.call,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )


def serve_stdio(episode: ServedEpisode) -> None:
    """Serve on stdin and stdout until the client closes them."""

    async def serve() -> None:
        server = make_server(episode)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(serve())


class _HttpServer(uvicorn.Server):
    """Ends the episode as soon as a signal comes, so that no request is waited for that trains."""

    def __init__(self, config: uvicorn.Config, close: Callable[[str], None]) -> None:
        super().__init__(config)
        self._close = close

    def handle_exit(self, sig: int, frame: Any) -> None:
        threading.Thread(target=self._close, args=(signal.Signals(sig).name,)).start()
        super().handle_exit(sig, frame)


def serve_http(episode: ServedEpisode, host: str, port: int, on_start: Callable[[str], None]) -> None:
    """Serve streamable HTTP until interrupted.

    Args:
        episode: the episode.
        host, port: where to listen; port 0 takes a free one.
        on_start: called with the URL as soon as clients can connect.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        shown = f"[{host}]" if ":" in host else host
        app = _with_cookie(make_server(episode).streamable_http_app(host=host))
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        server = _HttpServer(config, episode.close)
        on_start(f"http://{shown}:{listening.getsockname()[1]}/mcp")
        server.run(sockets=[listening])


def _with_cookie(app: ASGIApp) -> ASGIApp:
    """Give each client a cookie; newer revisions of the protocol have no sessions."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{_COOKIE}={secrets.token_hex(8)}; HttpOnly; SameSite=Strict".encode()
                message = {**message, "headers": [*message.get("headers", []), (b"set-cookie", cookie)]}
            await send(message)

        new = scope["type"] == "http" and _COOKIE not in HTTPConnection(scope).cookies
        await app(scope, receive, sending if new else send)

    return wrapped
