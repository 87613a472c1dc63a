"""Python that others wrote is read from any thread, and every refusal is a SyntaxError."""

from __future__ import annotations

import ast
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from discoenv.python_text import parse, tree_of


@pytest.fixture
def threads_change_often() -> Iterator[None]:
    """Other threads run in the middle of a tree's making, when garbage is collected."""

    def pause(phase: str, info: dict[str, int]) -> None:
        time.sleep(1e-4)

    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(pause)
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)
    gc.callbacks.remove(pause)


def test_threads_read_at_once(threads_change_often: None) -> None:
    text = Path(ast.__file__).read_text(encoding="utf-8").partition("\nclass NodeTransformer")[0]
    trees: list[ast.Module] = []
    threads = [threading.Thread(target=lambda: trees.append(parse(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ast.dump(tree) for tree in trees}) == 1
    assert len(trees) == 4


def test_a_child_of_a_fork_can_read_while_another_thread_does(threads_change_often: None) -> None:
    text, ended = Path(ast.__file__).read_text(encoding="utf-8"), threading.Event()

    def read_on() -> None:
        while not ended.is_set():
            parse(text)

    thread = threading.Thread(target=read_on)
    thread.start()
    try:
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0 if tree_of("x = 1") else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "invalid syntax"),
        ("x = '\0'", "null byte"),
        ("x = " + "-" * 100_000 + "1", "nested too deeply|too many nested|too complex"),
        ("x = '\ud800'", "surrogates not allowed"),
    ],
)
def test_what_is_not_python_is_refused_in_one_way(text: str, message: str) -> None:
    with pytest.raises(SyntaxError, match=message):
        parse(text)
    assert tree_of(text) is None


def test_a_text_becomes_its_tree() -> None:
    tree = tree_of("x = 1")
    assert tree is not None
    assert ast.dump(tree) == ast.dump(parse("x = 1"))
