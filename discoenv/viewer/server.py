"""Serves the page and its data to this machine's browser."""

from __future__ import annotations

import hashlib
import ipaddress
import sys
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from discoenv.episodes.jsonl import NotThere
from discoenv.viewer import page
from discoenv.viewer.api import Api, BadQuery
from discoenv.viewer.plain import dumps

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class ViewerServer(ThreadingHTTPServer):
    """The viewer's HTTP server; it only ever reads.

    Args:
        host: address to listen on. On a loopback address, requests under another host name are refused, so that no
            web page can read the runs by letting a name of its site point here.
        port: 0 takes any free port.
        api: answers the page's requests.

    Raises:
        OSError: the address is in use, or not one of this machine's.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, api: Api) -> None:
        self.api = api
        self.local = is_local(host)
        self.host = host
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: ViewerServer
    protocol_version = "HTTP/1.1"
    server_version = "discoenv"
    sys_version = ""
    timeout = 60
    _FILES: ClassVar[dict[str, tuple[str, Callable[[], str]]]] = {
        "/": ("text/html", page.html),
        "/app.js": ("text/javascript", page.script),
        "/app.css": ("text/css", page.style),
    }

    def do_GET(self) -> None:
        """Answer with the page, a part of it, or data."""
        url = urllib.parse.urlsplit(self.path)
        if not self._host_is_ours():
            self._error(HTTPStatus.FORBIDDEN, "this server answers under the names of this machine only")
        elif url.path in self._FILES:
            kind, content = self._FILES[url.path]
            self._send(HTTPStatus.OK, kind, content().encode())
        elif url.path.startswith("/api/"):
            self._answer(url.path.removeprefix("/api/"), url.query)
        else:
            self._error(HTTPStatus.NOT_FOUND, "there is no such page")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _answer(self, name: str, query: str) -> None:
        try:
            parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            if name == "picture":
                kind, body = self.server.api.picture(parameters)
            else:
                kind, body = "application/json", dumps(self.server.api.answer(name, parameters)).encode()
        except NotThere as error:
            self._error(HTTPStatus.NOT_FOUND, str(error))
        except (BadQuery, ValueError) as error:
            self._error(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(HTTPStatus.OK, kind, body)

    def _error(self, status: HTTPStatus, message: str) -> None:
        self._send(status, "application/json", dumps({"error": message}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        same = status is HTTPStatus.OK and self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if same else status)
        for name, value in {
            "Content-Type": kind if kind.startswith("image/") else f"{kind}; charset=utf-8",
            "ETag": tag,
            "Cache-Control": "no-cache",
            "Content-Security-Policy": page.SERVED_POLICY,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        if not same:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not same and self.command != "HEAD":
            self.wfile.write(body)

    def _host_is_ours(self) -> bool:
        if not self.server.local:
            return True
        named = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return named in (*_LOCAL_NAMES, self.server.host)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: a page that polls would fill the terminal."""


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
