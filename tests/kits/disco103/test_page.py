"""What docs/disco103.md says is true: its example runs, and its commands exist."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from discoenv.kits.disco103 import AgentNetwork  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "disco103.md").read_text(encoding="utf-8")
_spec = importlib.util.spec_from_file_location("disco103_study", ROOT / "docs" / "disco103.py")
assert _spec is not None
assert _spec.loader is not None
study = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(study)


def test_the_example_runs(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "unroll_meta_net" in block)
    (tmp_path / "disco_103.npz").symlink_to(weights)
    monkeypatch.chdir(tmp_path)
    network = AgentNetwork((4,), 3, (8, 8), 4, 4)
    observations = torch.randn(6, 2, 4)
    scope = {
        "network": network,
        "params": dict(network.named_parameters()),
        "unroll": lambda params, seen, reset: (torch.func.functional_call(network, params, (seen,)), None),
        "observations": observations,
        "actions": torch.zeros(6, 2, dtype=torch.long),
        "rewards": torch.randn(5, 2),
        "is_terminal": torch.zeros(5, 2, dtype=torch.bool),
        "logits_when_acting": torch.zeros(6, 2, 3),
    }
    exec(code, scope)
    assert scope["loss"].shape == (5, 2)
    assert scope["loss"].isfinite().all()


def test_its_commands_exist() -> None:
    for name, options in re.findall(r"^    python docs/disco103\.py (\w+)([^#\n]*)", PAGE, re.MULTILINE):
        shown = CliRunner().invoke(study.app, [name, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, name
        for option in re.findall(r"--[\w-]+", options):
            assert option in shown.output, f"{name} {option}"


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link


def test_catch_was_learned_by_two_of_three_seeds() -> None:
    curves = json.loads(study.NUMBERS.read_text(encoding="utf-8"))["catch"]["curves"]
    assert len(curves) == 3
    assert sum(curve[-1] >= 0.9 for curve in curves) >= 2
    for curve in curves:
        assert f"{curve[-1]:.2f} |" in PAGE
