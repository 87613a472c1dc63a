"""``discoenv study noise``: rewards over episodes, scored in both ways from the same exams."""

from __future__ import annotations

from pathlib import Path

import pytest

from discoenv.bench import noise
from discoenv.exams.host import Host
from discoenv.tasks.domain import Domain
from tests.cli.commands import invoke


def test_paired_rewards_of_the_base_modules_have_no_spread(toy: Domain, host: Host) -> None:
    task = noise.study_task(toy, scale="tiny", datasets=("Wave", "Noise"))
    assert (task.modules, task.meta_test, task.start) == (("model", "features"), ("Wave", "Noise"), "base")
    found = noise.measure(host, task, episodes=3)
    by_kind = {(each.modules, each.reference): each for each in found}
    assert set(by_kind) == {(name, kind) for name in (noise.BASE, *toy.candidates()) for kind in ("shipped", "paired")}
    assert by_kind[noise.BASE, "paired"].rewards == (1.0, 1.0, 1.0)
    assert by_kind[noise.BASE, "shipped"].std > 0
    for name in toy.candidates():
        shipped, paired = by_kind[name, "shipped"], by_kind[name, "paired"]
        assert shipped.rewards != paired.rewards
        assert paired.seconds > shipped.seconds
        assert shipped.failures == 0
    with pytest.raises(ValueError, match="episodes is 1; a spread needs at least 2"):
        noise.measure(host, task, episodes=1)


def test_the_command_prints_and_writes_the_table(toy: Domain, tmp_path: Path, sandbox_name: str) -> None:
    out = tmp_path / "noise.md"
    result = invoke("study", "noise", "Toy", "--seeds", "2", "--out", out, "--sandbox", sandbox_name)
    assert result.exit_code == 0, result.output
    assert "| base | paired | 1.000 | 0.000 |" in out.read_text()
    assert out.read_text().strip() in result.stdout
    assert "reference exam 1 of 1, Wave" in result.stderr
