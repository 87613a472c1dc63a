"""Learners of the RL domains do not wait for what simulators draw with; whoever draws still has it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from discoenv.tasks.registry import BUILTIN

pytest.importorskip("gymnax")

MAKE = {
    "OnPolicyRL": 'import environments; environments.make({"SUITE": "gymnax", "ENV_NAME": "Breakout-MinAtar"})',
    "OffPolicyRL": "import make_env",
}


@pytest.mark.parametrize("domain", MAKE)
def test_plotting_is_imported_when_something_is_drawn(domain: str) -> None:
    code = f"""
import sys
sys.path.insert(0, ".")
{MAKE[domain]}
assert not {{"seaborn", "pandas", "scipy.stats", "matplotlib.pyplot"}} & set(sys.modules)
from gymnax.environments.misc import pong
assert callable(pong.plt.subplots)
import matplotlib.pyplot
assert pong.plt.subplots is matplotlib.pyplot.subplots
assert callable(pong.sns.heatmap)
import seaborn
assert pong.sns.heatmap is seaborn.heatmap
"""
    folder = BUILTIN / domain / "templates" / "default"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=200)
