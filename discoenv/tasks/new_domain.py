"""Makes a new domain out of the template domain, a small one that works."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

import yaml

from discoenv.errors import DomainError
from discoenv.tasks import registry

TEMPLATE: Final = Path(__file__).resolve().parent.parent / "domains" / "_template"
#: The domain's name in the template's texts.
_PLACEHOLDER: Final = re.compile(r"\bTemplate\b")
_TEXTS: Final = (".py", ".md", ".yaml")
_UNUSED: Final = ("__pycache__", ".*")


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
    folder = _folder(into)
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name):
        raise DomainError(f"{name!r} is no name of a domain: it is in CamelCase, without spaces, as ContinualLearning")
    target = folder / name
    taken = next((path for path in folder.iterdir() if path.name.lower() == name.lower()), None)
    if taken is not None:
        raise DomainError(f"the name {name} is taken: {taken} exists; choose another name, or remove it")
    copy_template(target, title=title)
    return target


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
        (f"python -m pytest {place}/tests", "after tests/test_domain.py is about the new domain"),
        (f"discoenv audit {name} --brief", "tries to cheat; then without --brief"),
    ]
    lines = [f"Made {place}, a small domain that works. Next:", ""]
    if not ours:
        lines += [f"  export {registry.VARIABLE}={folder.parent}", "      makes the domains of this folder known", ""]
    for command, purpose in steps:
        lines += [f"  {command}", f"      {purpose}", ""]
    return "\n".join([*lines, "CONTRIBUTING.md, Add a domain, says more about each step."])


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
