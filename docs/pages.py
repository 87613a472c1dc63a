"""Writes the generated parts of the documentation: ``python docs/pages.py``; ``--check`` says what is out of date.

``docs/domains.md`` is generated as a whole, the tables of ``docs/integrity.md`` and ``docs/fair_play.md`` between their
marks.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from discoenv.audit import summary
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN, get_domain, get_domains

HERE: Final = Path(__file__).resolve().parent
DOMAINS, INTEGRITY, FAIR_PLAY = HERE / "domains.md", HERE / "integrity.md", HERE / "fair_play.md"
AUDITS: Final = ("<!-- audits: written by python docs/pages.py -->", "<!-- /audits -->")
RULES: Final = ("<!-- rules: written by python docs/pages.py -->", "<!-- /rules -->")
_WIDTH: Final = 120


def domains_page(domains: Sequence[Domain]) -> str:
    """The text of ``docs/domains.md``: a table, and a section for each of the domains."""
    table = [
        "| domain | modules | datasets | scored by | needs |",
        "|---|---|---|---|---|",
        *(_row(domain) for domain in domains),
    ]
    introduction = (
        "An agent edits some or all *modules* of a domain. What a domain *needs* is an extra of discoenv: `pip install "
        "'discoenv[sklearn]'`, for example. `discoenv calibrate` measures baselines and floors and stores them in "
        "`baselines.json` of each domain, with seeds, hardware and versions. `python docs/pages.py` writes this page."
    )
    parts = ["# Domains", _filled(introduction), "\n".join(table), *(_section(domain) for domain in domains)]
    return "\n\n".join(parts) + "\n"


def integrity_page(page: str, domains: Sequence[Domain]) -> str:
    """The text of ``docs/integrity.md``, given its present one, with the audits of these domains."""
    return replace_section(page, *AUDITS, summary.markdown(domains))


def fair_play_page(page: str, domains: Sequence[Domain]) -> str:
    """The text of ``docs/fair_play.md``, given its present one, with the rules of these domains."""
    table = [
        "| domain | exam | who answers | modules may import | state | memory | scratch |",
        "|---|---|---|---|---|---|---|",
        *(_rules(domain) for domain in domains),
    ]
    return replace_section(page, *RULES, "\n".join(table) + "\n")


def pages(domains: Sequence[Domain]) -> dict[Path, str]:
    """The text that each page should have, by its path."""
    return {
        DOMAINS: domains_page(domains),
        INTEGRITY: integrity_page(INTEGRITY.read_text(encoding="utf-8"), domains),
        FAIR_PLAY: fair_play_page(FAIR_PLAY.read_text(encoding="utf-8"), domains),
    }


def _rules(domain: Domain) -> str:
    """What modules of a domain may do and use."""
    exam, limits, packages = domain.specification.exam, domain.specification.limits, domain.importable_packages
    answers, state = "the learner that trained", "–"
    if exam.hands_over:
        modules = ", ".join(f"`{name}`" for name in exam.answers_with)
        hidden = ", ".join(f"`{name}`" for name in exam.hidden_when_answering)
        answers = f"a new learner if one of {modules} is editable" if modules else ""
        answers += f", without {hidden}" if modules and hidden else ""
        answers += "; else the examiner" if modules else "the examiner"
        state = f"{exam.state_mib:g} MiB"
    cells = [
        f"[{domain.name}](domains.md#{domain.name.lower()})",
        exam.kind,
        answers,
        "anything" if packages is None else ", ".join(packages),
        state,
        f"{limits.memory_gib:g} GiB",
        f"{limits.scratch_gib:g} GiB",
    ]
    return f"| {' | '.join(cells)} |"


def _row(domain: Domain) -> str:
    metric = domain.specification.metric
    cells = [
        f"[{domain.name}](#{domain.name.lower()})",
        ", ".join(domain.modules),
        str(len(domain.datasets)),
        f"{metric.name} ({metric.direction})",
        f"`{domain.specification.extra}`",
    ]
    return f"| {' | '.join(cells)} |"


def _section(domain: Domain) -> str:
    """What a domain is about, and where to read more."""
    specification, bench = domain.specification, domain.specification.discobench
    folder = f"../discoenv/domains/{domain.directory.name}"
    lines = [f"*Datasets*: {', '.join(domain.datasets)}."]
    if len(domain.backends) > 1:
        lines.append(f"*Backends*: {', '.join(domain.backends)}.")
    if bench is not None:
        lines.append(
            f"*DiscoBench*: meta-train on {', '.join(bench.meta_train)}; meta-test on {', '.join(bench.meta_test)}."
        )
    lines.append(f"*More*: {', '.join(_links(domain, folder))}.")
    listed = "\n".join(_filled(line, "* ") for line in lines)
    return f"## {domain.name}\n\n{_filled(f'**{specification.title}.** {specification.summary.strip()}')}\n\n{listed}"


def _links(domain: Domain, folder: str) -> Iterator[str]:
    pages = {"description.md": "what agents read", "results.md": "results", "domain.yaml": "declaration"}
    for name, label in pages.items():
        if (domain.directory / name).is_file():
            yield f"[{label}]({folder}/{name})"


def _filled(text: str, bullet: str = "") -> str:
    indent = " " * len(bullet)
    return textwrap.fill(
        text, _WIDTH, initial_indent=bullet, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if a page is old.")] = False,
) -> None:
    """Write the pages for all domains that come with discoenv."""
    found = [get_domain(name) for name in get_domains()]
    stale = False
    for path, text in pages([domain for domain in found if domain.directory.parent == BUILTIN]).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale = True
            print(f"docs/{path.name}: {'out of date: run python docs/pages.py' if check else 'written'}")
            if not check:
                atomic.write_text(path, text)
    raise typer.Exit(int(check and stale))


if __name__ == "__main__":
    typer.run(main)
