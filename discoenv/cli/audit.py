"""``discoenv audit``: tries to cheat in a domain's exams, and reports which attempts gain anything."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from discoenv.audit import report, summary
from discoenv.audit.auditor import Auditor
from discoenv.audit.exploit import AnyExploit
from discoenv.audit.exploits import ACTIONS, BRIEF, CLASSES, EXPLOITS, RUNS, exploits_of
from discoenv.cli.options import DomainArgument, SandboxOption, ScaleName, ScaleOption
from discoenv.errors import UnknownName
from discoenv.exams.host import Host
from discoenv.machine import atomic
from discoenv.machine.cores import Cores
from discoenv.sandbox import get_sandbox
from discoenv.tasks.registry import get_domain


def audit(
    domain: DomainArgument,
    sandbox: SandboxOption = "auto",
    scale: ScaleOption = ScaleName.TINY,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this class or exploit (repeat the option).", show_default="all")
    ] = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="Only a few exploits of each class, and all that are the domain's own.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the outcomes: a table (.md) or audit.json, of which those of a part are replaced.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Try every known exploit on a domain. The exit code is 1 if one of them gains anything."""
    found = get_domain(domain)
    console, log = Console(emoji=False), Console(emoji=False, stderr=True)
    provider = get_sandbox(sandbox)
    if not provider.isolated:
        raise typer.BadParameter(f"{provider.name} does not isolate: the exploits would hit this machine")

    every: list[AnyExploit] = [*EXPLOITS, *ACTIONS, *RUNS]
    general = {each.name for each in every} - BRIEF

    def chosen(name: str, kind: str) -> bool:
        return (not only or name in only or kind in only) and (not brief or name not in general)

    known: list[AnyExploit] = [*exploits_of(found), *ACTIONS, *RUNS]
    for word in only or []:
        names = [*CLASSES, *(each.name for each in known)]
        if word not in names:
            raise UnknownName("exploit", word, names)
    findings = []
    host = Host(provider, exams_at_once=Cores(1, pin=False))  # exploits may use all cores, as attackers would
    with host, Auditor(found, host, scale=scale.value) as auditor:
        for exploit in exploits_of(found):
            if chosen(exploit.name, exploit.kind):
                log.print(f"{exploit.kind}: {exploit.name} …", highlight=False, markup=False)
                findings.append(auditor.attempt(exploit))
        findings += [auditor.attempt_action(each) for each in ACTIONS if chosen(each.name, each.kind)]
        findings += [auditor.attempt_run(each) for each in RUNS if chosen(each.name, each.kind)]
        console.print(report.terminal(findings, f"{domain}, {provider.name}"))
        if out is not None:
            command = _command(domain, sandbox, scale, only or [], brief)
            if out.suffix == ".json":
                outcomes = summary.Audit.of(auditor, findings, command)
                if (only or brief) and out.exists():
                    earlier = summary.Audit.model_validate_json(out.read_text(encoding="utf-8"))
                    outcomes = outcomes.added_to(earlier, [each.name for each in known])
                text = outcomes.to_json()
            else:
                text = report.markdown(auditor, findings, command, whole=len(findings) == len(known))
            atomic.write_text(out, text)
    provider.close()
    gaining = [finding for finding in findings if finding.gains]
    console.print(f"{len(findings)} exploits, {len(gaining)} gain.", highlight=False)
    for finding in gaining:
        again = shlex.join(["discoenv", "audit", domain, "--only", finding.exploit.name])
        console.print(f"{again}\n    {report.outcome(finding)}", highlight=False, markup=False, soft_wrap=True)
    if gaining:
        raise typer.Exit(1)


def _command(domain: str, sandbox: str, scale: str, only: Sequence[str], brief: bool) -> str:
    words = ["discoenv", "audit", domain]
    words += [] if sandbox == "auto" else ["--sandbox", sandbox]
    words += [] if scale == "tiny" else ["--scale", scale]
    words += [word for each in only for word in ("--only", each)]
    return shlex.join([*words, *(["--brief"] if brief else [])])
