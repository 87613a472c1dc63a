"""Tables, statistics and pictures of runs, the commands, and what docs/quality_diversity.md says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from discoenv.kits.quality_diversity.__main__ import _parser, main
from discoenv.kits.quality_diversity.experiments import experiment, names
from discoenv.kits.quality_diversity.results import (
    Reached,
    anova,
    collect,
    mean_and_error,
    statistics,
    table,
)

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "quality_diversity.md").read_text(encoding="utf-8")


def reached(name: str, *scores: float) -> list[Reached]:
    made = experiment(name, "small")
    return [Reached(made, seed, Path(), score, score / 1000, 2000) for seed, score in enumerate(scores)]


def test_the_table_has_means_and_standard_errors() -> None:
    assert list(mean_and_error([1.0, 2.0, 3.0])) == pytest.approx([2.0, 1 / np.sqrt(3)])
    shown = table(reached("maze/dsage", 1200.0, 1300.0) + reached("maze/dr", 5.0)).splitlines()
    assert shown[2] == "| DSAGE | 2 | 2,000 | 1,250.00 ± 50.00 | 1.250 ± 0.050 |"
    assert shown[3] == "| DR | 1 | 2,000 | 5.00 ± nan | 0.005 ± nan |"


def test_the_analysis_of_variance_equals_statsmodels() -> None:
    ols = pytest.importorskip("statsmodels.formula.api").ols
    anova_lm = pytest.importorskip("statsmodels.stats.anova").anova_lm
    rng = np.random.default_rng(0)
    cells = {(a, b): (rng.normal(size=5) + 2 * a + b - a * b).tolist() for a in (False, True) for b in (False, True)}
    rows = [(int(a), int(b), y) for (a, b), values in cells.items() for y in values]
    data = {name: [row[k] for row in rows] for k, name in enumerate("aby")}
    theirs = anova_lm(ols("y ~ C(a) * C(b)", data).fit())
    for effect, name in zip(anova(cells, ("a", "b")), ("C(a)", "C(b)", "C(a):C(b)"), strict=True):
        assert effect.f == pytest.approx(theirs.loc[name, "F"])
        assert effect.p == pytest.approx(theirs.loc[name, "PR(>F)"])
        assert effect.degrees == (1, 16)


def test_statistics_are_of_the_four_ablations() -> None:
    runs = reached("maze/dsage", 9.0, 10.0) + reached("maze/dsage_only_anc", 4.0, 5.0)
    runs += reached("maze/dsage_only_down", 8.0, 9.5) + reached("maze/dsage_basic", 3.0, 5.0)
    text = statistics(runs)
    assert re.search(r"\| downsampling \| F\(1, 4\) = \d", text)
    assert "| dsage | dsage_basic | 5.50 |" in text
    assert "effect on" not in statistics(runs[:-1])
    with pytest.raises(ValueError, match="same number of values"):
        anova({(False, False): [1.0, 2.0]}, ("a", "b"))


def test_from_a_run_to_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    logs = tmp_path / "logs"
    for name in ("maze/dsage", "maze/me"):
        assert main(["run", name, "1", "--size", "test", "--logs", str(logs), "--set", "epochs=1"]) == 0
    folder = next(logs.glob("*_maze-dsage_*"))
    assert main(["reload", str(folder)]) == 0
    assert main(["run", "maze/dsage", "1", "--size", "test", "--set", "epochs=1", "-r", str(folder)]) == 0
    assert [each.experiment.name for each in collect(logs)] == ["maze/dsage", "maze/me"]
    capsys.readouterr()
    assert main(["show", str(logs), "--pictures", "--statistics"]) == 0
    assert re.search(r"\| MAP-Elites \| 1 \| 10 \|", capsys.readouterr().out)
    for picture in ("maze_archives.svg", "maze_levels.svg"):
        assert (logs / picture).read_text().startswith("<?xml")


def test_what_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in {
        ("run", "maze/nothing", "0"): "no experiment 'maze/nothing'",
        ("run", "maze/dr", "0", "--set", "x=1"): "unknown settings x",
        ("run", "maze/dr", "0", "--set", "epochs=x"): "'x' is no number",
        ("reload", str(tmp_path)): "holds no run",
        ("show", str(tmp_path)): "no finished runs",
    }.items():
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_the_commands_of_the_page_exist() -> None:
    shown = re.findall(r"python -m discoenv\.kits\.quality_diversity ([^`\n]+)", PAGE)
    assert len(shown) > 8
    for arguments in shown:
        options = _parser().parse_args(shlex.split(arguments.replace("…", "")))
        if hasattr(options, "name"):
            assert options.name in names()


def test_all_experiments_have_a_row_in_the_page() -> None:
    for name in names():
        assert f"`{name}`" in PAGE or f" {name} " in PAGE, name


def test_the_example_of_the_page_runs() -> None:
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(block, scope)


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert link.startswith("http") or (ROOT / "docs" / link).exists(), link


_spec = importlib.util.spec_from_file_location("quality_diversity_study", ROOT / "docs" / "quality_diversity.py")
assert _spec is not None
assert _spec.loader is not None
study = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(study)


def test_a_study_is_continued_and_ends_in_the_table(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    few = ["--size", "test", "--only", "maze/me", "--only", "maze/dr"]
    for seeds in ("1", "2"):
        shown = CliRunner().invoke(study.app, ["study", str(tmp_path / "s"), *few, "--seeds", seeds])
        assert shown.exit_code == 0, shown.output
    assert re.search(r"\| MAP-Elites \| 2 \| 10 \| [\d.]+ ± [\d.]+ \|", shown.output)
    assert (tmp_path / "s/results.md").read_text().strip() in shown.output
    assert (tmp_path / "s/maze_archives.svg").exists()


def test_a_dry_run_prints_the_script_of_a_job(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "cluster.yaml").write_text("cores: 4\nmemory: 8GB\naccount: lab\nwalltime: '04:00:00'\njobs: 3\n")
    dask = ["--dask", f"slurm:{tmp_path / 'cluster.yaml'}", "--dry-run"]
    shown = CliRunner().invoke(study.app, ["study", str(tmp_path / "s"), *dask])
    assert shown.exit_code == 0, shown.output
    script = shown.output
    assert "#SBATCH -A lab" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert not (tmp_path / "s").exists()
    wrong = CliRunner().invoke(study.app, ["study", str(tmp_path / "s"), "--dry-run"])
    assert wrong.exit_code == 2


def test_options_of_the_study_that_the_page_names_exist() -> None:
    shown = CliRunner().invoke(study.app, ["study", "--help"], env={"COLUMNS": "200"})
    for line in re.findall(r"^    python docs/quality_diversity\.py (.*)$", PAGE, re.MULTILINE):
        for option in re.findall(r"--[\w-]+", line):
            assert option in shown.output
