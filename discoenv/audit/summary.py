"""What audits of several domains have found, as one table: exploits × domains."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discoenv.audit import report
from discoenv.audit.auditor import Auditor, Finding
from discoenv.audit.exploit import CLASSES, AnyExploit
from discoenv.audit.exploits import ACTIONS, RUNS, exploits_of
from discoenv.errors import DomainError
from discoenv.tasks.domain import Domain

#: Names of the files, in a domain's folder, that hold what its last audits have found: on this machine, in containers.
FILE = "audit.json"
DOCKER_FILE = "audit_docker.json"
_FAILED = re.compile(r"exam failed \((\w+)\)")
_SPENT = re.compile(r"exam failed \((timeout|memory)\)")
_WORSE = re.compile(r"worse \(.*\)")
_Gain = Annotated[float, Field(allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExploitOutcome(_Record):
    """The outcome of an exploit, in words, and its gain, which actions and runs do not have (see :class:`Finding`)."""

    outcome: str
    gain: _Gain | None = None

    @property
    def stopped_by(self) -> str:
        """As of a :class:`Finding`."""
        if self.outcome.startswith("GAINS"):
            return "nothing"
        if self.outcome.startswith("exam passed"):
            return "structure"
        return "budget" if _SPENT.match(self.outcome) else "check"


class Audit(_Record):
    """One audit of a domain.

    Attributes:
        command: what repeats it.
        module, dataset, scale, sandbox: what was attacked, and where.
        python, linux: versions.
        metric, value, floor: of the honest module.
        seconds, cpu_s, memory_mb: the least that an exam of the honest module took.
        gaining: number of exploits that gained something.
        outcomes: by the exploit's name.
    """

    command: str
    module: str
    dataset: str
    scale: str
    sandbox: str
    python: str
    linux: str
    metric: str
    value: float
    floor: float
    seconds: float
    cpu_s: float
    memory_mb: float
    gaining: int
    outcomes: dict[str, ExploitOutcome]

    @classmethod
    def of(cls, auditor: Auditor, findings: Sequence[Finding], command: str) -> Self:
        """What an auditor has found."""
        honest = auditor.honest
        return cls(
            command=command,
            module=auditor.module,
            dataset=auditor.dataset,
            scale=auditor.task.scale,
            sandbox=auditor.host.sandbox.name,
            python=platform.python_version(),
            linux=platform.release(),
            metric=auditor.facts.metric,
            value=_rounded(honest.value),
            floor=_rounded(honest.floor),
            seconds=round(honest.seconds, 2),
            cpu_s=round(honest.cpu_s, 2),
            memory_mb=round(honest.memory_bytes / 1e6),
            gaining=sum(bool(finding.gains) for finding in findings),
            outcomes={
                finding.exploit.name: ExploitOutcome(
                    outcome=report.outcome(finding), gain=None if finding.gain is None else round(finding.gain, 2)
                )
                for finding in findings
            },
        )

    def added_to(self, earlier: Audit, order: Sequence[str]) -> Audit:
        """An earlier audit with the outcomes of this one, of a part of the exploits, in place of those that it had.

        Args:
            earlier: of the same module, dataset, scale and sandbox.
            order: the names of all exploits that there are; what is not among them is left out.

        Raises:
            DomainError: it is of something else, or the honest module has another score by now.
        """
        for name in ("module", "dataset", "scale", "sandbox", "metric", "value", "floor"):
            if (old := getattr(earlier, name)) != (new := getattr(self, name)):
                raise DomainError(
                    f"the earlier audit has {name} {old}, this one {new}: audit the domain without --only"
                )
        every = earlier.outcomes | self.outcomes
        outcomes = {name: every[name] for name in order if name in every}
        gaining = sum(each.stopped_by == "nothing" for each in outcomes.values())
        return earlier.model_copy(update={"outcomes": outcomes, "gaining": gaining})

    def to_json(self) -> str:
        """The content of the file, one exploit a line."""
        content = self.model_dump(exclude={"outcomes"})
        head = json.dumps(content, indent=1, ensure_ascii=False)[:-2]
        lines = [
            f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(each.model_dump(), ensure_ascii=False)}"
            for name, each in self.outcomes.items()
        ]
        return f'{head},\n "outcomes": {{\n' + ",\n".join(lines) + "\n }\n}\n"


def audit_of(domain: Domain, file: str = FILE) -> Audit | None:
    """The last audit of a domain; None if its folder has none.

    Raises:
        DomainError: the file cannot be read.
    """
    path = domain.directory / file
    if not path.is_file():
        return None
    try:
        return Audit.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise DomainError(f"{path}: not what `discoenv audit {domain.name} --out {path}` writes: {error}") from error


def markdown(domains: Sequence[Domain]) -> str:
    """The tables of all audits of these domains; those that have not been audited are left out."""
    audits, contained = (
        {domain.name: found for domain in domains if (found := audit_of(domain, file)) is not None}
        for file in (FILE, DOCKER_FILE)
    )
    exploits: dict[str, AnyExploit] = {}
    for domain in domains:
        if domain.name in audits:
            every: list[AnyExploit] = [*exploits_of(domain), *ACTIONS, *RUNS]
            exploits |= {each.name: each for each in every}
    return (
        "\n".join(
            [
                *_targets([*audits.items(), *contained.items()]),
                "",
                *_matrix(audits, exploits),
                "",
                *_differences(audits, exploits),
            ]
        )
        + "\n"
    )


def _targets(audits: Sequence[tuple[str, Audit]]) -> Iterator[str]:
    """A row for each audit of a domain: what was attacked, and the honest module's exams."""
    yield "| domain | module | dataset | scale | honest score | floor | s | CPU s | MB | exploits | gain | where |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for name, audit in audits:
        cells = [
            *(name, f"`{audit.module}.py`", audit.dataset, audit.scale),
            *(f"{audit.metric} {audit.value:.4g}", f"{audit.floor:.4g}"),
            *(f"{audit.seconds:.2f}", f"{audit.cpu_s:.2f}", f"{audit.memory_mb:.0f}"),
            *(str(len(audit.outcomes)), f"**{audit.gaining}**"),
            f"{audit.sandbox}, Python {audit.python}, Linux {audit.linux}",
        ]
        yield _row(cells)


def _matrix(audits: Mapping[str, Audit], exploits: Mapping[str, AnyExploit]) -> Iterator[str]:
    """A row for each exploit, by class: its outcome in each domain."""
    yield _row(["exploit", "what it does", "stopped by", *audits])
    yield "|---|---|---|" + "---|" * len(audits)
    for kind in CLASSES:
        yield _row([f"**{kind}**", *[""] * (2 + len(audits))])
        for exploit in exploits.values():
            if exploit.kind == kind:
                found = [audit.outcomes.get(exploit.name) for audit in audits.values()]
                stopped = dict.fromkeys(each.stopped_by for each in found if each is not None)
                yield _row([exploit.name, exploit.summary, ", ".join(stopped), *map(_cell, found)])


def _differences(audits: Mapping[str, Audit], exploits: Mapping[str, AnyExploit]) -> Iterator[str]:
    """A line for each exploit that has not the same outcome in all domains where it was tried."""
    for name in exploits:
        found: dict[str, list[str]] = {}
        for domain, audit in audits.items():
            if name in audit.outcomes:
                found.setdefault(_WORSE.sub("worse", _cell(audit.outcomes[name])), []).append(domain)
        if len(found) > 1:
            most = max(found, key=lambda cell: len(found[cell]))
            others = [f"{cell} in {_listed(where)}" for cell, where in found.items() if cell != most]
            yield f"* **{name}**: {'; '.join(others)}; elsewhere {most}."


def _cell(outcome: ExploitOutcome | None) -> str:
    """The outcome of an exploit, in two words."""
    if outcome is None:
        return ""
    said, _, unexpected = outcome.outcome.partition("; unexpected: ")
    failed = _FAILED.fullmatch(said)
    if failed:
        said = failed[1].replace("_", " ")
    elif said == "exam passed, as honest":
        said = "as honest"
    elif said == "exam passed, worse score":
        said = f"worse ({outcome.gain:.2f})".replace("-", "−")
    return f"{said} (unexpected: {unexpected})" if unexpected else said


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
