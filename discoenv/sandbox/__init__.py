"""Sandboxes: where untrusted programs run. :func:`get_sandbox` finds one by name; :func:`checks` shows what works.

A provider is one class in one file, listed in ``PROVIDERS``; it is imported when it is asked for. Installed packages
declare further providers by entry points of the group ``discoenv.sandboxes`` (:mod:`discoenv.machine.entry_points`).
"""

from __future__ import annotations

import difflib
import importlib

from discoenv.errors import EntryPointError, SandboxError, SandboxUnavailable, UnknownSandbox
from discoenv.machine import entry_points
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

#: Entry points of this group name classes of further providers.
GROUP = "discoenv.sandboxes"
#: What ``auto`` tries, best first.
AUTO_ORDER = ("docker", "podman", "bubblewrap")


def _provider(name: str) -> type[Sandbox]:
    """The class of a provider that is listed or installed.

    Raises:
        EntryPointError: an installed package declares it, but it cannot be imported or is no provider.
    """
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        found: type[Sandbox] = getattr(importlib.import_module(module), attribute)
        return found
    extension = entry_points.find(GROUP)[name]
    loaded = extension.load()
    if not (isinstance(loaded, type) and issubclass(loaded, Sandbox)):
        raise extension.error(f"is {loaded!r}, not a subclass of discoenv.sandbox.Sandbox")
    return loaded


def _names() -> list[str]:
    """Names of all providers: those of this package, then installed ones."""
    return list(dict.fromkeys([*PROVIDERS, *entry_points.find(GROUP)]))


def get_sandbox(name: str | Sandbox = "auto") -> Sandbox:
    """The sandbox of that name; a :class:`Sandbox` is returned as it is.

    Args:
        name: a key of ``PROVIDERS``, the name of an installed provider, or ``auto`` for the first of ``AUTO_ORDER``
            that works on this machine.

    Raises:
        SandboxUnavailable: ``auto``, and none works here.
        EntryPointError: an installed provider is broken.
        UnknownSandbox: no provider has that name.
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
            f"no isolated sandbox works on this machine. {'; '.join(failed)}. `discoenv doctor` shows more; "
            "sandbox='process' runs code that you trust without isolation."
        )
    if name not in PROVIDERS and name not in entry_points.find(GROUP):
        known = ["auto", *_names()]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(known)}."
        raise UnknownSandbox(f"there is no sandbox named {name!r}: {hint}")
    return _provider(name)()


def checks() -> list[Check]:
    """What ``discoenv doctor`` shows: every provider tried on this machine, in the order of ``auto``."""
    order = [name for name in AUTO_ORDER if name in PROVIDERS]
    return [_check(name) for name in order + [name for name in _names() if name not in order]]


def _check(name: str) -> Check:
    """A provider tried on this machine. One that is broken does not work; the others are still shown."""
    try:
        return _provider(name).check()
    except EntryPointError as error:
        return Check(name, False, str(error))
