"""TrajectoryPrediction: published scenes are read without being run, and examined."""

from __future__ import annotations

import io
import json
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.TrajectoryPrediction import pickles, published
from discoenv.domains.TrajectoryPrediction.examiner import TrajectoryPredictionExaminer
from discoenv.errors import DatasetUnavailable, WrongData
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner

DOMAIN = Domain(BUILTIN / "TrajectoryPrediction")
PUBLISHED = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "download"]


def sample(number: int, **changes: Any) -> dict[str, Any]:
    """One scene as the published pickles hold it."""
    draw = np.random.default_rng(number)
    tracks = np.cumsum(draw.normal(0.3, 0.1, (32, 21, 2)), axis=1).astype(np.float32)
    seen = draw.random((32, 21)) < 0.8
    focal = number % 5
    seen[focal] = True
    future = tracks[focal, -1] + np.cumsum(draw.normal(0.3, 0.05, (60, 2)), axis=0)
    known = np.ones(60, np.float32)
    known[50 + number % 10 :] = 0.0
    lanes = np.cumsum(draw.normal(0.5, 0.3, (128, 20, 2)), axis=1).astype(np.float64)
    on_map = draw.random((128, 20)) < 0.9
    on_map[100:] = False
    return {
        "obj_trajs": tracks,
        "obj_trajs_mask": seen.astype(np.float32),
        "map_polylines": lanes,
        "map_polylines_mask": on_map,
        "track_index_to_predict": np.int64(focal),
        "center_gt_trajs": future.astype(np.float32),
        "center_gt_trajs_mask": known,
        "scenario_id": f"scene {number}",
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pickles of different protocols."""
    path = tmp_path / "pickles"
    path.mkdir()
    for number in range(40):
        (path / f"{number:03}.pkl").write_bytes(pickle.dumps(sample(number), protocol=2 + number % 4))
    return path


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_of_arrays_is_read_as_it_was_written(protocol: int) -> None:
    written = sample(3) | {"big": np.arange(6, dtype=">i4").reshape(2, 3), "turned": np.asfortranarray(np.eye(3, 4))}
    found = pickles.read(pickle.dumps(written, protocol=protocol), "it")
    assert set(found) == set(written)
    for name, value in written.items():
        np.testing.assert_array_equal(found[name], value)


class Runs:
    """Runs something when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class Evaluates:
    def __reduce__(self) -> Any:
        return eval, ("__import__('os').getpid()",)


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    pickle.loads(pickle.dumps(Runs(ran)))
    assert ran.exists()  # so would pickle.load
    ran.unlink()
    for evil in (Runs(ran), Evaluates(), np.load, print, io.BytesIO(b"x"), Runs):
        with pytest.raises(WrongData, match=r"evil\.pkl: the pickle names \S+, which is not read"):
            pickles.read(pickle.dumps({"obj_trajs": evil}), "evil.pkl")
    assert not ran.exists()
    ours = b"cnumpy\nndarray\n}(S'array'\nI1\nub."  # gives a class another attribute
    with pytest.raises(WrongData, match="the pickle gives a state to type"):
        pickles.read(ours, "evil.pkl")


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}, 1], dtype=object),
        np.array(["text"]),
        np.zeros(2, "c16"),
        np.zeros(2, [("a", "f4")]),
        np.array(["2020-01-01"], "M8[D]"),
        [1, 2],
        {"a": 1},
    ],
)
def test_what_is_no_array_of_numbers_is_refused(value: Any) -> None:
    with pytest.raises(WrongData, match="it"):
        pickles.read(pickle.dumps({"obj_trajs": value}), "it")


def test_damaged_and_lying_pickles_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = pickle.dumps(sample(0), protocol=4)
    for bad in (good[:-200], b"", b"\x80", b"not a pickle", pickle.dumps([1]), pickle.dumps({1: 2})):
        with pytest.raises(WrongData, match="it"):
            pickles.read(bad, "it")
    array = np.arange(7, dtype=np.float32)
    lying = pickle.dumps({"a": array}, protocol=2).replace(b"K\x07\x85", b"K\x08\x85")
    with pytest.raises(WrongData, match=r"an array of shape \(8,\) and dtype f4 has 28 bytes"):
        pickles.read(lying, "it")
    monkeypatch.setattr(pickles, "LARGEST", 100)
    with pytest.raises(WrongData, match="at most 100 are read"):
        pickles.read(good, "it")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obj_trajs": np.zeros((32, 20, 2))}, r"obj_trajs is float64 of shape \(32, 20, 2\); expected finite"),
        ({"center_gt_trajs": np.full((60, 2), np.nan)}, "center_gt_trajs is"),
        ({"track_index_to_predict": np.int64(32)}, "track_index_to_predict is 32"),
    ],
)
def test_scenes_of_another_shape_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongData, match=message):
        published.scene(sample(0, **changes), "it")
    with pytest.raises(WrongData, match="it has no obj_trajs"):
        published.scene({}, "it")


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_published_set_is_trained_on_and_examined(dataset: str, folder: Path, tmp_path: Path) -> None:
    published.convert(dataset, published.local(folder), tmp_path)
    exam = TrajectoryPredictionExaminer(dataset, "tiny", DOMAIN.config(dataset, "tiny"))
    exam.data = tmp_path
    data = exam.training_data(0)
    assert data["train_agents"].shape == (28, 8, 21, 2)
    assert data["validation_lanes"].shape == (4, 24, 20, 2)
    test = exam.part(0, "test")
    assert len(test) == 8
    np.testing.assert_array_equal(test.agents[:, 0, -1], 0.0)
    assert not {x.tobytes() for x in test.future} & {x.tobytes() for x in exam.part(1, "test").future}

    class Straight:
        def predict(self, agents: Any, mask: Any, lanes: Any, lanes_mask: Any) -> Any:
            step = agents[:, 0, -1] - agents[:, 0, -2]
            ahead = step[:, None, None] * np.arange(1, 61)[:, None]
            return np.repeat(ahead, 6, axis=1), np.full((len(agents), 6), 1 / 6)

    found = exam.examine(InProcessLearner(Straight(), state={"model": {"w": np.zeros(1)}}), 0)
    assert 0.0 < found["minADE"] < exam.floor(0)["minADE"] * 3
    assert found["brier_minFDE"] == pytest.approx(found["minFDE"] + (5 / 6) ** 2)


def test_scenes_are_ours_with_the_focal_one_first_and_unknown_futures_left_out() -> None:
    raw = [published.scene(sample(number), "it") for number in range(12)]
    found = published.joined(raw)
    for row, one in enumerate(raw):
        focal = int(one["track_index_to_predict"])
        origin = one["obj_trajs"][focal, -1]
        np.testing.assert_allclose(found.agents[row, 0], one["obj_trajs"][focal] - origin, atol=1e-5)
        known = one["center_gt_trajs_mask"] > 0
        np.testing.assert_allclose(found.future[row, known], (one["center_gt_trajs"] - origin)[known], atol=1e-5)
        assert not found.future[row, ~known].any()
        assert found.agents_mask[row].sum() == (one["obj_trajs_mask"] > 0.5).sum()
    hidden = sample(0)
    hidden["obj_trajs_mask"][0, -1] = 0.0
    assert len(published.joined([published.scene(hidden, "it"), raw[1]])) == 1


def test_what_was_not_fetched_is_named_with_the_command_and_the_licence(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"CC BY-NC-SA.*TrajectoryPrediction\.published Argoverse2"):
        published.read("Argoverse2", tmp_path)
    (tmp_path / "Waymo.npz").write_bytes(b"damaged")
    with pytest.raises(DatasetUnavailable, match="is damaged"):
        published.read("Waymo", tmp_path)
    with pytest.raises(ValueError, match="there is no set of scenes 'Lyft'"):
        published.place("Lyft")
    with pytest.raises(WrongData, match="there are no pickles of Waymo"):
        published.convert("Waymo", iter(()), tmp_path)


@pytest.fixture
def host(folder: Path) -> Iterator[str]:
    """Answers as the host of the scenes does, two files to a page."""
    names = [*sorted(path.name for path in folder.iterdir())[:5], "README.md"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path.startswith("/api/datasets/"):
                page = int(query.partition("cursor=")[2] or 0)
                body = json.dumps([{"type": "file", "path": each} for each in names[2 * page : 2 * page + 2]]).encode()
                self.send_response(200)
                if 2 * page + 2 < len(names):
                    here = f"http://{self.headers['Host']}"
                    self.send_header("Link", f'<{here}{path}?recursive=true&cursor={page + 1}>; rel="next"')
            else:
                body = (folder / path.rsplit("/", 1)[-1]).read_bytes()
                self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_scenes_are_fetched_page_by_page(host: str, folder: Path, tmp_path: Path) -> None:
    found = list(published.remote("nuScenes", host))
    assert [name for name, _ in found] == [f"{number:03}.pkl" for number in range(5)]
    published.convert("nuScenes", iter(found), tmp_path)
    assert len(published.read("nuScenes", tmp_path)) == 5


def test_without_a_network_the_error_says_what_can_be_done() -> None:
    with pytest.raises(DatasetUnavailable, match=r"Waymo could not be fetched from http://127\.0\.0\.1:9/.*--folder"):
        list(published.remote("Waymo", "http://127.0.0.1:9"))
