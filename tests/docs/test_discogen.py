"""What docs/discogen.md says works: its commands run, with the package discogen where it is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.discogen.test_discogen_package import package

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "discogen.md").read_text(encoding="utf-8")


@pytest.mark.skipif(package() is None, reason="needs the discogen package: set DISCOGEN_PACK to its folder")
def test_its_commands_run(tmp_path: Path) -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    script = block.replace("FOLDER  ", f"{package()}  ", 1)
    assert str(package()) in script
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    command = ["bash", "-ec", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["errors"] == {}
    assert set(printed["results"]) == {"CH4", "SF6"}
    for row in printed["results"].values():
        assert row["Exceeded Threshold For Test MSE"] in (True, False)
        assert row["Energy (kWh)"] > 0
    assert done.stdout.count("discogen/") > 75


def test_the_keys_that_it_names_are_those_that_are_printed() -> None:
    source = (Path(__file__).resolve().parents[2] / "discoenv" / "discogen" / "report.py").read_text(encoding="utf-8")
    keys = {"time_to_completion (s)", "Energy (kWh)", "Energy (J)", "Energy method", "RAM (GB)", "Size (Bytes)"}
    for key in keys | {"Baseline Size (Bytes)", "Code Golf Score (Bytes)"}:
        assert f'"{key}"' in source
        assert f"`{key}`" in PAGE
