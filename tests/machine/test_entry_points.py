"""Entry points of installed packages: listed without an import, loaded when used, named when broken."""

from __future__ import annotations

import importlib.metadata
import logging
import sys

import pytest

from discoenv.errors import EntryPointError
from discoenv.machine import entry_points
from tests.conftest import Install


def test_an_entry_point_is_found_without_an_import_and_loaded_when_it_is_used(install: Install) -> None:
    install("tiny-plugin", {"discoenv.tests": {"b": "tiny_plugin:B", "a": "tiny_plugin:A.inner"}}, files={
        "tiny_plugin.py": "B = 3\nclass A:\n    inner = 4\n",
    })  # fmt: skip
    found = entry_points.find("discoenv.tests")
    assert list(found) == ["a", "b"]
    assert found["b"].distributions == ("tiny-plugin 1.2",)
    assert "tiny_plugin" not in sys.modules
    assert [found["a"].load(), found["b"].load()] == [4, 3]


def test_a_group_that_no_package_has_is_empty() -> None:
    assert entry_points.find("discoenv.nothing") == {}


def test_a_package_that_is_installed_later_is_found(install: Install) -> None:
    before = entry_points.find("discoenv.tests")
    install("late", {"discoenv.tests": {"late": "late:LATE"}})
    assert [*before, "late"] == list(entry_points.find("discoenv.tests"))


@pytest.mark.parametrize(
    ("value", "files", "reason"),
    [
        ("broken:A", {}, "ModuleNotFoundError: No module named 'broken'"),
        ("broken:A", {"broken.py": "B = 1\n"}, "AttributeError: module 'broken' has no attribute 'A'"),
        ("broken:A", {"broken.py": "1 / 0\n"}, "ZeroDivisionError"),
        ("not a path", {}, "cannot be imported"),
    ],
)
def test_a_broken_entry_point_is_an_error_that_names_the_package_and_what_to_do(
    value: str, files: dict[str, str], reason: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    install("broken-plugin", {"discoenv.tests": {"x": value}, "discoenv.others": {"fine": "json:loads"}}, files=files)
    with pytest.raises(EntryPointError) as caught:
        entry_points.find("discoenv.tests")["x"].load()
    message = str(caught.value)
    assert f"entry point 'x' ({value}, group discoenv.tests) of the package broken-plugin 1.2" in message
    assert reason in message
    assert "update broken-plugin, or uninstall it" in message
    assert callable(entry_points.find("discoenv.others")["fine"].load())


def test_a_name_that_two_packages_declare_belongs_to_neither(install: Install) -> None:
    for name in ("one", "two"):
        install(name, {"discoenv.tests": {"same": "json:loads"}})
    with pytest.raises(EntryPointError, match=r"'same'.*declared by two 1.2 and one 1.2: uninstall one of them"):
        entry_points.find("discoenv.tests")["same"].load()


def test_a_package_that_is_installed_twice_counts_once(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    root = install("one", {"discoenv.tests": {"once": "json:loads"}})
    second = root / "again" / "one-1.1.dist-info"
    second.mkdir(parents=True)
    for file in (root / "one-1.2.dist-info").iterdir():
        (second / file.name).write_text(file.read_text().replace("1.2", "1.1"))
    monkeypatch.syspath_prepend(str(root / "again"))
    assert entry_points.find("discoenv.tests")["once"].distributions == ("one 1.1",)


def test_a_package_with_damaged_metadata_is_left_out_with_a_warning(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("sound", {"discoenv.tests": {"sound": "json:loads"}})
    root = install("damaged", {})
    (root / "damaged-1.2.dist-info" / "entry_points.txt").write_text("[discoenv.tests]\nno equals sign\n")
    with caplog.at_level(logging.WARNING, logger=entry_points.__name__):
        assert list(entry_points.find("discoenv.tests")) == ["sound"]
        assert list(entry_points.find("discoenv.tests")) == ["sound"]
    (record,) = caplog.records
    assert "damaged-1.2.dist-info" in record.getMessage()


def test_the_reference_agents_are_entry_points_of_discoenv() -> None:
    declared = importlib.metadata.distribution("discoenv").entry_points.select(group="discoenv.agents")
    assert {point.name for point in declared} <= set(entry_points.find("discoenv.agents"))
    assert {"baseline", "scripted", "react"} <= {point.name for point in declared}


def test_metadata_is_read_once_for_one_path(install: Install) -> None:
    root = install("one", {"discoenv.tests": {"once": "json:loads"}})
    assert "once" in entry_points.find("discoenv.tests")
    (root / "one-1.2.dist-info" / "entry_points.txt").unlink()
    assert "once" in entry_points.find("discoenv.tests")
