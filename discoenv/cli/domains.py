"""``discoenv new-domain`` and ``discoenv validate``: for authors of domains."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from discoenv.cli.options import SandboxOption
from discoenv.errors import DomainError, UnknownName
from discoenv.tasks import new_domain as template
from discoenv.tasks.domain import Domain
from discoenv.tasks.names import domain_name
from discoenv.tasks.registry import get_domain

if TYPE_CHECKING:
    from discoenv.agents.llm.chat import ChatModel
    from discoenv.testing import DomainCheck

_MARKS = {"passed": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
#: Tokens that filling the gaps of one draft may take, prompts included.
_MOST_TOKENS = 2_000_000
#: Findings of one check that are printed; --json has all.
_MOST_FINDINGS = 8


def new_domain(
    name: Annotated[str, typer.Argument(help="Name of the domain, in CamelCase.")],
    into: Annotated[
        Path | None,
        typer.Option(
            help="Folder of domains, for a pack of your own.", show_default="discoenv/domains of this checkout"
        ),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(help="Folder of a pack that can be installed, such as bandit-pack; made if it is not there."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title for readers.", show_default="the name, in words")] = "",
    script: Annotated[
        Path | None,
        typer.Option("--from", help="Training script, or the folder of one, that the domain is drafted from."),
    ] = None,
    model: Annotated[
        str, typer.Option(envvar="DISCOENV_DRAFT_MODEL", help="With --from: chat model that fills gaps of the draft.")
    ] = "",
    base_url: Annotated[
        str, typer.Option(envvar="OPENAI_BASE_URL", help="Endpoint of --model, OpenAI-compatible; default: OpenAI's.")
    ] = "",
) -> None:
    """Make a domain to start from: one that works, under a new name; or the draft of one, from a script."""
    if pack is not None and into is not None:
        raise DomainError("--pack and --into both say where the domain goes: give one of them")
    if model and script is None:
        raise DomainError("--model fills the gaps of a draft: name a training script by --from")
    if script is not None:
        template.cut_script(script)  # whose errors come before anything is made
    chat = _chat(model, base_url) if model else None
    place = into if pack is None else template.new_pack(pack)
    if script is None:
        text = template.next_steps(template.new_domain(name, place, title=title))
    else:
        draft = template.draft_domain(name, script, place, title=title)
        text = template.steps_of_draft(draft)
        if chat is not None:
            text = f"{_filled(draft.folder, chat)}\n\n{text}"
    Console(emoji=False).print(text, highlight=False, markup=False, soft_wrap=True)


def _chat(model: str, base_url: str) -> ChatModel:
    """The model that fills gaps; openai, which new-domain does without otherwise."""
    from discoenv.agents.llm.budget import Budget, Ledger
    from discoenv.agents.llm.chat import ChatModel

    return ChatModel(model, base_url=base_url or None, ledger=Ledger(Budget(tokens=_MOST_TOKENS)))


def _filled(folder: Path, chat: ChatModel) -> str:
    """Let a model fill gaps of a draft; what it did, in a sentence."""
    from discoenv.agents.llm.drafts import fill_gaps

    try:
        return fill_gaps(folder, chat).described(chat.model)
    finally:
        chat.close()


def validate(
    domain: Annotated[str, typer.Argument(help="Domain, or its folder.", callback=domain_name)],
    exams: Annotated[bool, typer.Option("--exams/--no-exams", help="Run exams, at scale tiny.")] = True,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Check baselines.json, and what depends on it.")
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings as failures.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
    sandbox: SandboxOption = "auto",
) -> None:
    """Check that a domain is what every domain must be. The exit code is 1 if it is not."""
    from discoenv.testing import DomainCheck, check_domain  # NumPy, which new-domain does without
    from discoenv.testing.domain_checks import NEEDED

    console = Console(emoji=False)

    def show(check: DomainCheck) -> None:
        if not as_json:
            _show(console, check)

    try:
        found = _find(domain)
    except DomainError as error:
        checks = [DomainCheck("domain.yaml", "failed", str(error), "see docs/adding_a_domain.md")]
        show(checks[0])
    else:
        checks = check_domain(
            found,
            sandbox=sandbox,
            baselines=baselines,
            exams=exams,
            strict=strict,
            raise_on_failure=False,
            on_check=show,
        )
    failed = [check for check in checks if not check.ok]
    if as_json:
        print(json.dumps({"domain": domain, "ok": not failed, "checks": [dataclasses.asdict(each) for each in checks]}))
    else:
        warned = sum(check.state == "warning" for check in checks)
        console.print(f"{len(checks)} checks: {len(failed)} failed, {warned} with warnings.", highlight=False)
        if any(check.name in NEEDED for check in failed):
            console.print("No code of the domain was run: these come first.", highlight=False)
        if not failed and exams and baselines:
            console.print(f"Next: discoenv audit {found.name}", highlight=False, markup=False)
    if failed:
        raise typer.Exit(1)


def _find(name: str) -> Domain:
    """A domain by its name, or by its folder."""
    from discoenv.testing import domain_of

    try:
        return get_domain(name)
    except UnknownName:
        if not Path(name).is_dir():
            raise
    return domain_of(Path(name))


def _show(console: Console, check: DomainCheck) -> None:
    """One line for a check that passed, one more for each finding, and one for what to do."""
    lines = check.detail.splitlines()
    left = len(lines) - _MOST_FINDINGS
    # Gaps are a list of what to do.
    shown = (
        lines if left <= 0 or check.name == "gaps" else [*lines[:_MOST_FINDINGS], f"and {left} more (--json has all)"]
    )
    if check.fix:
        shown.append(f"→ {check.fix}")
    console.print(f"{_MARKS[check.state]} {check.name}", highlight=False, end="")
    for number, line in enumerate(shown):
        indent = " " * max(1, 14 - len(check.name)) if number == 0 else " " * 16
        console.print(f"{indent}{line}", highlight=False, markup=False, soft_wrap=True)
