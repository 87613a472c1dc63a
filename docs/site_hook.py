"""What the site has beside the pages of this folder: a hook of MkDocs, see ``mkdocs.yml``.

Pages of the repository that lie elsewhere (README, CONTRIBUTING, CHANGELOG) become pages of the site, and so do the
notebooks; each domain gets one, made from its declaration, texts, baselines and pictures; so do the commands and the
library. A link to another file of the repository leads to a copy of it, so that every link is checked.
"""

from __future__ import annotations

import functools
import importlib.util
import posixpath
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from discoenv.scoring import baselines, ladders, offered
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN, get_domain, get_domains
from discoenv.tasks.task import Setting

ROOT: Final = Path(__file__).resolve().parents[1]
#: Pages that lie outside of docs/, by what they are called on the site.
_ELSEWHERE: Final = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
#: Pages of the library's reference: title, introduction, and modules.
_LIBRARY: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "reference/environment.md": (
        "Environment",
        "What `gym.make` makes, its vector form, and the objects that agents with tools play.",
        ("discoenv.env", "discoenv.vector", "discoenv.spaces", "discoenv.tools.session", "discoenv.errors"),
    ),
    "reference/tasks.md": (
        "Tasks",
        "What a task consists of, and how tasks are read and sampled.",
        ("discoenv.tasks.task", "discoenv.tasks.sampling", "discoenv.tasks.reading", "discoenv.objectives"),
    ),
    "reference/exams.md": (
        "Exams",
        "What the author of a domain uses.",
        ("discoenv.exams.examiner", "discoenv.exams.state", "discoenv.testing", "discoenv.audit.exploit"),
    ),
    "reference/scores.md": (
        "Scores",
        "From exams to scores, and from scores to evidence.",
        (
            "discoenv.scoring.baselines",
            "discoenv.scoring.scores",
            "discoenv.scoring.comparison",
            "discoenv.scoring.ladders",
        ),
    ),
    "reference/agents.md": (
        "Agents",
        "What reference agents are made of.",
        ("discoenv.agents.llm.chat", "discoenv.agents.search.evolution", "discoenv.bench.benchmark"),
    ),
    "reference/experiments.md": (
        "Experiments",
        "Sweeps over configurations and seeds, on one machine or a cluster.",
        ("discoenv.experiment", "discoenv.experiment.configurations", "discoenv.experiment.layout"),
    ),
}
_LINK: Final = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
_MERMAID: Final = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROLE: Final = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):<code>~?")
#: A script that the theme's offline search needs, where the theme has it from, and where it lies here.
_SHIM: Final = "https://unpkg.com/iframe-worker/shim"
_OWN_SHIM: Final = "assets/iframe-worker.js"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the domains' pages."""
    for part in config.nav or []:
        if isinstance(part, dict) and "Domains" in part:
            part["Domains"] = ["domains.md", *(f"domains/{domain.name}.md" for domain in _domains())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made: dict[str, Callable[[], str]] = {
        name: functools.partial((ROOT / path).read_text, encoding="utf-8") for name, path in _ELSEWHERE.items()
    }
    made |= {f"domains/{domain.name}.md": functools.partial(domain_page, domain) for domain in _domains()}
    made |= {name: functools.partial(_library_page, *what) for name, what in _LIBRARY.items()}
    made |= {"reference/commands.md": commands_page, "reference/domain_yaml.md": declaration_page}
    shown = _beside("notebooks")
    for file in shown.names():
        made[f"notebooks/{Path(file).stem}.md"] = functools.partial(shown.page, file)
    for name, text in made.items():
        files.append(File.generated(config, name, content=text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links within the site, and draw diagrams."""
    own = page.file.src_uri
    source = ROOT / _ELSEWHERE[own] if own in _ELSEWHERE else ROOT / "docs" / own
    folder = BUILTIN / Path(own).stem if own.startswith("domains/") else source.parent

    def within(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        path, hash_mark, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match.group()
        file = (folder / path).resolve()
        if not file.is_relative_to(ROOT) or not file.is_file():
            return match.group()  # MkDocs says that it leads nowhere
        uri = _uri(file.relative_to(ROOT))
        if uri not in files.src_uris:
            copied = file.read_bytes()
            files.append(File.generated(config, uri, content=copied))
        return f"{before}{posixpath.relpath(uri, posixpath.dirname(own) or '.')}{hash_mark}{anchor}{after}"

    draw: Callable[[str], str] = _beside("sequence_diagrams").svg
    markdown = _MERMAID.sub(lambda match: draw(match[1]), markdown)
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(within, part) for part in parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave out what only Sphinx reads in docstrings: the role of a name, and the colons before a block of code."""
    return _ROLE.sub("<code>", html).replace("<p>::</p>\n", "").replace("::</p>", ":</p>")


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load the one script that the theme takes from elsewhere from the site."""
    return output.replace(_SHIM, posixpath.relpath(_OWN_SHIM, posixpath.dirname(page.file.dest_uri) or "."))


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """The same for the page that is shown where there is none."""
    return output.replace(_SHIM, _OWN_SHIM)


@functools.cache
def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _uri(path: Path) -> str:
    """What a file of the repository is on the site."""
    for name, elsewhere in _ELSEWHERE.items():
        if path.as_posix() == elsewhere:
            return name
    if (
        path.parts[0] == "docs"
        and path.suffix in (".md", ".png", ".svg", ".gif")
        and "example_report" not in path.parts
    ):
        return path.relative_to("docs").as_posix()
    if path.parts[:2] == ("discoenv", "domains") and path.name in ("description.md", "results.md"):
        return f"domains/{path.parts[2]}.md"
    if path.suffix == ".md":  # a copy, which is not to be a page of its own
        return f"source/{path.with_suffix('.txt').as_posix()}"
    return f"source/{path.as_posix()}"


@functools.cache
def _domains() -> tuple[Domain, ...]:
    found = (get_domain(name) for name in get_domains())
    return tuple(domain for domain in found if domain.directory.parent == BUILTIN)


def domain_page(domain: Domain) -> str:
    """The page of a domain: what agents read, datasets with their numbers, known methods, results, integrity."""
    specification = domain.specification
    exam = specification.exam
    answers = ", ".join(f"`{name}`" for name in exam.answers_with)
    parts = [
        f"# {domain.name}",
        f"**{specification.title}.** {specification.summary.strip()}",
        f"Exam: `{exam.kind}`{f'; a learner answers if one of {answers} is editable' if answers else ''}. "
        f"Metric: `{specification.metric.name}` ({specification.metric.unit}; {specification.metric.direction}). "
        f"Extra: `pip install 'discoenv[{specification.extra}]'`.",
        "## What agents read",
        _below(domain.description(), 3),
        "## Modules",
        *(
            f"### `{name}.py`\n\n{textwrap.dedent(domain.prompt(name, backend=domain.backends[0]))}"
            for name in domain.modules
        ),
        "## Datasets",
        _datasets(domain),
        *_pictures(domain),
        "## Known methods",
        ladders.table(domain) if ladders.standings(domain) else "None has been measured yet.",
    ]
    results = domain.directory / "results.md"
    if results.is_file():
        parts += ["## Results", _below(results.read_text(encoding="utf-8"), 3)]
    notes = [f"* {note.strip()}" for note in specification.integrity.notes]
    parts += ["## Integrity", "\n".join(notes) or "Nothing is known that the examiner cannot exclude."]
    return "\n\n".join(parts) + "\n"


def _datasets(domain: Domain) -> str:
    unit = domain.specification.size_unit
    lines = [
        f"| dataset | family | {unit or 'size'} | floor at small | baseline at small | CPU s per exam | sampled |",
        "|---|---|---|---|---|---|---|",
    ]
    doubted = offered.doubted(domain, "small")
    backend = domain.backends[0]
    for name in domain.datasets:
        declared = domain.specification.datasets[name]
        cells = [name, declared.family or "–", str(declared.size or "–")]
        setting = Setting(domain, backend, name, "small")
        entry = baselines.entries(domain.directory / "baselines.json").get(setting.key)
        if entry is None:
            cells += ["–", "–", "–", "at `full` only"]
        else:
            cells += [
                f"{entry.floor.mean:.3g} ± {entry.floor.std:.1g}",
                f"{entry.baseline.mean:.3g} ± {entry.baseline.std:.1g}",
            ]
            cells += [f"{entry.work_s:.1f}", f"no: {doubted[backend, name]}" if (backend, name) in doubted else "yes"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _pictures(domain: Domain) -> list[str]:
    return [
        f"![Samples of {name}](datasets/{name}/{picture})"
        for name in domain.datasets
        for picture in domain.pictures(name)
        if picture.endswith(".png")
    ]


def _below(text: str, level: int) -> str:
    """Markdown whose headings begin at a level; a title at its beginning is left out."""
    body = re.sub(r"\A# .*\n", "", text.lstrip())
    return re.sub(
        r"^(#+) ", lambda match: "#" * (len(match.group(1)) + level - 2) + " ", body, flags=re.MULTILINE
    ).strip()


def commands_page() -> str:
    """All commands and their options."""
    import typer  # noqa: PLC0415 - only this page needs them
    from typer.cli import get_docs_for_click  # noqa: PLC0415

    from discoenv.cli.main import Commands  # noqa: PLC0415

    parts = ["# Commands\n\n`discoenv COMMAND --help` prints the same.\n"]
    for name, entry in Commands.deferred.items():
        command: Any = entry.load(name)
        context = typer.Context(command, info_name=name)
        parts.append(get_docs_for_click(obj=command, ctx=context, name=name, indent=1, call_prefix="discoenv"))
    return re.sub(r"[ \t]+$", "", "\n".join(parts), flags=re.MULTILINE)


def declaration_page() -> str:
    """Each key of ``domain.yaml``."""
    introduction = "What a domain declares. Its file is read into these classes."
    return f"# domain.yaml\n\n{introduction}\n\n::: discoenv.tasks.specification\n"


def _library_page(title: str, introduction: str, modules: tuple[str, ...]) -> str:
    return f"# {title}\n\n{introduction}\n\n" + "".join(f"::: {module}\n\n" for module in modules)
