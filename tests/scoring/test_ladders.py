"""Ladders: known methods are examined with the baseline's seeds, and compared with the base in the same exams."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

from discoenv.cli.main import app
from discoenv.exams.host import Host
from discoenv.scoring import baselines, calibration, ladders
from discoenv.scoring.ladders import Order, Standing
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting
from tests.conftest import POLYNOMIAL_FEATURES, MakeVariant

LADDER = """
features:
  methods:
    powers: {title: Powers, paper: "Somebody 1999, A method"}
    broken: {title: Broken, paper: "Somebody 1999, A method"}
  order: [broken, base, powers]
"""
FILES = {
    "ladder/ladder.yaml": LADDER,
    "ladder/features/powers.py": POLYNOMIAL_FEATURES,
    "ladder/features/broken.py": '"""It fails."""\n\n\ndef features(x):\n    """Fail."""\n    raise RuntimeError\n',
}


@pytest.fixture
def domain(make_variant: MakeVariant) -> Domain:
    return make_variant("Climbed", files=FILES)


def climbed(domain: Domain, host: Host, dataset: str = "Wave") -> Setting:
    """A dataset with a baseline and two methods that were measured."""
    setting = Setting(domain, "default", dataset, "small")
    entry = calibration.calibrate(host, setting, seeds=range(2))
    baselines.write(domain.directory / "baselines.json", {setting.key: entry})
    for method in ("powers", "broken"):
        rung = ladders.measure(host, setting, "features", method, seeds=range(2))
        ladders.write(domain, "features", method, setting, rung)
    return setting


def test_methods_are_compared_with_the_base_in_the_same_exams(domain: Domain, host: Host) -> None:
    setting = climbed(domain, host)
    powers = ladders.standing("features", "powers", setting)
    base = ladders.standing("features", "base", setting)
    broken = ladders.standing("features", "broken", setting)
    assert powers is not None and base is not None and broken is not None
    assert powers.score > 1.1
    assert base.each == (1.0, 1.0)
    assert broken.each == (0.0, 0.0)
    assert ladders.best_known(setting, ["features"]) == powers
    assert ladders.best_known(setting, ["model"]) is None
    first, second = ladders.orders(domain)
    assert (first.worse, first.better, first.verdict) == ("broken", "base", "found")
    assert (second.worse, second.better, second.datasets) == ("base", "powers", 1)
    text = ladders.table(domain)
    assert "| features | Broken | 0.00 ± 0.00 | 0.00 |" in text
    assert "2 of 2 expected orders have the right sign" in text


def test_what_was_measured_of_another_text_or_version_does_not_count(domain: Domain, host: Host) -> None:
    setting = climbed(domain, host)
    path = domain.directory / "ladder/features/powers.py"
    path.write_text(path.read_text() + "\n# Changed.\n")
    assert ladders.rung("features", "powers", setting) is None
    assert ladders.rung("features", "broken", setting) is not None
    content = json.loads((domain.directory / "ladder.json").read_text())
    for value in content.values():
        value["domain_version"] += 1
    (domain.directory / "ladder.json").write_text(json.dumps(content))
    assert ladders.standings(domain) == []


def test_the_command_measures_what_is_missing_and_the_study_shows_it(domain: Domain) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    line = ["calibrate", "Climbed", "--dataset", "Line", "--scale", "tiny", "--seeds", "1", "--sandbox", "process"]
    run(*line)
    said = run(*line, "--ladder", "--method", "features/powers")
    assert "default:Line:tiny features/powers: 1." in said
    assert "features/powers" not in run(*line, "--ladder", "--missing")
    assert "| features | Powers |" in run("study", "ladder", "Climbed", "--scale", "tiny")
    refused = CliRunner().invoke(app, [*line, "--missing"])
    assert refused.exit_code != 0


def test_a_difference_within_two_standard_errors_is_no_order() -> None:
    assert Order("loss", "a", "b", 0.1, 0.06, 1).verdict == "not told apart"
    assert Order("loss", "a", "b", 0.1, 0.04, 1).verdict == "found"
    assert Order("loss", "a", "b", -0.1, 0.04, 1).verdict == "reversed"
    assert math.isnan(Standing("loss", "a", "Line", "default", (1.0,)).error)
