"""Learners of the RL domains do not import what simulators draw with; a program that draws can import it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from discoenv.tasks.registry import get_domain
from discoenv.testing import write_workspace

pytest.importorskip("gymnax")

CODE = """
import sys
sys.path.insert(0, ".")
import make_env, yaml
with open("config.yaml") as file:
    make_env.make_env(yaml.safe_load(file))
assert not {"seaborn", "pandas", "scipy.stats", "matplotlib.pyplot"} & set(sys.modules)
from gymnax.environments.misc import pong
assert callable(pong.plt.subplots)
import matplotlib.pyplot
assert pong.plt.subplots is matplotlib.pyplot.subplots
assert callable(pong.sns.heatmap)
import seaborn
assert pong.sns.heatmap is seaborn.heatmap
"""


@pytest.mark.parametrize("domain", ["OnPolicyRL", "OffPolicyRL"])
def test_plotting_is_imported_when_something_is_drawn(domain: str, tmp_path: Path) -> None:
    folder = write_workspace(get_domain(domain), tmp_path / "workspace", dataset="MinAtar/Breakout")
    done = subprocess.run([sys.executable, "-c", CODE], cwd=folder, check=False, timeout=200)
    assert done.returncode == 0
