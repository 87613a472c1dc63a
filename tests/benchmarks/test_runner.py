"""The runner writes every figure, where it was measured, and whether what is promised holds."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import generation, report, runner
from benchmarks.report import ROOT, Bound, Options, Table

PAGE = ROOT / "docs/performance.md"
FIGURES = {"rows": {"process": {"start_s": 0.1, "end_s": 0.2, "overhead_s": 0.3, "commands/s": 4.0}}, "repeats": 1}


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def without(page: Path, begin: str, end: str) -> tuple[str, str]:
    """What stands before and after a section."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    return before, rest.partition(end)[2]


def test_one_run_writes_the_results_and_the_page(tmp_path: Path) -> None:
    out, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    words = "-m benchmarks --only generation --repeats 1 --most-sampled 10 --most-written 2"
    done = subprocess.run(
        [sys.executable, *shlex.split(words), "--out", str(out), "--doc", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Growth" in done.stdout and "cores:" in done.stdout
    content = json.loads(out.read_text())
    assert {"date", "commit", "hardware", "versions", "options", "seconds", "benchmarks", "bounds"} == set(content)
    assert {"processor", "cores", "memory"} <= set(content["hardware"])
    assert content["options"]["sampled"] == [10] and content["options"]["materialised"] == [2]
    assert {row["benchmark"] for row in content["bounds"]} == {"generation"}
    begin, end = report.marks("generation")
    section = page.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    for table in generation.tables(content["benchmarks"]["generation"]):
        assert table.markdown() in section
    assert without(page, begin, end) == without(PAGE, begin, end)


def test_a_benchmark_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: Options) -> report.Figures:
        raise RuntimeError("no sandbox\nworks here")

    monkeypatch.setattr(runner.load("startup"), "run", broken)
    monkeypatch.setattr(runner.load("sandboxes"), "run", lambda options: FIGURES)
    content = runner.execute(["startup", "sandboxes"], Options(), tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["benchmarks"] == content["benchmarks"]
    assert "no sandbox" in content["benchmarks"]["startup"]["traceback"]
    assert content["benchmarks"]["sandboxes"] == FIGURES
    assert runner.failed(content, check=False)
    shown = report.render(content, {name: runner.load(name) for name in ("startup", "sandboxes")})
    assert "works here" in shown["startup"][0].markdown()
    assert "| process | 100 | 200 | 300 | 4.0 |" in shown["sandboxes"][0].markdown()


@pytest.mark.parametrize(("measured", "held"), [(2.0, True), (1.0, False), (None, None)])
def test_a_bound_holds_or_not_or_is_unknown(measured: float | None, held: bool | None) -> None:
    bound = Bound("speed", measured, 2.0, at_most=False)
    assert bound.held is held
    content: report.Figures = {"benchmarks": {"x": {}}, "bounds": [report.record("x", bound)]}
    assert runner.failed(content, check=True) is (held is False)
    assert not runner.failed(content, check=False)


def test_a_table_is_markdown_with_its_notes() -> None:
    text = Table("T", ("a", "b"), [["1", "2"]], ["A note."]).markdown()
    assert text == "**T**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nA note.\n"


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    content: report.Figures = {"hardware": {}, "date": "2026-01-01", "commit": None, "seconds": {"startup": 1.0}}
    with pytest.raises(ValueError, match="needs <!-- benchmark startup"):
        report.write_page(page, content, {"startup": []})
    assert page.read_text() == "nothing\n"


def test_growth_goes_by_tens_up_to_the_most() -> None:
    assert runner.counts_to(10_000) == (10, 100, 1000, 10_000)
    assert runner.counts_to(250) == (10, 100, 250)
    assert runner.counts_to(10) == (10,)


def test_unknown_benchmarks_and_scales_are_refused() -> None:
    with pytest.raises(typer.BadParameter, match="throughput"):
        runner.load("speed")
    app = typer.Typer(add_completion=False)
    app.command()(runner.command)
    refused = CliRunner().invoke(app, ["--scale", "huge"], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "'huge' is not one of 'tiny', 'small', 'full'" in refused.output


def test_the_page_has_a_place_for_every_benchmark_and_its_options_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in runner.NAMES:
        begin, end = report.marks(name)
        assert text.count(begin) == text.count(end) == 1
    app = typer.Typer(add_completion=False)
    app.command()(runner.command)
    known = {name for each in typer.main.get_command(app).params for name in each.opts}
    outside = re.sub(r"<!-- benchmark.*?<!-- /benchmark[^>]*-->", "", text, flags=re.DOTALL)
    assert options_in(outside) == known - {"--help"}
    stage = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nci-bench:")[2]
    chosen = options_in(stage.partition('BENCH="')[2].partition('"\n')[0])
    assert chosen
    assert chosen <= known
