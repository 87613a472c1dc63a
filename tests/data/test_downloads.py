"""Files of datasets are fetched once, checked, shared by content, and never half there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from discoenv.data import downloads
from discoenv.data.downloads import File
from discoenv.errors import DatasetUnavailable
from discoenv.exams.host import Host
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting
from tests.conftest import MakeVariant


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What a server would have."""
    path = tmp_path / "server" / "numbers.bin"
    path.parent.mkdir()
    path.write_bytes(bytes(range(100)))
    return path


def listed(source: Path, *before: str, name: str = "numbers.bin", content: bytes | None = None) -> File:
    content = source.read_bytes() if content is None else content
    digest = hashlib.sha256(content).hexdigest()
    return File(name=name, urls=(*before, source.as_uri()), sha256=digest, size=len(content))


def test_a_file_is_fetched_once_and_then_comes_from_the_cache(source: Path, tmp_path: Path) -> None:
    file, origins = listed(source), []
    for _ in range(2):
        place = downloads.fetch("D", "one", [file], tmp_path / "cache", lambda file, origin: origins.append(origin))
        assert (place / file.name).read_bytes() == source.read_bytes()
    assert origins == [source.as_uri(), "cache"]
    source.unlink()
    assert downloads.fetch("D", "two", [file], tmp_path / "cache") != place
    assert downloads.folder("D", "one", [file], tmp_path / "cache") == place


def test_a_mirror_is_tried_when_the_first_source_fails(source: Path, tmp_path: Path) -> None:
    origins: list[str] = []
    file = listed(source, (source.parent / "absent").as_uri(), "gopher://old/numbers.bin")
    downloads.fetch("D", "one", [file], tmp_path / "cache", lambda file, origin: origins.append(origin))
    assert origins == [source.as_uri()]


@pytest.mark.parametrize("size", [99, 100, 3 << 20])
def test_a_file_that_is_not_what_it_should_be_is_refused_and_not_kept(source: Path, tmp_path: Path, size: int) -> None:
    file = listed(source)
    source.write_bytes(bytes(size))
    with pytest.raises(
        DatasetUnavailable, match=r"(?s)D: the data of one could not .*discoenv data fetch D one.*(SHA-256|longer)"
    ):
        downloads.fetch("D", "one", [file], tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with pytest.raises(DatasetUnavailable, match="has not been fetched"):
        downloads.folder("D", "one", [file], tmp_path / "cache")


def test_a_damaged_cache_is_repaired(source: Path, tmp_path: Path) -> None:
    file = listed(source)
    place = downloads.fetch("D", "one", [file], tmp_path / "cache")
    (place / file.name).unlink()
    (place / file.name).write_bytes(bytes(100))
    (tmp_path / "cache" / "sha256" / file.sha256).write_bytes(bytes(100))
    downloads.fetch("D", "one", [file], tmp_path / "cache")
    assert (place / file.name).read_bytes() == source.read_bytes()


def test_a_new_version_of_a_dataset_is_another_folder(source: Path, tmp_path: Path) -> None:
    before = downloads.fetch("D", "one", [listed(source)], tmp_path / "cache")
    source.write_bytes(b"new")
    assert downloads.fetch("D", "one", [listed(source)], tmp_path / "cache") != before


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", ""])
def test_a_name_is_a_plain_one(source: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        listed(source, name=name)


def test_files_that_were_copied_by_hand_are_found_and_checked(tmp_path: Path) -> None:
    """As the description of StanfordCars says: content, by its SHA-256, in the folder ``sha256`` of the cache."""
    content = b"the annotations"
    digest = hashlib.sha256(content).hexdigest()
    wanted = File(name="cars.mat", urls=("https://localhost:9/gone",), sha256=digest, size=len(content))
    (tmp_path / "sha256").mkdir()
    (tmp_path / "sha256" / digest).write_bytes(content)
    folder = downloads.fetch("ComputerVisionClassification", "StanfordCars", [wanted], tmp_path)
    assert (folder / "cars.mat").read_bytes() == content


@pytest.fixture
def wave(make_variant: MakeVariant, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Domain:
    """A domain with a dataset that has to be fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def change(content: dict[str, Any]) -> None:
        first = next(iter(content["datasets"]))
        content["datasets"][first] = {"source": "download", "files": [listed(source).model_dump(mode="json")]}

    return make_variant(change=change)


def test_the_command_fetches_what_an_exam_asks_for(wave: Domain) -> None:
    from discoenv.cli.main import app

    dataset = wave.datasets[0]
    host = Host()
    try:
        with pytest.raises(DatasetUnavailable, match=rf"discoenv data fetch {wave.name} {dataset}"):
            host.floor(Setting(wave, "default", dataset, "tiny"), 0)
        done = CliRunner().invoke(app, ["data", "fetch", wave.name])
        assert done.exit_code == 0, done.output
        assert str(wave.held_data(dataset)) in done.output
        assert host.floor(Setting(wave, "default", dataset, "tiny"), 0)
    finally:
        host.close()
    assert wave.held_data(wave.datasets[1]) is None


def test_a_dataset_has_the_files_of_its_published_sets_and_its_own(make_variant: MakeVariant, source: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        own = listed(source).model_dump(mode="json")
        first = next(iter(content["datasets"]))
        content["datasets"][first] = {
            "source": "download", "data": "tiny_imagenet", "files": [own], "requires": ["numpy"],
        }  # fmt: skip

    domain = make_variant(change=change)
    dataset = domain.specification.datasets[domain.datasets[0]]
    assert [file.name for file in dataset.to_fetch] == ["tiny-imagenet-200.zip", "numbers.bin"]
    assert dataset.packages == ("PIL", "numpy")
    with pytest.raises(DatasetUnavailable, match=rf"{domain.name}: the data of .*https.*tiny-imagenet.*numbers\.bin"):
        domain.held_data(domain.datasets[0], source.parent)


def test_domains_share_what_was_fetched(source: Path, tmp_path: Path) -> None:
    file, origins = listed(source), []
    for domain in ("A", "B"):
        downloads.fetch(domain, "one", [file], tmp_path / "cache", lambda file, origin: origins.append(origin))
    assert origins == [source.as_uri(), "cache"]


def test_a_domain_without_downloads_has_nothing_to_fetch() -> None:
    from discoenv.cli.main import app

    done = CliRunner().invoke(app, ["data", "fetch", "GreenhouseGasPrediction"])
    assert done.exit_code == 0
    assert "nothing has to be fetched" in done.output
    assert get_domain("GreenhouseGasPrediction").held_data("MaunaLoa/CO2") is None
