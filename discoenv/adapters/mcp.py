"""An episode behind the Model Context Protocol, so that Claude Code, Codex, Cursor, Goose and others can play it.

One server holds one episode, which all of its clients play. It needs the package ``mcp`` (``pip install
'discoenv[mcp]'``). The tools are those of :mod:`discoenv.tools`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from discoenv import __version__
from discoenv.exams.spec import Progress
from discoenv.tools import TOOLS, Tool, ToolSession
from discoenv.tools.registry import Arguments

TASK_URI: Final = "discoenv://task"
_HEARTBEAT_S: Final = 5.0
_READ_TASK: Final = Tool(
    "read_task", "Read the task: what to discover, what counts, and how to act. Start here.", Arguments, True
)
_INSTRUCTIONS: Final = (
    "An episode of machine-learning algorithm discovery. Call read_task first; then write the editable files, run "
    "them, read the scores, improve, and submit. Training takes from seconds to many minutes; wait for it. Files of "
    "this episode are reached by these tools only: they are not in your working directory."
)

_MARKDOWN: Final = "text/markdown"

Context = ServerRequestContext[Any, Any]


@dataclass
class _LatestExam:
    """The exam that began last; earlier ones may still run.

    Attributes:
        progress: the notification of its begin.
        begin: ``time.monotonic()`` at that time.
    """

    progress: Progress
    begin: float

    def done(self) -> float:
        """Number of exams that began earlier, plus the share of this one's budget that has passed."""
        share = (time.monotonic() - self.begin) / max(self.progress.spec.budget_s, 1e-9)
        return self.progress.number - 1 + min(share, 0.99)


class ServedEpisode:
    """A session that many requests share. Tool calls run one after another, each in a thread, while the server goes on
    answering.

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
        self._exam: _LatestExam | None = None
        self._reference: Progress | None = None
        self._unseen: list[str] = []
        self._on_end = on_end
        self.session = make_session(self._progress)

    async def call(self, context: Context, parameters: types.CallToolRequestParams) -> types.CallToolResult:
        """Use a tool, with notifications of progress while it works. A failure is a result with ``is_error``."""
        if parameters.name == _READ_TASK.name:
            return _result(self.session.introduction, ok=True)
        name = getattr(getattr(context.session.client_params, "client_info", None), "name", None) or "client"
        work = functools.partial(self.session.call, parameters.name, parameters.arguments or {}, source=f"mcp:{name}")
        finished: asyncio.Future[types.CallToolResult] = asyncio.get_running_loop().create_future()
        abandoned = threading.Event()
        threading.Thread(target=self._work, args=(work, finished, abandoned), daemon=True).start()
        try:
            while True:
                done, _ = await asyncio.wait([finished], timeout=_HEARTBEAT_S)
                if done:
                    return finished.result()
                await self._report(context)
        except asyncio.CancelledError:  # the client gave up; the next call's result includes this one's
            abandoned.set()
            raise

    def close(self) -> None:
        """End the episode and the exams that still run."""
        self._on_end = lambda session: None
        self.session.close()

    def _work(
        self, work: Callable[[], Any], finished: asyncio.Future[types.CallToolResult], abandoned: threading.Event
    ) -> None:
        """One call, as the target of a thread."""
        with self._lock:
            before = self.session.over
            try:
                result = work()
                text, ok = result.text, result.ok
            except Exception as error:
                text, ok = f"The environment failed: {type(error).__name__}: {error}", False
            self._exam = self._reference = None
            if abandoned.is_set():
                self._unseen.append(text)
                return
            earlier, self._unseen = self._unseen, []
            if earlier:
                missed = "\n\n".join(earlier)
                text = (
                    f"[Result of an earlier call that you did not wait for:]\n{missed}\n[Result of this call:]\n{text}"
                )
            ended = self.session.over and not before
        with contextlib.suppress(RuntimeError):  # the server was stopped meanwhile
            finished.get_loop().call_soon_threadsafe(_set, finished, _result(text, ok=ok))
        if ended:
            self._on_end(self.session)

    def _progress(self, progress: Progress) -> None:
        if progress.reference:  # it is named, and does not count
            self._reference = progress if progress.result is None else None
            return
        begun = 0  # of this side
        if self._exam is not None and self._exam.progress.spec.side == progress.spec.side:
            begun = self._exam.progress.number
        if progress.result is None and progress.number > begun:  # progress never decreases
            self._exam = _LatestExam(progress, time.monotonic())

    async def _report(self, context: Context) -> None:
        exam = self._exam
        if exam is not None:
            shown = self._reference or exam.progress
            label = f"{shown.label}: {shown.spec.dataset}"
            await context.session.report_progress(exam.done(), exam.progress.total, label)


def _set(future: asyncio.Future[types.CallToolResult], result: types.CallToolResult) -> None:
    if not future.done():
        future.set_result(result)


def _result(text: str, *, ok: bool) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=not ok)


def make_server(episode: ServedEpisode) -> Server[Any]:
    """The MCP server of an episode: its tools, and its task as a tool, a resource and a prompt."""

    async def list_tools(context: Context, parameters: Any) -> types.ListToolsResult:
        tools = [types.Tool.model_validate(tool.mcp()) for tool in (_READ_TASK, *TOOLS)]
        return types.ListToolsResult(tools=tools)

    async def list_resources(context: Context, parameters: Any) -> types.ListResourcesResult:
        task = types.Resource(uri=TASK_URI, name="task", description="The task of this episode.", mime_type=_MARKDOWN)
        return types.ListResourcesResult(resources=[task])

    async def read_resource(context: Context, parameters: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        if str(parameters.uri) != TASK_URI:
            raise ValueError(f"there is no resource {parameters.uri}; there is {TASK_URI}")
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
        app = make_server(episode).streamable_http_app(host=host)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        on_start(f"http://{shown}:{listening.getsockname()[1]}/mcp")
        server.run(sockets=[listening])
