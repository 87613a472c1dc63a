"""Sandboxes: where untrusted programs run. :func:`get_sandbox` finds one by name; :func:`checks` tells what works.

A provider is one class in one file, listed in ``PROVIDERS``; it is imported when it is asked for.
"""

from __future__ import annotations

import difflib
import importlib

from discoenv.errors import SandboxError, SandboxUnavailable
from discoenv.sandbox.base import Check, Command, EndReason, Limits, Mount, Outcome, Running, Sandbox, Usage

__all__ = [
    "PROVIDERS",
    "Check",
    "Command",
    "EndReason",
    "Limits",
    "Mount",
    "Outcome",
    "Running",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailable",
    "Usage",
    "checks",
    "get_sandbox",
]

#: Where each provider's class is, ``module:class``.
PROVIDERS = {
    "docker": "discoenv.sandbox.containers.docker:DockerSandbox",
    "podman": "discoenv.sandbox.containers.docker:PodmanSandbox",
    "bubblewrap": "discoenv.sandbox.local.bubblewrap:BubblewrapSandbox",
    "apptainer": "discoenv.sandbox.containers.apptainer:ApptainerSandbox",
    "process": "discoenv.sandbox.local.process:ProcessSandbox",
}

#: What ``auto`` tries, best first.
AUTO_ORDER = ("docker", "podman", "bubblewrap")


def _provider(name: str) -> type[Sandbox]:
    module, _, attribute = PROVIDERS[name].partition(":")
    found: type[Sandbox] = getattr(importlib.import_module(module), attribute)
    return found


def get_sandbox(name: str | Sandbox = "auto") -> Sandbox:
    """The sandbox of that name; a :class:`Sandbox` is returned as it is.

    Args:
        name: a key of ``PROVIDERS``, or ``auto`` for the first isolated one that works on this machine.

    Raises:
        SandboxUnavailable: ``auto``, and none works here.
        ValueError: no provider has that name.
    """
    if isinstance(name, Sandbox):
        return name
    if name == "auto":
        failed = []
        for each in AUTO_ORDER:
            if each in PROVIDERS:
                check = _provider(each).check()
                if check.works:
                    return _provider(each)()
                failed.append(f"{check.name}: {check.detail} ({check.fix})")
        raise SandboxUnavailable(
            f"no isolated sandbox works on this machine. {'; '.join(failed)}. `discoenv doctor` tells more; "
            "sandbox='process' runs code that you trust without isolation."
        )
    if name not in PROVIDERS:
        known = ["auto", *PROVIDERS]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(known)}."
        raise ValueError(f"there is no sandbox named {name!r}: {hint}")
    return _provider(name)()


def checks() -> list[Check]:
    """What ``discoenv doctor`` shows: every provider tried on this machine, in the order of ``auto``."""
    order = [name for name in AUTO_ORDER if name in PROVIDERS]
    return [_provider(name).check() for name in order + [name for name in PROVIDERS if name not in order]]
