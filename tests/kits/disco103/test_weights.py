"""The loader of the published weights: what it reads, what it refuses, and downloads."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.disco103 import (  # noqa: E402
    DiscoUpdateRule,
    WeightsError,
    download_disco103_weights,
    load_disco103_weights,
    save_weights,
)
from discoenv.kits.disco103 import weights as module  # noqa: E402


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Weights of a new rule, in the form of the published file."""
    path = tmp_path / "rule.npz"
    save_weights(DiscoUpdateRule(), path)
    return path


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    with np.load(path) as file:
        arrays = dict(file.items())
    change(arrays)
    np.savez(path.with_name("changed.npz"), **arrays)
    return path.with_name("changed.npz")


def test_the_published_file_has_42_tensors_which_all_arrive(weights: Path) -> None:
    rule = DiscoUpdateRule()
    load_disco103_weights(rule, weights)
    with np.load(weights) as file:
        arrays = dict(file.items())
    assert len(arrays) == 42
    assert sum(x.size for x in arrays.values()) == 754_778
    assert sum(x.numel() for x in rule.parameters()) == 754_778
    assert sum(float(x.double().sum()) for x in rule.parameters()) == pytest.approx(
        sum(float(x.astype(np.float64).sum()) for x in arrays.values()), rel=1e-12
    )
    np.testing.assert_array_equal(rule.meta_net.gate.weight.detach().T, arrays["lstm/linear/w"])


def test_what_is_saved_is_loaded_again(saved: Path) -> None:
    first, second = DiscoUpdateRule(), DiscoUpdateRule().double()
    load_disco103_weights(first, saved, sha256=None)
    load_disco103_weights(second, saved, sha256=None)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert other.dtype == torch.float64
        torch.testing.assert_close(one.double(), other, rtol=0, atol=0)
    with np.load(saved) as file:
        assert file["lstm/sequential/conv1_d/w"].shape == (1, 18, 16)
        assert file["lstm/lstm/linear/w"].shape == (283, 1024)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.pop("lstm/linear_4/b"), "lstm/linear_4/b is missing"),
        (lambda x: x.update({"lstm/linear_5/w": np.zeros(3, np.float32)}), "lstm/linear_5/w is not known"),
        (
            lambda x: x.update({"lstm/linear/w": x["lstm/linear/w"].T}),
            r"lstm/linear/w is float32 \[256, 128\] instead of float32 \[128, 256\]",
        ),
        (
            lambda x: x.update({"lstm/linear/b": x["lstm/linear/b"].astype(np.float64)}),
            r"lstm/linear/b is float64 \[256\] instead of float32 \[256\]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    saved: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    rule = DiscoUpdateRule()
    before = [x.detach().clone() for x in rule.parameters()]
    with pytest.raises(WeightsError, match=message):
        load_disco103_weights(rule, changed(saved, change), sha256=None)
    for one, other in zip(before, rule.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_all_faults_are_named_at_once(saved: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        del arrays["lstm/linear/w"], arrays["lstm/linear/b"]

    with pytest.raises(WeightsError, match=r"lstm/linear/b is missing; lstm/linear/w is missing"):
        load_disco103_weights(DiscoUpdateRule(), changed(saved, change), sha256=None)


def test_other_weights_are_not_taken_for_the_published_ones(saved: Path) -> None:
    with pytest.raises(WeightsError, match=r"not the published file.*sha256=None"):
        load_disco103_weights(DiscoUpdateRule(), saved)


def test_a_missing_file_names_the_command_that_downloads_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"python -m discoenv\.kits\.disco103\.weights .*absent\.npz"):
        load_disco103_weights(DiscoUpdateRule(), tmp_path / "absent.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.npz is no \.npz file"):
        load_disco103_weights(DiscoUpdateRule(), path)


# --- downloads --------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(saved: Path) -> Iterator[tuple[str, list[str]]]:
    """A local file server: URL of the weights, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(saved.parent))) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/{saved.name}", asked
        running.shutdown()
        thread.join()


def test_weights_are_downloaded_once(
    saved: Path, server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    url, asked = server
    digest = module._digest(saved)
    rule = DiscoUpdateRule()
    for _ in range(2):
        load_disco103_weights(rule, url=url, sha256=digest)
    assert asked == ["/rule.npz"]
    assert module.default_path().read_bytes() == saved.read_bytes()
    assert module.default_path().is_relative_to(tmp_path / "home")


def test_a_damaged_download_is_refused_and_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "weights.npz"
    with pytest.raises(WeightsError, match="invalid hash value"):
        download_disco103_weights(target, saved.as_uri(), "0" * 64)
    assert list(target.parent.iterdir()) == []


def test_without_network_the_message_says_where_to_put_the_file(tmp_path: Path) -> None:
    target = tmp_path / "weights.npz"
    with pytest.raises(WeightsError, match=r"could not be downloaded.*copy disco_103\.npz"):
        download_disco103_weights(target, (tmp_path / "absent.npz").as_uri())


def test_a_damaged_file_is_downloaded_again(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "weights.npz"
    target.write_bytes(b"half")
    assert download_disco103_weights(target, saved.as_uri(), module._digest(saved)) == target
    assert target.read_bytes() == saved.read_bytes()
