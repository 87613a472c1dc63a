"""The benchmark of generation counts what it says, beside DiscoGen's package and without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import generation
from benchmarks.report import ROOT, Options

OPTIONS = Options(repeats=1, sampled=(2, 20), materialised=(1, 3))


@pytest.fixture
def discogen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package of that name; DISCOGEN_PACK names its folder."""

    def make(text: str) -> None:
        (tmp_path / "discogen").mkdir()
        (tmp_path / "discogen" / "__init__.py").write_text(text)
        monkeypatch.setenv("DISCOGEN_PACK", str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.delenv("DISCOGEN_PYTHON", raising=False)

    return make


def test_as_many_tasks_are_drawn_and_written_as_are_counted() -> None:
    assert generation.call("discoenv", "grow-sample", "7")["tasks"] == [7.0]
    found = generation.call("discoenv", "grow-create", "3")
    assert found["tasks"] == [3.0] and len(found["ms"]) == 3
    found = generation.call("discoenv", "create", "2")
    assert all(len(values) == 2 for key, values in found.items() if key != "import, first sample ms")
    assert min(found["files"]) > 5 and min(found["KiB"]) > 1


def test_both_packages_are_measured_side_by_side(discogen: Callable[[str], None]) -> None:
    discogen("from discoenv import create_task, sample_task_config\n")
    figures = generation.run(OPTIONS)
    assert set(figures["medians"]) == {"discoenv", "discogen"}
    for ways in figures["growth"].values():
        assert [point["tasks"] for point in ways["sample"]] == [2.0, 20.0]
        assert [point["tasks"] for point in ways["create"]] == [1.0, 3.0]
    side_by_side, growth = generation.tables(figures)
    assert len(growth.rows) == 8
    assert all("×" in row[3] for row in side_by_side.rows if "ms" in row[0])
    sampling, materialising = generation.bounds(figures)
    assert sampling.measured is not None and materialising.measured is not None
    medians = figures["medians"]
    assert sampling.measured == medians["discogen"]["sample ms"] / medians["discoenv"]["sample ms"]


def test_without_discogen_its_rows_say_so(discogen: Callable[[str], None]) -> None:
    discogen("raise ImportError('not here')\n")
    figures = generation.run(OPTIONS)
    assert set(figures["medians"]) == {"discoenv"}
    table = generation.tables(figures)[0]
    assert table.rows[0][2:] == ["—", "—"]
    assert "set DISCOGEN_PACK" in table.notes[0]
    assert [bound.held for bound in generation.bounds(figures)] == [None, None]


def test_a_package_that_fails_is_an_error(discogen: Callable[[str], None]) -> None:
    discogen("raise ValueError('broken')\n")
    with pytest.raises(RuntimeError, match="broken"):
        generation.packages()
