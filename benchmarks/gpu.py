"""Everything about GPUs that can be tried in ten minutes: ``python -m benchmarks.gpu``, or ``make gpu``.

In turn, each within its share of the time: the tests of ``tests/gpu``; rehearsals of every setting at scale ``full``
whose data is here; and two calibrations. One file of JSON holds what was found, for docs/performance.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from discoenv.errors import DiscoenvError
from discoenv.machine import hardware
from discoenv.machine.gpus import gpus

#: Calibrated at scale full: a domain in torch and one in JAX whose data needs no download.
CALIBRATED: Final = (("ComputerVisionClassification", "Digits"), ("NeuralCellularAutomata", "GrowingButterfly"))
#: Of the time that is left, what the tests may take, and then the rehearsals.
SHARES: Final = (0.4, 0.6)


def ran(command: list[str], seconds: float) -> dict[str, Any]:
    """Run a command for at most so long: its exit status (None: it was stopped), wall time and last words."""
    begin = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        status, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        status, said = None, output if isinstance(output, str) else output.decode(errors="replace")
    return {
        "command": " ".join(command[1:]),
        "status": status,
        "wall_s": time.monotonic() - begin,
        "said": said[-4000:],
    }


def main(
    out: Annotated[Path, typer.Option(help="The file that is written.")] = Path("gpu-results.json"),
    minutes: Annotated[float, typer.Option(min=0.1, help="Most time in all.")] = 10.0,
) -> None:
    """Try everything about GPUs. The exit code is 1 if a test fails, or if there is no GPU."""
    console = Console(highlight=False)
    try:
        names = [gpu.name for gpu in gpus()]
    except DiscoenvError as error:
        console.print(f"no GPU can be used here: {error}")
        raise typer.Exit(1) from None
    end = time.monotonic() + 60 * minutes
    python = sys.executable
    found: dict[str, Any] = {"gpus": names, "hardware": hardware.hardware()}

    def step(name: str, command: list[str], share: float) -> None:
        console.print(f"{name} …")
        found[name] = ran(command, max(1.0, share * (end - time.monotonic())))
        console.print(f"  exit status {found[name]['status']} after {found[name]['wall_s']:.0f} s")

    step("tests", [python, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"], SHARES[0])
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rehearsals.json"
        command = [python, "-m", "discoenv.cli.main", "rehearse", "all", "--device", "gpu", "--share", "0.0002"]
        step("rehearsals", [*command, "--budget", "60", "--out", str(rows)], SHARES[1])
        found["rehearsed"] = json.loads(rows.read_text(encoding="utf-8")) if rows.is_file() else []
    for domain, dataset in CALIBRATED:
        command = [python, "-m", "discoenv.cli.main", "calibrate", domain, "--dataset", dataset, "--scale", "full"]
        step(f"calibration of {domain}", [*command, "--seeds", "1", "--local", "--device", "gpu"], 0.5)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"{out} holds what was found")
    raise typer.Exit(int(found["tests"]["status"] != 0))


if __name__ == "__main__":
    typer.run(main)
