"""What is drawn of exams, and that results.md says what baselines.json does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyMARL.tests.conftest import DOMAIN
from discoenv.examiners.plotting import ExamArtifacts

pytest.importorskip("matplotlib")

PAGE = Path(__file__).resolve().parents[1] / "results.md"


@pytest.mark.parametrize("kinds", [(0, 1, 2, 3), (10, 11, 14, 0), (20, 21, 30, 31)])
def test_an_episode_becomes_an_animation(tmp_path: Path, kinds: tuple[int, ...]) -> None:
    from PIL import Image

    from discoenv.domains.OnPolicyMARL import pictures

    rng = np.random.default_rng(0)
    scenes = rng.uniform(0, 5, (7, 2, 4, 4)).astype(np.float32)
    scenes[..., 2], scenes[..., 3] = kinds, 1.0
    arrays: dict[str, Any] = {"scenes": scenes, "lengths": np.array([5, 3]), "returns": rng.normal(size=8)}
    np.savez(tmp_path / "exam.npz", success=np.arange(8) % 2 == 0, **arrays)
    exams = [ExamArtifacts(1, "meta_train", "Skirmish/3m", 0, tmp_path / "exam.npz")]
    paths = pictures.plot(exams, tmp_path)
    assert [path.name for path in paths] == ["returns_Skirmish-3m.png", "episode_Skirmish-3m.gif"]
    with Image.open(paths[1]) as animation:
        assert animation.n_frames == 5  # type: ignore[attr-defined]


def test_results_are_those_of_the_baselines() -> None:
    from discoenv.domains.OnPolicyMARL.studies.comparison import baseline_table, sections

    begin, end = sections("baselines")
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    assert rest.partition(end)[0].strip() == baseline_table(DOMAIN).strip()
