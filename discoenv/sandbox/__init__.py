"""Sandboxes: where untrusted programs run. :func:`get_sandbox` finds one by name; :func:`checks` shows what works.

A provider is one class in one file, listed in ``PROVIDERS``; it is imported when it is asked for. Installed packages
declare further providers by entry points of the group ``discoenv.sandboxes`` (:mod:`discoenv.machine.entry_points`).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from discoenv.errors import EntryPointError, SandboxError, SandboxUnavailable, UnknownSandbox, suggestion
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
    "SandboxChoice",
    "SandboxError",
    "SandboxUnavailable",
    "Usage",
    "checks",
    "get_sandbox",
    "names",
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
#: What ``auto`` tries, best first. All of these isolate.
AUTO_ORDER = ("docker", "podman", "bubblewrap", "apptainer")
#: How a sandbox is asked for, see :func:`get_sandbox`.
SandboxChoice = str | Sequence[str] | Sandbox


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


def names() -> list[str]:
    """What may be asked for: ``auto``, the providers of this package, then installed ones."""
    return list(dict.fromkeys(["auto", *PROVIDERS, *entry_points.find(GROUP)]))


def get_sandbox(name: SandboxChoice = "auto") -> Sandbox:
    """The sandbox of that name, or the first of several that works on this machine.

    Args:
        name: a key of ``PROVIDERS`` or the name of an installed provider, which is not tried out; several of these, in
            a list or separated by commas, of which the first that works here is taken; or ``auto``, for those of
            ``AUTO_ORDER``. A :class:`Sandbox` is returned as it is.

    Raises:
        SandboxUnavailable: several were named, and none works here.
        EntryPointError: an installed provider is broken.
        UnknownSandbox: no provider has that name.
    """
    if isinstance(name, Sandbox):
        return name
    given = name.split(",") if isinstance(name, str) else list(name)
    expanded = [each for part in given for each in (AUTO_ORDER if part.strip() == "auto" else (part.strip(),))]
    wanted = list(dict.fromkeys(expanded))
    for each in wanted:
        _require_known(each)
    if isinstance(name, str) and len(given) == len(wanted) == 1:
        return _provider(wanted[0])()
    failed = []
    for each in wanted:
        check = _check(each)
        if check.works:
            return _provider(each)()
        failed.append(f"{each}: {check.detail}" + (f" ({check.fix})" if check.fix else ""))
    raise SandboxUnavailable(
        f"no sandbox works on this machine: {'; '.join(failed) or 'none was named'}. `discoenv doctor` shows more; "
        "sandbox='process' runs code that you trust without isolation."
    )


def _require_known(name: str) -> None:
    if name not in PROVIDERS and name not in entry_points.find(GROUP):
        known = names()
        raise UnknownSandbox(f"there is no sandbox named {name!r}: {suggestion(name, known)}")


def checks() -> list[Check]:
    """What ``discoenv doctor`` shows: every provider tried on this machine, in the order of ``auto``."""
    return [_check(name) for name in dict.fromkeys([*AUTO_ORDER, *names()[1:]])]


def _check(name: str) -> Check:
    """A provider tried on this machine. One that is broken does not work; the others are still shown."""
    try:
        return _provider(name).check()
    except EntryPointError as error:
        return Check(name, False, str(error))
