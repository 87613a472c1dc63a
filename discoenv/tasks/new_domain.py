"""Makes a new domain: a copy of the template domain, which works, or a draft out of a training script; and packs."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

import yaml

from discoenv.errors import DomainError
from discoenv.tasks import registry
from discoenv.tasks.drafting.writing import Draft, cut_script, write_draft

__all__ = [
    "TEMPLATE",
    "copy_template",
    "cut_script",
    "draft_domain",
    "new_domain",
    "new_pack",
    "next_steps",
    "steps_of_draft",
]
TEMPLATE: Final = Path(__file__).resolve().parent.parent / "domains" / "_template"
#: The domain's name in the template's texts.
_PLACEHOLDER: Final = re.compile(r"\bTemplate\b")
_TEXTS: Final = (".py", ".md", ".yaml")
_UNUSED: Final = ("__pycache__", ".*")
#: The files of a new pack, by path; ``{package}`` is the name of its package, which is the name of the pack, too.
_PACK: Final = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["discoenv"]

# discoenv finds the domains here, wherever the package is installed.
[project.entry-points."discoenv.packs"]
{package} = "{package}:DOMAINS"

[tool.setuptools.packages.find]
include = ["{package}"]
namespaces = false

# All files of a domain are read from disk; its tests stay in the repository.
[tool.setuptools.package-data]
{package} = ["domains/**/*"]

[tool.setuptools.exclude-package-data]
{package} = ["domains/*/tests/*", "**/__pycache__/*"]
""",
    "{package}/__init__.py": """\
\"\"\"Domains for discoenv.\"\"\"

from pathlib import Path

#: The folder of the domains, a folder each.
DOMAINS = Path(__file__).parent / "domains"
""",
}


def new_domain(name: str, into: Path | None = None, *, title: str = "") -> Path:
    """Copy the template domain under a new name.

    Args:
        name: of the domain, in CamelCase.
        into: the folder of domains that it is put into, such as that of a pack; None: where discoenv's own are, which
            takes a checkout.
        title: for readers; default: the name in words.

    Returns:
        The new folder, ``into / name``.

    Raises:
        DomainError: the name is not in CamelCase or is taken, or ``into`` is not a folder that can be written to.
    """
    target = _free_place(name, into)
    copy_template(target, title=title)
    return target


def draft_domain(name: str, script: Path, into: Path | None = None, *, title: str = "") -> Draft:
    """Write the draft of a domain out of a training script: what is a module, what is fixed, what the examiner's.

    The syntax tree of the script is read; nothing of it is run. What its author has to write is marked, and
    :func:`discoenv.testing.check_domain` lists the marks.

    Args:
        name, into, title: as for :func:`new_domain`.
        script: a Python file, or a folder in which the one that trains is looked for.

    Raises:
        DomainError: as for :func:`new_domain`; or the script cannot be read, or nothing in it can be made a module.
    """
    return write_draft(_free_place(name, into), script, title=title or _in_words(name))


def _free_place(name: str, into: Path | None) -> Path:
    """Where a new domain goes."""
    folder = _folder(into)
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name):
        raise DomainError(f"{name!r} is no name of a domain: it is in CamelCase, without spaces, as ContinualLearning")
    target = folder / name
    taken = next((path for path in folder.iterdir() if path.name.lower() == name.lower()), None)
    if taken is not None:
        raise DomainError(f"the name {name} is taken: {taken} exists; choose another name, or remove it")
    return target


def new_pack(place: Path) -> Path:
    """Make the package of a pack: ``pyproject.toml`` with its entry point, and a package with a folder for domains.

    Args:
        place: the folder of the pack, which is called as the distribution: lower-case words with hyphens. If it is a
            pack already, nothing is changed.

    Returns:
        The folder of its domains, ``place / package / "domains"``.

    Raises:
        DomainError: the name is none, the folder above is missing, or there is something else in its place.
    """
    name = place.resolve().name
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise DomainError(f"{name!r} is no name of a pack: it is in lower case, with hyphens, as bandit-pack")
    package = name.replace("-", "_")
    domains = place.resolve() / package / "domains"
    if domains.is_dir():
        return domains
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise DomainError(f"{place}: it exists and is no pack, which would have {package}/domains; name another folder")
    if not place.resolve().parent.is_dir():
        raise DomainError(f"{place.parent}: there is no such folder; make it first: mkdir -p {place.parent}")
    domains.mkdir(parents=True)
    for path, text in _PACK.items():
        filled = text.replace("{package}", package).replace("{distribution}", name)
        (place / path.replace("{package}", package)).write_text(filled, encoding="utf-8")
    return domains


def copy_template(target: Path, *, title: str = "") -> Path:
    """Copy the template to ``target``, whose last part is the new domain's name; the parent must exist."""
    name = target.name
    shutil.copytree(TEMPLATE, target, ignore=shutil.ignore_patterns(*_UNUSED))
    for path in target.rglob("*"):
        if path.suffix in _TEXTS:
            path.write_text(_PLACEHOLDER.sub(name, path.read_text(encoding="utf-8")), encoding="utf-8")
    specification = target / "domain.yaml"
    line = yaml.safe_dump({"title": title or _in_words(name)}, allow_unicode=True, width=10_000)
    text = re.sub(r"^title: .*\n", lambda match: line, specification.read_text(encoding="utf-8"), flags=re.MULTILINE)
    specification.write_text(text, encoding="utf-8")
    return target


def next_steps(folder: Path) -> str:
    """What to do with a new domain, as text with the exact commands."""
    ours = folder.parent == registry.BUILTIN
    place = os.path.relpath(folder)
    name = folder.name if ours else f"{registry.pack_name(folder.parent)}/{folder.name}"
    steps = [
        (f"discoenv validate {place}", "checks all of it; the new domain passes as it is"),
        (f"$EDITOR {place}/domain.yaml", "then description.md, examiner.py, templates/ and datasets/; validate again"),
        (f"discoenv validate {place} --no-baselines", "while baselines.json is that of the template"),
        (f"rm {place}/baselines.json && discoenv calibrate {name} --seeds 5", "measures floors and baselines"),
        (f"discoenv calibrate {name} --ladder --seeds 3", "measures the known methods in ladder/"),
        (f"python -m pytest {place}/tests", "after tests/test_domain.py is about the new domain"),
        (f"discoenv audit {name} --brief", "tries to cheat; then without --brief"),
    ]
    lines = [f"Made {place}, a small domain that works. Next:", ""]
    package = folder.parents[2]
    if not ours and (package / "pyproject.toml").is_file():
        install = f"pip install -e {os.path.relpath(package)}"
        lines += [f"  {install}", "      makes the domains of this pack known, by its entry point", ""]
    elif not ours:
        lines += [f"  export {registry.VARIABLE}={folder.parent}", "      makes the domains of this folder known", ""]
    for command, purpose in steps:
        lines += [f"  {command}", f"      {purpose}", ""]
    return "\n".join(
        [
            *lines,
            "docs/domain_in_a_day.md goes through the steps; docs/adding_a_domain.md has all rules.",
        ]
    )


def steps_of_draft(draft: Draft) -> str:
    """How a script was cut, and what to do with the draft, as text with the exact commands."""
    place = os.path.relpath(draft.folder)
    rows = [row for row in draft.cut() if row[2] != "fixed"]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    table = [f"  {file:{widths[0]}}  {where:{widths[1]}}  {what}".rstrip() for file, where, what in rows]
    left = [f"  {each}" for each in draft.reading.left]
    return "\n".join(
        [
            f"Drafted {place}; fixed are {', '.join(draft.files.fixed)}. Cut out:",
            "",
            *table,
            *(["", "What stays, and why:", "", *left] if left else []),
            "",
            f"  discoenv validate {place} --no-baselines",
            "      lists what is missing, in the order in which it is best written",
            "",
            "docs/domain_in_a_day.md has an example of each file.",
        ]
    )


def _folder(into: Path | None) -> Path:
    if into is None:
        if not (registry.BUILTIN.parents[1] / "pyproject.toml").is_file():
            raise DomainError(
                f"discoenv is installed in {registry.BUILTIN.parents[1]}, where the next version would remove it; "
                "name a folder of your own by --into"
            )
        return registry.BUILTIN
    if not into.is_dir():
        raise DomainError(f"{into}: there is no such folder; make it first: mkdir -p {into}")
    return into.resolve()


def _in_words(name: str) -> str:
    """``OffPolicyRL`` → ``Off policy RL``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", name)
    return " ".join([words[0], *(word if word.isupper() else word.lower() for word in words[1:])])
