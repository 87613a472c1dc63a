"""Prints which installed packages are not those of constraints.txt, one a line; exits with 1 if there are any."""

import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parents[1] / "constraints.txt"
pins = [
    Requirement(line) for line in LOCK.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
]
locked = {canonicalize_name(pin.name): pin.specifier for pin in pins if pin.marker is None or pin.marker.evaluate()}
installed = {canonicalize_name(each.metadata["Name"]): each.version for each in metadata.distributions()}
different = 0
for name, version in sorted(installed.items()):
    if name == "discoenv" or (name in locked and locked[name].contains(version, prereleases=True)):
        continue
    print(f"{name} {version}: locked is {str(locked.get(name, 'no version')).removeprefix('==')}")
    different += 1
sys.exit(different > 0)
