"""Why namespaces may be refused here and what installs a missing program: the advice that ``doctor`` gives."""

from __future__ import annotations

import shutil
from pathlib import Path

_INSTALLERS = {
    "apt-get": "sudo apt-get install {}",
    "dnf": "sudo dnf install {}",
    "pacman": "sudo pacman -S {}",
    "zypper": "sudo zypper install {}",
    "apk": "sudo apk add {}",
}

# Kernel settings that forbid user namespaces: file, a forbidding value, a value that allows them.
_SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
)


def install_command(package: str) -> str:
    """What to type to install ``package``, by the package manager that is found."""
    for program, command in _INSTALLERS.items():
        if shutil.which(program):
            return command.format(package)
    return f"install the package {package} with your package manager"


def namespace_obstacle(settings: Path = Path("/proc/sys")) -> str:
    """The command that lifts this machine's ban on user namespaces; empty if there is no known ban."""
    for name, forbidding, allowing in _SETTINGS:
        try:
            value = (settings / name).read_text().strip()
        except OSError:
            continue
        if value == forbidding:
            return f"sudo sysctl -w {name.replace('/', '.')}={allowing} (it is {value} now)"
    if Path("/.dockerenv").exists():
        return "inside Docker, start the container with `--security-opt seccomp=unconfined --cap-add SYS_ADMIN`"
    return ""
