"""A domain's ladder is read whole, and what it names wrongly is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from discoenv.errors import DomainError, UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.ladder import ladder_of, method_text, methods_of
from tests.conftest import MakeVariant

METHOD = "{title: A method, paper: Somebody 1999}"


def write(domain: Domain, text: str, *files: str) -> None:
    folder = domain.directory / "ladder"
    folder.mkdir(exist_ok=True)
    (folder / "ladder.yaml").write_text(text)
    for name in files:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('"""A method."""\n')
    ladder_of.cache_clear()


def test_a_ladder_names_methods_and_what_is_expected_of_neighbours(make_variant: MakeVariant) -> None:
    domain = make_variant()
    files = [f"model/{name}.py" for name in "abc"]
    write(domain, f"model: {{methods: {{a: {METHOD}, b: {METHOD}, c: {METHOD}}}, order: [a, base, [b, c]]}}", *files)
    assert list(ladder_of(domain)["model"].pairs()) == [("a", "base"), ("base", "b"), ("base", "c")]
    assert list(methods_of(domain, domain.backends[0])) == [("model", name) for name in "abc"]
    assert method_text(domain, "model", "a") == '"""A method."""\n'
    with pytest.raises(UnknownName, match="no method is called 'd' in the ladder of"):
        method_text(domain, "model", "d")


def test_a_domain_without_a_ladder_has_none(make_variant: MakeVariant) -> None:
    domain = make_variant()
    for path in (domain.directory / "ladder").rglob("*.*"):
        path.unlink()
    ladder_of.cache_clear()
    assert ladder_of(domain) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {methods: {}}", "modle: the domain has no such module"),
        (f"model: {{methods: {{a: {METHOD}}}, order: [a, b]}}", "order names b, which methods does not list"),
        (f"model: {{methods: {{base: {METHOD}}}}}", "a method is called base"),
        (f"model: {{methods: {{b: {METHOD}}}}}", "there is no file ladder/model/b.py"),
        ("model: {methods: {a: {title: A, paper: B, backends: [gpu]}}}", "the domain has no backend gpu"),
        ("model: {methods: {a: {title: A}}}", "not a valid ladder"),
        ("model: {methods: {}, methods: {}}", "listed twice"),
    ],
)
def test_a_wrong_ladder_says_what_is_wrong(make_variant: MakeVariant, text: str, message: str) -> None:
    domain = make_variant()
    write(domain, text, "model/a.py")
    with pytest.raises(DomainError, match=message):
        ladder_of(domain)


def test_ladders_are_among_the_files_that_references_do_not_depend_on(tmp_path: Path) -> None:
    from discoenv.scoring.references import _APART

    assert {"ladder", "ladder.json"} <= set(_APART)
