"""The audit's table, in the terminal and in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from discoenv.audit.auditor import Auditor, Finding


def terminal(findings: Sequence[Finding], title: str) -> Table:
    """One row for each exploit."""
    table = Table("exploit", "class", "outcome", "stopped by", "gain", title=title)
    for finding in findings:
        colour = "red" if finding.gains else "yellow" if finding.surprise else "green"
        table.add_row(
            escape(finding.exploit.name),
            finding.exploit.kind,
            f"[{colour}]{escape(outcome(finding))}[/]",
            finding.stopped_by,
            gain(finding),
        )
    return table


def outcome(finding: Finding) -> str:
    """The outcome of an exploit, in a few words."""
    if finding.gains:
        return f"GAINS: {'; '.join(finding.gains)[:300]}"
    if finding.outcome == "refused":
        return "refused"
    text = "exam passed, as honest" if finding.outcome == "ok" else f"exam failed ({finding.outcome})"
    if finding.outcome == "ok" and finding.gain is not None and finding.gain < -1e-9:
        text = "exam passed, worse score"
    return f"{text}; unexpected: {finding.surprise}" if finding.surprise else text


def gain(finding: Finding) -> str:
    """The measured gain, where 1 is the distance of the honest module from the floor."""
    if finding.gain is None:
        return "–"
    return f"{finding.gain + 0.0:.2f}" if finding.gain > -1e3 else "< −1000"


def markdown(auditor: Auditor, findings: Sequence[Finding], command: str, *, whole: bool) -> str:
    """A section with the table."""
    honest, domain = auditor.honest, auditor.domain
    gaining = sum(bool(finding.gains) for finding in findings)
    part = "all exploits that apply" if whole else "**a part of the suite**"
    lines = [
        f"## {domain.name}",
        "",
        f"`{command}`: {part}, {len(findings)} in number; **{gaining} gain**.",
        "",
        f"Module `{auditor.module}.py`, dataset `{auditor.dataset}`, scale `{auditor.task.scale}`, sandbox "
        f"`{auditor.host.sandbox.name}`, Python {platform.python_version()}, Linux {platform.release()}. "
        f"The honest module: {auditor.facts.metric} {honest.value:.4g} (floor {honest.floor:.4g}) in "
        f"{honest.seconds:.2f} s, {honest.cpu_s:.2f} CPU s and {honest.memory_bytes / 1e6:.0f} MB at least.",
        "",
        "| exploit | class | what it does | outcome | stopped by | gain |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_cell(finding.exploit.name)} | {finding.exploit.kind} | {_cell(finding.exploit.summary)} | "
        f"{_cell(outcome(finding))} | {finding.stopped_by} | {gain(finding)} |"
        for finding in findings
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
