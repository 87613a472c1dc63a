"""Checks that a domain is what every domain must be, as Gymnasium's ``check_env`` does for environments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from discoenv.errors import DiscoenvError, DomainError
from discoenv.exams.host import Host
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import registry
from discoenv.tasks.domain import Domain
from discoenv.tasks.drafting.writing import gaps as find_gaps
from discoenv.testing import exam_checks, static_checks
from discoenv.testing.findings import DomainCheck, Findings

#: Standard errors by which a baseline should be better than the floor.
LEAST_ERRORS: Final = 5.0


#: Checks without which no code of a domain is run.
NEEDED: Final = frozenset({"names", "files", "gaps", "configs", "stubs", "packages"})


class _Step(NamedTuple):
    """A check before it is made: its name, its function, and what to do if it finds something."""

    name: str
    run: Callable[[Domain, Findings], None]
    fix: str


def check_domain(
    domain: Domain | str,
    *,
    sandbox: str | Sandbox = "auto",
    baselines: bool = True,
    exams: bool = True,
    strict: bool = False,
    least_errors: float = LEAST_ERRORS,
    raise_on_failure: bool = True,
    on_check: Callable[[DomainCheck], None] = lambda check: None,
) -> list[DomainCheck]:
    """Check a domain, of discoenv or of a pack: its files, its texts, its stubs, its baselines and its exams.

    Nothing of the domain runs in this process but its ``exploits.py``. Of a domain that reports its own results, only
    its files and texts are checked.

    Args:
        domain: the domain, or its name.
        sandbox: where templates are imported and exams are run: a provider or the name of one.
        baselines: check ``baselines.json`` and what depends on it; a domain has none before ``discoenv calibrate``.
        exams: run exams at scale tiny: the base modules on the two datasets of ``quick``, and each stub on the first.
        strict: what would be a warning is a failure.
        least_errors: a baseline that is better than the floor by fewer standard errors is a warning.
        raise_on_failure: raise an error that lists all failures, after all checks.
        on_check: called after each check.

    Returns:
        The checks, in their order. Where one of :data:`NEEDED` failed, nothing was imported and no exam was run.

    Raises:
        UnknownName: there is no domain of that name.
        DomainError: ``domain.yaml`` cannot be read; or a check failed, and ``raise_on_failure`` is set.
        SandboxUnavailable: the sandbox does not work on this machine.

    Example::

        check_domain("OnPolicyRL")
        failed = [each for each in check_domain(domain, raise_on_failure=False) if not each.ok]
    """
    domain = registry.get_domain(domain) if isinstance(domain, str) else _known(domain)
    done: list[DomainCheck] = []

    def make(steps: list[_Step]) -> None:
        for step in steps:
            found = Findings()
            try:
                step.run(domain, found)
            except (DiscoenvError, SyntaxError, UnicodeDecodeError) as error:
                found.fail(str(error))
            if strict:
                found.failures, found.warnings = found.failures + found.warnings, []
            done.append(found.check(step.name, step.fix))
            on_check(done[-1])

    make(_reading(domain, baselines=baselines, least_errors=least_errors))
    if not domain.self_reported and not [check for check in done if check.name in NEEDED and not check.ok]:
        with Host(sandbox, device="cpu") as host:
            make(_running(host, exams=exams))
    failed = [check for check in done if not check.ok]
    if failed and raise_on_failure:
        parts = [f"{check.name}: {check.detail}\n→ {check.fix}" for check in failed]
        raise DomainError(f"{domain.name} fails {len(failed)} of {len(done)} checks\n\n" + "\n\n".join(parts))
    return done


def domain_of(folder: str | Path) -> Domain:
    """The domain in a folder; a folder outside of discoenv becomes known as one of a pack.

    Raises:
        DomainError: there is no domain in it, or its files are wrong.
    """
    folder = Path(folder).resolve()
    ours = folder.parent == registry.BUILTIN.resolve()
    name = folder.name if ours else f"{registry.pack_name(folder.parent)}/{folder.name}"
    if name in registry.get_domains():
        known = registry.get_domain(name)
        if known.directory.resolve() == folder:
            return known
    if ours or name not in registry.load_pack(folder.parent):
        raise DomainError(f"{folder}: it holds no domain; `discoenv new-domain` makes one to start from")
    return registry.get_domain(name)


def _known(domain: Domain) -> Domain:
    """The domain as it is known under its name; tasks of it are resolved by that."""
    if domain.name in registry.get_domains():
        known = registry.get_domain(domain.name)
        if known.directory == domain.directory:
            return known
    registry.register_domains({domain.name: lambda: domain})
    return domain


def _reading(domain: Domain, *, baselines: bool, least_errors: float) -> list[_Step]:
    """Checks that read files."""
    modules = ", ".join(f"{module}.py" for module in domain.modules)
    gaps = _Step(
        "gaps", static_checks.check_gaps, "write them in this order, and remove the marks; draft.md has the cut"
    )
    drafted = [gaps] if find_gaps(domain.directory) else []
    steps = [
        _Step("names", static_checks.check_names, "rename it in domain.yaml and wherever it is used"),
        _Step("files", static_checks.check_files, "add the file, list it in domain.yaml, or remove it"),
        *drafted,
        _Step("texts", static_checks.check_texts, "write what an agent needs to get it right at the first try"),
        _Step("configs", static_checks.check_configs, "give all scales the same keys; what they share is under 'all'"),
    ]
    if domain.self_reported:
        return steps
    steps += [
        _Step("breadth", static_checks.check_breadth, "add some, once the rest is done"),
        _Step("stubs", static_checks.check_stubs, "mark what is to be written by # <solution> and # </solution>"),
        _Step("workspace", static_checks.check_workspace, "keep it out of fixed_files and of other modules"),
        _Step("candidates", static_checks.check_candidates, f"a candidate is a folder with some of {modules}"),
        _Step(
            "ladder", static_checks.check_ladder, "three to six published methods per module, see ladder/ladder.yaml"
        ),
        _Step("exploits", static_checks.check_exploits, "see discoenv.audit.exploit.Exploit"),
    ]
    if baselines:
        check = functools.partial(static_checks.check_baselines, least_errors=least_errors)
        steps.append(
            _Step("baselines", check, f"discoenv calibrate {domain.name} (see --help), with more seeds if needed")
        )
        steps.append(
            _Step("lists", static_checks.check_lists, "name other datasets in domain.yaml, or calibrate these")
        )
    return [*steps, _Step("packages", static_checks.check_packages, domain.how_to_install)]


def _running(host: Host, *, exams: bool) -> list[_Step]:
    """Checks that run templates and exams."""
    imports = functools.partial(exam_checks.check_imports, host=host)
    steps = [_Step("imports", imports, "templates import only each other and the packages of requirements")]
    if exams:
        exam = functools.partial(exam_checks.check_exams, host=host)
        stubs = functools.partial(exam_checks.check_stub_exams, host=host)
        steps += [
            _Step("exams", exam, "put right what the message names"),
            _Step("stub exams", stubs, "call the module in training, and let its exception end main.py"),
        ]
    return steps
