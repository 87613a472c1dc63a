"""Recorded runs, a server that shows them, and a browser without a window."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from discoenv.viewer.api import Api
from discoenv.viewer.index import RunIndex
from discoenv.viewer.server import ViewerServer
from tests.viewer import recorded

Serve = Callable[[Path], ViewerServer]
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scripted run in ``scripted/``, and one with calls of a language model in ``chats/today/``."""
    root = tmp_path_factory.mktemp("recorded") / "runs"
    recorded.scripted_run(root / "scripted")
    recorded.chat_run(root / "chats" / "today")
    return root


@pytest.fixture(scope="session")
def scripted_run(runs: Path) -> Path:
    return next((runs / "scripted").iterdir())


@pytest.fixture(scope="session")
def chat_run(runs: Path) -> Path:
    return next((runs / "chats" / "today").iterdir())


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Starts a viewer of a folder, on a free port."""
    with ExitStack() as stack:

        def start(root: Path) -> ViewerServer:
            server = stack.enter_context(ViewerServer("127.0.0.1", 0, Api(RunIndex(root))))
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture(scope="session")
def server(serve: Serve, runs: Path) -> ViewerServer:
    return serve(runs)


@pytest.fixture(scope="package")  # others count the processes below theirs
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser with a new profile; skips where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()
