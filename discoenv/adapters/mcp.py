"""An episode behind the Model Context Protocol, so that Claude Code, Codex, Cursor, Goose and others can play it.

One server holds one episode; whoever connects plays that one. It needs the package ``mcp`` (``pip install
'discoenv[mcp]'``). What the tools do stands in :mod:`discoenv.tools`.
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

Context = ServerRequestContext[Any, Any]


@dataclass
class _Exam:
    """The exam that began last; others that began before it may still run."""

    progress: Progress
    begin: float

    def done(self) -> float:
        """Exams begun before, and this one by the share of its budget that has passed."""
        share = (time.monotonic() - self.begin) / max(self.progress.spec.budget_s, 1e-9)
        return self.progress.number - 1 + min(share, 0.99)


class Episode:
    """A session that many requests share. Calls wait for each other, in threads; the protocol goes on meanwhile.

    Args:
        make_session: starts the episode; it gets a function for the environment's ``on_progress``.
        on_end: called with the session when the episode has ended.
    """

    def __init__(
        self,
        make_session: Callable[[Callable[[Progress], None]], ToolSession],
        on_end: Callable[[ToolSession], None] = lambda session: None,
    ) -> None:
        self._lock = threading.Lock()
        self._exam: _Exam | None = None
        self._unseen: list[str] = []
        self._on_end = on_end
        self.session = make_session(self._progress)

    async def call(self, context: Context, parameters: types.CallToolRequestParams) -> types.CallToolResult:
        """Use a tool, with notifications of progress while it works."""
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
        except asyncio.CancelledError:  # the client gave up; what comes of the call is told with the next one
            abandoned.set()
            raise

    def close(self) -> None:
        """End the episode and whatever still trains."""
        self._on_end = lambda session: None
        self.session.close()

    def _work(
        self, work: Callable[[], Any], finished: asyncio.Future[types.CallToolResult], abandoned: threading.Event
    ) -> None:
        """One call, in a thread of its own."""
        with self._lock:
            before = self.session.over
            try:
                result = work()
                text, ok = result.text, result.ok
            except Exception as error:
                text, ok = f"The environment failed: {type(error).__name__}: {error}", False
            self._exam = None
            if abandoned.is_set():
                self._unseen.append(text)
                return
            earlier, self._unseen = self._unseen, []
            if earlier:
                told = "\n\n".join(earlier)
                text = f"[Result of an earlier call that you did not wait for:]\n{told}\n[Result of this call:]\n{text}"
            ended = self.session.over and not before
        with contextlib.suppress(RuntimeError):  # the server was stopped meanwhile
            finished.get_loop().call_soon_threadsafe(_set, finished, _result(text, ok=ok))
        if ended:
            self._on_end(self.session)

    def _progress(self, progress: Progress) -> None:
        last = (
            self._exam.progress
            if self._exam is not None and self._exam.progress.spec.side == progress.spec.side
            else None
        )
        if progress.result is None and (last is None or progress.number > last.number):  # never less than told before
            self._exam = _Exam(progress, time.monotonic())

    async def _report(self, context: Context) -> None:
        exam = self._exam
        if exam is not None:
            label = f"exam {exam.progress.number} of {exam.progress.total}: {exam.progress.spec.dataset}"
            await context.session.report_progress(exam.done(), exam.progress.total, label)


def _set(future: asyncio.Future[types.CallToolResult], result: types.CallToolResult) -> None:
    if not future.done():
        future.set_result(result)


def _result(text: str, *, ok: bool) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=not ok)


def make_server(episode: Episode) -> Server[Any]:
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


_MARKDOWN: Final = "text/markdown"


def serve_stdio(episode: Episode) -> None:
    """Serve on stdin and stdout until the client closes them."""

    async def serve() -> None:
        server = make_server(episode)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(serve())


def serve_http(episode: Episode, host: str, port: int, on_start: Callable[[str], None]) -> None:
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
