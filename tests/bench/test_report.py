"""The report of a benchmark: complete, self-contained, deterministic, and deaf to what agents put into their names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.bench.cell import CellResult, DatasetOutcome, Matrix
from discoenv.bench.report import contents, tables
from discoenv.bench.report.build import report
from discoenv.errors import BenchError
from discoenv.tasks.task import Task
from tests.bench.conftest import Command
from tests.bench.records import cell, task, write

TABLES = {
    "leaderboard",
    "ratings-single",
    "ratings-until-success",
    "ratings-all",
    "ratings-every",
    "domains",
    "modules",
    "editable-modules",
    "generalisation",
    "tasks",
    "cost",
    "watch",
    "failed",
    "missing",
    "left-out",
    "environment",
}
FIGURES = {"figure-ratings", "figure-profiles", "figure-success", "figure-generalisation", "figure-cost"}
HOSTILE = "_evil$x_1$|`<script>alert(1)</script>\n[go](http://here) 'DejaVu Sans'"
TASKS = (
    task("model"),
    task("model", meta_train=("BoxModel/CH4",), meta_test=("BoxModel/CO2",)),
    task("data_processing"),
    task("data_processing", meta_train=("BoxModel/CH4",), meta_test=("BoxModel/CO2",)),
    task("data_processing", "model"),
)


class Page(HTMLParser):
    """What a browser would find: elements, attributes, and the rows of each section's table."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._section = ""
        self._inside = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "section":
            self._section = attributes["id"] or ""
            self.rows[self._section] = []
        elif tag == "tr":
            self.rows[self._section].append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[self._section][-1][-1] += data


def matrix(*agents: str, tasks: tuple[Task, ...] = TASKS) -> Matrix:
    return Matrix(
        name="small <b>benchmark</b>",
        agents=list(agents),
        tasks=[each.model_dump(mode="json") for each in tasks],
        seeds=[0, 1, 2],
        scale="tiny",
        environment={"max_steps": 4},
        left_out={"OnPolicyRL_loss": "needs jax"},
        versions={"python": "3.11.7", "numpy": "2.4.6"},
        machine={"processor": "a processor", "cores": 2},
        created="2026-11-21T17:00:00+00:00",
    )


def played(agent: str, strength: float, **others: Any) -> list[CellResult]:
    generator = np.random.default_rng(len(agent))
    return [
        cell(
            agent,
            strength + generator.normal(0, 0.2),
            train=strength + 0.3,
            task=each.task_id,
            seed=seed,
            modules=each.modules,
            datasets=each.meta_test,
            **others,
        )
        for each in TASKS
        for seed in (0, 1, 2)
    ]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three agents, one with a hostile name; one failed run, one failed exam, one missing cell."""
    directory = tmp_path_factory.mktemp("bench") / "small"
    tokens = {"prompt": 1000, "completion": 100, "total": 1100, "calls": 2}
    watch = {"flag": 2, "refused import": 0, "printed score": "many"}
    results = [
        *played("good", 1.5, tokens=tokens, cost_usd=0.25, watch=watch),
        *played("poor", 0.4),
        *played(HOSTILE, 0.7),
    ]
    good = next(each for each in results if each.agent == "good")
    results.remove(good)
    results[0] = cell(
        "good", None, task=results[0].task, seed=1, modules=["model"], error="<img src=x onerror=alert(2)>"
    )
    bad = next(each for each in results if each.agent == "poor")
    results[results.index(bad)] = cell(
        "poor",
        0.0,
        task=bad.task,
        modules=bad.modules,
        succeeded=False,
        meta_test={"BoxModel/CH4": DatasetOutcome(9.0, 0.0, False)},
    )
    write(directory, matrix("good", "poor", HOSTILE), results, {("good", 0): "no <sandbox> works"})
    return directory


@pytest.fixture(scope="module")
def path(bench: Path) -> Path:
    return report(bench)


def test_the_page_has_every_table_and_figure(path: Path) -> None:
    page = Page(path)
    assert set(page.rows) == TABLES
    assert {attributes.get("id") for tag, attributes in page.elements if tag == "figure"} == FIGURES
    assert len([tag for tag, _ in page.elements if tag == "svg"]) == len(FIGURES)
    assert all(len(rows) > 1 for rows in page.rows.values())


def test_rows_say_what_is_in_the_cells(path: Path) -> None:
    rows = Page(path).rows
    assert [row[0] for row in rows["leaderboard"][1:]] == ["good", contents.readable(HOSTILE), "poor"]
    assert rows["leaderboard"][1][1:3] == ["14 of 15", "93%[69%, 99%]"]
    assert rows["ratings-every"][1][0] == "good"
    assert "baseline (fixed)" in [row[0] for row in rows["ratings-single"]]
    assert rows["watch"][0][:4] == ["Agent", "Runs", "Flag", "Refused import"]
    found = {row[0]: row[1:] for row in rows["watch"][1:]}
    assert found["good"][:5] == ["14 of 15", "28 in 14 runs", "0", "—", "—"]
    assert found["poor"][:2] == ["0 of 15", "—"]
    assert rows["editable-modules"][1][:3] == ["1", contents.readable(HOSTILE), "12"]
    cost = next(row for row in rows["cost"] if row[0] == "good")
    assert cost[1:4] == ["14", "42", "140"]
    assert cost[5:] == ["13,000 (13 of 14 runs)", "1,300 (13 of 14 runs)", "26 (13 of 14 runs)", "3.25 (13 of 14 runs)"]
    gaps = next(row for row in rows["generalisation"] if row[0] == "good")
    assert gaps[1] == "13"


def test_failed_and_missing_cells_are_named_with_their_reasons(path: Path) -> None:
    rows = Page(path).rows
    label = next(row[1] for row in rows["failed"] if row[0] == "good")
    assert re.fullmatch(r"GreenhouseGasPrediction: model \([0-9a-f]{6}\)", label)
    assert ["good", label, "1", "<img src=x onerror=alert(2)>", "—"] in rows["failed"]
    assert ["poor", label, "0", "meta-test exams failed: BoxModel/CH4"] in [row[:4] for row in rows["failed"]]
    assert rows["missing"][1:] == [["good", label, "0", "infra", "no <sandbox> works"]]
    assert rows["left-out"][1:] == [["OnPolicyRL_loss", "needs jax"]]
    assert ["version: numpy", "2.4.6"] in rows["environment"]


def test_the_page_needs_nothing_else_and_runs_nothing(path: Path) -> None:
    page = Page(path)
    assert not {"script", "img", "link", "iframe", "object", "b"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    policy = next(attributes for tag, attributes in page.elements if tag == "meta" and "http-equiv" in attributes)
    assert "default-src 'none'" in (policy["content"] or "")
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)", text)
    assert "color-scheme: light dark" in text
    assert not re.search(r"#0[123]0[01][0-9a-f]{2}\b", text)  # each colour of a figure is one of the page's


def test_figures_show_names_as_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("_evil$x_1$|`&lt;script&gt;alert(1)") >= len(FIGURES)


def test_markdown_has_the_same_tables_and_no_markup_of_agents(bench: Path, path: Path) -> None:
    text = path.with_name("report.md").read_text(encoding="utf-8")
    written = {table.title: table for table in tables.tables(contents.read(bench))}
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    assert set(sections) == set(written)
    for title, table in written.items():
        lines = [line for line in sections[title].splitlines() if line.startswith("|")]
        assert len(lines) == len(table.rows) + 2
        for line in lines:
            assert len(re.findall(r"(?<!\\)\|", line)) == len(table.columns) + 1
    assert "<" not in text
    assert r"\_evil\$x\_1\$\|\`&lt;script&gt;alert(1)&lt;/script&gt; \[go\](http\://here)" in text


def test_the_same_benchmark_gives_the_same_report(bench: Path, path: Path, tmp_path: Path) -> None:
    again = report(bench, tmp_path / "elsewhere")
    assert again == tmp_path / "elsewhere" / "index.html"
    assert again.read_bytes() == path.read_bytes()
    assert again.with_name("report.md").read_bytes() == path.with_name("report.md").read_bytes()


def test_a_benchmark_that_has_just_begun_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "new", matrix("a", "b"), [])
    rows = Page(report(tmp_path / "new")).rows
    assert set(rows) == TABLES
    assert len(rows["missing"]) == 1 + 2 * len(TASKS) * 3
    assert not rows["leaderboard"]


def test_tasks_of_a_domain_that_has_changed_since_are_not_missing(tmp_path: Path) -> None:
    """Ids of tasks hold their domain's version, so that those in old results are not those of today."""
    only = (task("model"),)
    old = [cell("a", 1.0, task="GreenhouseGasPrediction-0123456789abcdef", seed=seed) for seed in (0, 1, 2)]
    write(tmp_path / "old", matrix("a", tasks=only), [])
    for each in old:
        folder = tmp_path / "old" / "cells" / "0" / str(each.seed)
        (folder / "result.json").write_text(json.dumps(each.to_json()))
        (folder / "status.json").write_text('{"state": "done"}')
    found = contents.read(tmp_path / "old")
    assert len(found.cells) == 3
    assert not found.missing


def test_what_is_no_benchmark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"bench\.json is missing"):
        report(tmp_path)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)  # so that importing it fails
    monkeypatch.delitem(sys.modules, "discoenv.bench.report.page", raising=False)
    monkeypatch.delattr("discoenv.bench.report.page", raising=False)
    with pytest.raises(BenchError, match=r"reports need jinja2.*pip install 'discoenv\[bench\]'"):
        report(bench, tmp_path)


def test_importing_the_report_loads_neither_scipy_nor_matplotlib() -> None:
    program = "import sys, discoenv.bench.report.build; print({'scipy', 'matplotlib', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_reports_what_the_runner_has_left(command: Command, candidates: Path, tmp_path: Path) -> None:
    out = tmp_path / "played"
    agents = (f"scripted:candidates={candidates}", "tests.bench.players:raising")
    command.run(*command.matrix(*agents, tasks=2, seeds=1, out=out))
    said = command.run("report", out)
    assert str(out / "report" / "index.html") in said
    rows = Page(out / "report" / "index.html").rows
    assert {row[0] for row in rows["leaderboard"][1:]} == set(agents)
    assert {row[1] for row in rows["tasks"][1:]} == set(agents)
    assert {row[0] for row in rows["failed"][1:]} == {agents[1]}
    assert {tuple(row[:3]) for row in rows["editable-modules"][1:]} == {
        (number, agent, "1") for number in "12" for agent in agents
    }
    assert not rows["missing"]
