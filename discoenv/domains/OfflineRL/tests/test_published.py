"""Sets of OGBench: read from small files of the same form, and refused where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.data.downloads import DatasetUnavailable
from discoenv.data.generated import WrongData
from discoenv.domains.OfflineRL import published
from discoenv.domains.OfflineRL.tests.conftest import DOMAIN

NAME = "puzzle-3x3-play"


def arrays(recordings: int = 3, rows: int = 6) -> dict[str, np.ndarray[Any, Any]]:
    """A set as OGBench writes it: flat, the last row of each recording marked."""
    total, draw = recordings * rows, np.random.default_rng(0)
    return {
        "observations": draw.normal(size=(total, 5)).astype(np.float32),
        "actions": draw.uniform(-1, 1, (total, 2)).astype(np.float32),
        "terminals": (np.arange(total) % rows == rows - 1).astype(np.float32),
        "qpos": draw.normal(size=(total, 4)),
        "button_states": draw.integers(2, size=(total, 9)),
    }


def written(folder: Path, name: str = NAME, **changes: Any) -> Path:
    path = published.place(name, folder)
    np.savez(path, **{**arrays(), **changes})
    return path


def test_a_set_is_split_into_recordings(tmp_path: Path) -> None:
    written(tmp_path)
    flat, found = arrays(), published.read(NAME, tmp_path)
    assert found.recording.observations.shape == (3, 6, 5) and found.recording.actions.shape == (3, 5, 2)
    np.testing.assert_array_equal(found.recording.observations[1], flat["observations"][6:12])
    np.testing.assert_array_equal(found.recording.actions[2], flat["actions"][12:17])
    np.testing.assert_array_equal(found.info["button_states"][0], flat["button_states"][1:6])
    source = published.Published(NAME, {"TRAJECTORIES": 2}, tmp_path)
    assert (source.observation_dim, source.action_dim, len(source.recording.actions)) == (5, 2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qpos": np.zeros((17, 4))}, "qpos is float64 of shape \\(17, 4\\); expected 18 finite rows"),
        ({"actions": np.full((18, 2), np.nan)}, "actions is .* finite"),
        ({"terminals": np.zeros(18)}, "its recordings are \\[\\] rows long"),
        ({"terminals": np.eye(18)[[4]].sum(axis=0) + np.eye(18)[17]}, "its recordings are \\[5, 13\\] rows long"),
    ],
)
def test_sets_that_are_none_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongData, match=message):
        published.split({**arrays(), **changes}, "a set")
    written(tmp_path, **changes)
    with pytest.raises(DatasetUnavailable, match=r"is damaged .*: remove it, and run `python -m"):
        published.read(NAME, tmp_path)


def test_what_is_missing_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=rf"have not been fetched.*Run `python -m .*published {NAME}`"):
        published.read(NAME, tmp_path)
    with pytest.raises(ValueError, match="there is no set 'cube-triple-play'; there are antmaze-large-navigate"):
        published.place("cube-triple-play")
    with pytest.raises(WrongData, match="lacks qpos"):
        published.split({key: part for key, part in arrays().items() if key != "qpos"}, "a set")


def test_a_set_is_fetched_and_looked_at(tmp_path: Path) -> None:
    source = tmp_path / "host"
    source.mkdir()
    written(source)
    path = published.fetch(NAME, tmp_path / "cache", source.as_uri())
    assert path == published.place(NAME, tmp_path / "cache")
    assert published.read(NAME, tmp_path / "cache").recording.actions.shape == (3, 5, 2)
    with pytest.raises(DatasetUnavailable, match="If you have the file, put it at"):
        published.fetch("scene-play", tmp_path / "cache", source.as_uri())
    published.place("scene-play", source).write_bytes(b"no archive")
    with pytest.raises(WrongData, match="is no set of recordings"):
        published.fetch("scene-play", tmp_path / "cache", source.as_uri())
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [f"{NAME}-v0.npz"]


def test_every_set_is_a_dataset_at_full_and_has_its_own_world() -> None:
    sets = {}
    for dataset, entry in DOMAIN.specification.datasets.items():
        if entry.source == "download":
            assert DOMAIN.scales(dataset) == ["small", "full"]
            sets[dataset] = DOMAIN.config(dataset, "full")["SET"]
    assert sets == {f"OGBench/{name}": name for name in published.SETS}


def test_without_the_package_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ogbench", None)
    with pytest.raises(DatasetUnavailable, match="pip install 'ogbench=="):
        published.environments.__wrapped__(NAME, 1)


@pytest.mark.slow
def test_episodes_of_a_world_are_seeded() -> None:
    pytest.importorskip("ogbench")
    config = {"TRAJECTORIES": None, "EVALUATION_EPISODES": 2, "EVALUATION_STEPS": 3}
    source = published.Published("antmaze-large-navigate", config)
    one, two, other = (
        source.episodes(
            lambda obs: np.zeros((2, 8)), np.zeros(1), np.random.default_rng(seed), np.random.default_rng(0)
        ).observations
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert one.shape == (2, 4, 29) and (one != other).any()
