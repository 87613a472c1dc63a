"""The kit ``exam``: small enough to read, free of anything but NumPy, and a learner's part of an exam."""

from __future__ import annotations

import ast
import io
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.kits import exam
from discoenv.kits.exam import messages

FILES = [Path(exam.__file__), Path(messages.__file__)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_has_at_most_120_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 120


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_imports_only_the_standard_library_and_numpy(file: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or (node.level, node.module) == (1, "messages")
            imported |= {str(node.module).split(".")[0]} if node.level == 0 else set()
    assert imported <= {"numpy", *sys.stdlib_module_names}
    assert not imported & {"pickle", "marshal", "shelve", "subprocess", "ctypes"}


def test_the_seed_is_the_one_of_the_exam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAM_SEED", raising=False)
    assert exam.seed() == 0
    monkeypatch.setenv("EXAM_SEED", "2147483647")
    assert exam.seed() == 2**31 - 1


def test_training_data_are_the_arrays_of_the_exam(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAM_DATA", str(tmp_path))
    assert exam.training_data() == {}
    np.savez(tmp_path / "train.npz", x=np.arange(3), words=np.array(["a", "b"]))
    data = exam.training_data()
    np.testing.assert_array_equal(data["x"], [0, 1, 2])
    assert data["words"].tolist() == ["a", "b"]


@pytest.mark.parametrize("kind", ["empty", "half", "object"])
def test_damaged_training_data_are_an_error_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    whole = io.BytesIO()
    np.savez(whole, x=np.array([{}]) if kind == "object" else np.arange(1000), allow_pickle=True)
    content = {"empty": b"", "half": whole.getvalue()[:500], "object": whole.getvalue()}[kind]
    (tmp_path / "train.npz").write_bytes(content)
    monkeypatch.setenv("EXAM_DATA", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"train\.npz cannot be read"):
        exam.training_data()


def test_serving_without_an_examiner_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAM_SOCKET", raising=False)
    with pytest.raises(RuntimeError, match=r"python run_main\.py"):
        exam.serve(object())


class Doubler:
    """Answers, and may change what it was given."""

    def double(self, x: Any, options: dict[str, Any]) -> Any:
        x *= options["factor"]
        return {"x": x, "again": (x, None)}

    def fail(self) -> None:
        raise ValueError("no answer")


@pytest.fixture
def examiner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(1)
    monkeypatch.setenv("EXAM_SOCKET", str(tmp_path / "s"))
    return listener


def test_a_model_answers_until_the_exam_is_over(examiner: socket.socket) -> None:
    served = threading.Thread(target=exam.serve, args=[Doubler()])
    served.start()
    with examiner, examiner.accept()[0] as connection:
        assert messages.receive(connection) == {"ready": True}
        messages.send(connection, {"call": "double", "args": [np.ones(3), {"factor": 2}]})
        answer = messages.receive(connection)["answer"]
        np.testing.assert_array_equal(answer["x"], [2, 2, 2])
        assert answer["again"][1] is None
    served.join()


def test_a_closed_connection_ends_the_exam(examiner: socket.socket) -> None:
    served = threading.Thread(target=exam.serve, args=[Doubler()])
    served.start()
    with examiner, examiner.accept()[0] as connection:
        messages.receive(connection)
    served.join(60)
    assert not served.is_alive()


@pytest.mark.parametrize("method", ["fail", "missing"])
def test_an_error_of_the_model_passes_through_and_closes_the_connection(examiner: socket.socket, method: str) -> None:
    caught: list[Exception] = []

    def serve() -> None:
        try:
            exam.serve(Doubler())
        except Exception as error:
            caught.append(error)

    served = threading.Thread(target=serve)
    served.start()
    with examiner, examiner.accept()[0] as connection:
        messages.receive(connection)
        messages.send(connection, {"call": method, "args": []})
        assert messages.receive(connection) == {}
    served.join()
    assert isinstance(caught[0], ValueError if method == "fail" else AttributeError)


def test_what_is_handed_over_arrives_as_arrays(examiner: socket.socket) -> None:
    state = {"weights": [np.arange(3.0), {"bias": 1}], "steps": np.int64(7)}
    learner = threading.Thread(target=exam.hand_over, args=[state])
    learner.start()
    with examiner, examiner.accept()[0] as connection:
        sent = messages.receive(connection)["state"]
    learner.join()
    np.testing.assert_array_equal(sent["weights"][0], [0, 1, 2])
    assert sent["weights"][1] == {"bias": 1}
    assert sent["steps"] == 7


def test_a_model_is_made_of_a_state_and_answers(examiner: socket.socket) -> None:
    class Scaler:
        def __init__(self, config: dict[str, Any], state: dict[str, Any]) -> None:
            self.factor = config["factor"] * state["scale"]

        def apply(self, x: Any) -> Any:
            return x * self.factor

    learner = threading.Thread(target=exam.answer, args=[Scaler])
    learner.start()
    with examiner, examiner.accept()[0] as connection:
        messages.send(connection, {"config": {"factor": 2}, "state": {"scale": np.array(1.5)}})
        assert messages.receive(connection) == {"ready": True}
        messages.send(connection, {"call": "apply", "args": [np.ones(2)]})
        np.testing.assert_array_equal(messages.receive(connection)["answer"], [3, 3])
    learner.join()


def test_the_state_of_the_stage_before_is_what_was_handed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAM_DATA", str(tmp_path))
    assert exam.previous_state() == {}
    (tmp_path / "state").write_bytes(messages.pack({"weights": np.arange(4), "inner": [np.zeros((2, 0))]}))
    state = exam.previous_state()
    np.testing.assert_array_equal(state["weights"], [0, 1, 2, 3])
    assert state["inner"][0].shape == (2, 0)
